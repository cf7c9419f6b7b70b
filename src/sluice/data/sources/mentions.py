"""Where a docstring names a module, a class, an exception or a builtin, told by the library itself."""

from __future__ import annotations

import builtins
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from sluice.metrics.spans import OUTSIDE
from sluice.tasks.token_classification import words

EXCEPTION, TYPE, BUILTIN, MODULE = "EXCEPTION", "TYPE", "BUILTIN", "MODULE"
NEWER = frozenset({"PythonFinalizationError"})
"""Builtins of a Python after 3.11: the same rows are wanted on all."""
SHORTEST = 3
"""Letters of a name: there are classes called E."""
CODE = re.compile(
    r"(?::[\w:+.-]+:)?(?P<ticks>`{1,2})(?P<short>~?)(?:[^`<]*<)?(?P<target>[^`<>]*?)>?(?P=ticks)(?!`)(?:_{1,2}\b)?"
)
"""A role such as :class:`~torch.Tensor`, a link `title <target>`, or plain code in backticks."""
CUT = re.compile(r"(?::[\w:+.-]+:)?`[^`]*$")
"""What a cut in the middle of such a thing leaves behind."""
DOTTED = re.compile(r"(?<![\w.])[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*")
PLAIN = re.compile(r"[a-z]+|[A-Z][a-z]*|[A-Z0-9]+")
"""Words that are English as often as code: names only where they are written as code."""


@dataclass(frozen=True)
class Inventory:
    """What the names of a library are."""

    kinds: Mapping[str, str]
    """Class and builtin names, undotted."""
    modules: frozenset[str]
    """Dotted names of packages and modules."""

    @classmethod
    def of(cls, classes: Mapping[str, Iterable[str]], files: Iterable[str]) -> Inventory:
        """From bases by class and from files such as `torch/nn/functional.py`."""
        known = {name: _kind(value) for name, value in vars(builtins).items() if name[0] != "_" and name not in NEWER}
        kinds = {name: kind for name, kind in known.items() if kind}
        kinds |= {name: EXCEPTION if _is_exception(name, classes, kinds, set()) else TYPE for name in classes}
        paths = (name.removesuffix(".py").removesuffix("/__init__").replace("/", ".") for name in files)
        parts = (path.split(".") for path in paths)
        modules = {".".join(own[:count]) for own in parts for count in range(1, len(own) + 1)}
        return cls(kinds, frozenset(modules))

    def kind(self, name: str) -> str | None:
        """What a name stands for, None for no name of the library."""
        if name in self.modules:
            return MODULE
        before, _, last = name.rpartition(".")
        unsure = before and before not in self.modules and PLAIN.fullmatch(last)
        found = None if unsure or len(last) < SHORTEST else self.kinds.get(last)
        return None if found == BUILTIN and before else found

    def tag(self, docstring: str) -> tuple[list[str], list[str]]:
        """The words of a docstring without its markup, and their tags (BIO)."""
        text, code = unmarked(docstring)
        spans = words(text)
        tags = [OUTSIDE] * len(spans)
        starts = {start: place for place, (start, _) in enumerate(spans)}
        for found in DOTTED.finditer(text):
            kind = self.kind(found[0])
            written = any(start <= found.start() < end for start, end in code) or text[found.end() :][:1] == "("
            if kind is None or (PLAIN.fullmatch(found[0]) and not written) or found.start() not in starts:
                continue
            place = starts[found.start()]
            while place < len(spans) and spans[place][1] <= found.end():
                tags[place] = f"{'B' if spans[place][0] == found.start() else 'I'}-{kind}"
                place += 1
        return [text[start:end] for start, end in spans], tags


def unmarked(docstring: str) -> tuple[str, list[tuple[int, int]]]:
    """The text without roles, links and backticks, and where it was written as code."""
    parts: list[str] = []
    code: list[tuple[int, int]] = []
    at = length = 0
    docstring = CUT.sub("", docstring) if docstring.count("`") % 2 else docstring
    for found in CODE.finditer(docstring):
        target = found["target"].strip()
        shown = target.rpartition(".")[2] if found["short"] else target
        before = docstring[at : found.start()]
        parts += [before, shown]
        code.append((length + len(before), length + len(before) + len(shown)))
        length, at = code[-1][1], found.end()
    return "".join([*parts, docstring[at:]]), code


def _kind(value: object) -> str | None:
    if isinstance(value, type):
        return EXCEPTION if issubclass(value, BaseException) else TYPE
    return BUILTIN if callable(value) else None


def _is_exception(name: str, classes: Mapping[str, Iterable[str]], kinds: Mapping[str, str], seen: set[str]) -> bool:
    """Whether it is derived from an exception, by names alone."""
    if kinds.get(name) == EXCEPTION:
        return True
    if name in seen:
        return False
    seen.add(name)
    return any(_is_exception(base, classes, kinds, seen) for base in classes.get(name, ()))
