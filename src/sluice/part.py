"""`Part`: the base of everything that is configured, and the digests that follow from it."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict


class Part(BaseModel):
    """A frozen piece of configuration that refuses fields it does not know.

    A `_target_` in a yaml names a subclass; the docstring under a field is its help.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True, ser_json_inf_nan="strings")

    def describe(self) -> dict[str, Any]:
        """This part as plain data that `hydra.utils.instantiate` turns back into an equal part."""
        kind = type(self)
        fields = {name: _plain(getattr(self, name)) for name in kind.model_fields}
        return {"_target_": f"{kind.__module__}.{kind.__qualname__}", **fields}

    def digest(self) -> str:
        """SHA-256 over the class and every field, nested parts included."""
        return digest(self)


def _plain(value: Any) -> Any:
    if isinstance(value, Part):
        return value.describe()
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return str(value) if isinstance(value, Path) else value


def digest(value: Any) -> str:
    """SHA-256 (hex) of parts and plain data, the same in every process and on every Python."""
    text = json.dumps(_plain(value), sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
