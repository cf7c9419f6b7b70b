"""JSONL that names what is missing by file and line."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sluice.data.sources.structured import json_object
from sluice.errors import UserError


def read_rows(path: Path, wanted: Sequence[str]) -> list[dict[str, Any]]:
    """An object a line with the wanted fields. Raises UserError by file and line."""
    if not path.is_file():
        raise UserError(f"{path}: no such file, looked for from {Path.cwd()}")
    rows = []
    with path.open(encoding="utf-8-sig") as file:
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            row = json_object(f"{path}:{number}", line, f"with {', '.join(wanted)}")
            missing = [name for name in wanted if name not in row]
            if missing:
                raise UserError(f"{path}:{number}: no '{missing[0]}'; found: {', '.join(row) or 'none'}")
            rows.append(row)
    return rows


def plain_id(value: object) -> str:
    """An id as the index has it: a number is its digits."""
    return " ".join(str(value).split())
