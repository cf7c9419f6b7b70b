"""The tokenizer of a bundle; where a file says all about it, without transformers, which takes seconds to import."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast
from weakref import WeakValueDictionary

from sluice.inference.bundle import BUNDLE
from sluice.part import digest
from sluice.tasks.encoding import Tokenizer
from sluice.tasks.task import Task

if TYPE_CHECKING:
    import tokenizers

FILE = "tokenizer.json"
PLAIN = ("TokenizersBackend", "PreTrainedTokenizerFast")
"""Classes of transformers that do nothing of their own: a tokenizer of theirs is what its file says."""
READ = (".json", ".txt", ".model", ".jinja")
"""How the names of files end that tokenizers are made of."""
UNLIMITED = 10**30
"""What transformers takes for the longest input where a tokenizer names none."""


@dataclass(frozen=True)
class Tokens:
    """What tasks that write nothing need of a tokenizer, by the names that transformers gives it."""

    backend_tokenizer: tokenizers.Tokenizer
    model_max_length: int
    truncation_side: Literal["right", "left"]
    is_fast: bool = True

    @classmethod
    def load(cls, folder: Path, settings: dict[str, Any]) -> Tokens:
        """From the file of the library under transformers."""
        from tokenizers import Tokenizer

        library = Tokenizer.from_file(str(folder / FILE))
        longest = settings.get("model_max_length") or UNLIMITED
        return cls(library, longest, settings.get("truncation_side", "right"))


_loaded: WeakValueDictionary[str, Any] = WeakValueDictionary()


def load_tokenizer(folder: Path, task: Task) -> Tokenizer:
    """What encodes a task's inputs: `Tokens` where they suffice, the same with all that transformers adds elsewhere.

    Versions of a model that read alike share one for as long as any of them is held: what the library remembers of
    words (tokenizers 0.23, up to 1 MiB a tokenizer and thread) it frees with the thread, not with the tokenizer.
    """
    files = [path for path in sorted(folder.iterdir()) if path.suffix in READ and path.name != BUNDLE]
    alike = digest([task, *([path.name, hashlib.sha256(path.read_bytes()).hexdigest()] for path in files)])
    found = _loaded.get(alike)
    if found is None:
        found = _loaded[alike] = _load(folder, task)
    return cast(Tokenizer, found)


def _load(folder: Path, task: Task) -> Any:
    settings = json.loads((folder / "tokenizer_config.json").read_text(encoding="utf-8"))
    plain = settings.get("tokenizer_class") in PLAIN and (folder / FILE).exists()
    if plain and not task.writes:
        return Tokens.load(folder, settings)
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(folder.absolute())
