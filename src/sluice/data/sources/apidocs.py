"""`ApiDocs`: docstrings of the pinned packages as text, their area as label. Needs no download."""

from __future__ import annotations

import hashlib
import importlib.metadata
import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import Field, field_validator

from sluice.data.rows import make_table
from sluice.data.source import Source
from sluice.data.sources import docstrings
from sluice.errors import UserError
from sluice.files import file_digest
from sluice.part import digest
from sluice.tasks.task import Kind

if TYPE_CHECKING:
    import pyarrow as pa

MASK = "PKG"
"""What stands where an alias stood."""
FILES_AT_ONCE = 800


class ApiDocs(Source):
    """Docstrings of installed packages, labelled by a map from module to topic. Groups are files."""

    topics: dict[str, str] = Field(min_length=1)
    """Module prefix to topic; the longest prefix wins, and the topic '' leaves a part out."""
    aliases: tuple[str, ...] = ()
    """Names that give the topic away: packages, and how people abbreviate them."""
    mask: bool = True
    """Replace the aliases, so that the text has to say what it is about."""
    paragraphs: int | None = Field(None, ge=1)
    """Keep that many first paragraphs of a docstring; null keeps all."""
    max_characters: int = Field(400, ge=20)
    """Cut the text at the last whole word within that many characters."""
    min_words: int = Field(6, ge=1)
    """Leave out shorter texts."""
    max_rows_per_label: int | None = Field(None, ge=1)
    """At most that many distinct texts a topic, chosen by a hash of the text; null takes all."""

    @field_validator("topics")
    @classmethod
    def _modules(cls, topics: dict[str, str]) -> dict[str, str]:
        for module in topics:
            if not all(part.isidentifier() for part in module.split(".")):
                raise ValueError(f"'{module}' is not a module name such as torch.nn")
        return topics

    def fingerprint(self) -> str:
        """SHA-256 of this configuration and the versions of the packages that are read."""
        return digest({"source": self, "pins": self.pins()})

    def pins(self) -> list[str]:
        """`name==version` of every package that is read. Raises UserError for one that is not installed."""
        return sorted({pin for package in self._packages() for pin in _pins(package)})

    def read(self, columns: Mapping[str, Kind]) -> pa.Table:
        """One row a docstring: text, label, its file as group, `file:line` as origin."""
        self.refuse_others(columns, ("text", "label"), ("text",))
        topics, parsed = self.parse()
        rows = self._capped([(doc, topics[doc.file]) for doc in parsed.docs])
        notes = {
            "pins": self.pins(),
            "left_out": {"too_short": parsed.short, "over_cap": len(parsed.docs) - len(rows)},
            "unreadable": parsed.unreadable,
        }
        values = {"text": self._masked([doc.text for doc, _ in rows]), "label": [topic for _, topic in rows]}
        return make_table(
            {name: values[name] for name in columns},
            origin=[f"{doc.file}:{doc.line}" for doc, _ in rows],
            group=[doc.file for doc, _ in rows],
            notes=notes,
        )

    def parse(self) -> tuple[dict[str, str], docstrings.Parsed]:
        """The topic of each file that is read, and the docstrings of all of them as they stand there."""
        files = self._files()
        parsed = docstrings.parse_files(
            {name: path for name, (path, _) in files.items()},
            paragraphs=self.paragraphs,
            max_characters=self.max_characters,
            min_words=self.min_words,
        )
        return {name: topic for name, (_, topic) in files.items()}, parsed

    def whole(self) -> Iterator[docstrings.Doc]:
        """Every docstring, some hundred files after the other, so that never all of them are in memory."""
        files = {name: path for name, (path, _) in self._files().items()}
        names = sorted(files)
        for start in range(0, len(names), FILES_AT_ONCE):
            parsed = docstrings.parse_files(
                {name: files[name] for name in names[start : start + FILES_AT_ONCE]},
                paragraphs=self.paragraphs,
                max_characters=self.max_characters,
                min_words=self.min_words,
            )
            yield from parsed.docs

    def topic(self, file: str) -> str:
        """The topic of a file such as `torch/nn/functional.py`, '' for one that is left out."""
        module = file.removesuffix(".py").replace("/", ".")
        while module and module not in self.topics:
            module = module.rpartition(".")[0]
        return self.topics.get(module, "")

    def _packages(self) -> list[str]:
        return sorted({module.split(".")[0] for module in self.topics})

    def _files(self) -> dict[str, tuple[str, str]]:
        files = [item for package in self._packages() for item in _files_of(package).items()]
        return {name: (path, topic) for name, path in files if (topic := self.topic(name))}

    def _capped(self, rows: list[tuple[docstrings.Doc, str]]) -> list[tuple[docstrings.Doc, str]]:
        if self.max_rows_per_label is None:
            return rows
        keys = [hashlib.blake2b(doc.text.encode(), digest_size=8).digest() for doc, _ in rows]
        by_topic: dict[str, set[bytes]] = {}
        for (_, topic), key in zip(rows, keys, strict=True):
            by_topic.setdefault(topic, set()).add(key)
        # Repeats of a chosen text stay: they are duplicates, and those are counted as such later.
        chosen = {topic: set(sorted(found)[: self.max_rows_per_label]) for topic, found in by_topic.items()}
        return [row for row, key in zip(rows, keys, strict=True) if key in chosen[row[1]]]

    def _masked(self, texts: list[str]) -> list[str]:
        if not (self.mask and self.aliases):
            return texts
        names = "|".join(re.escape(name) for name in sorted(self.aliases, key=len, reverse=True))
        alias = re.compile(rf"(?<![A-Za-z0-9])(?:{names})(?![A-Za-z0-9])", re.IGNORECASE)
        return [alias.sub(MASK, text) for text in texts]


def _files_of(package: str) -> dict[str, str]:
    try:
        return docstrings.find_files(package)
    except ModuleNotFoundError as error:
        raise UserError(
            f"data.topics names the package '{package}', which is not installed. "
            "Install the pins (make install), or take it out of data.topics in conf/data/apidocs.yaml"
        ) from error


@cache
def _distributions() -> Mapping[str, list[str]]:
    return importlib.metadata.packages_distributions()


def _pins(package: str) -> list[str]:
    """`name==version` of what the package came with; code without a distribution is told by its contents."""
    names = _distributions().get(package)
    if names is None:
        contents = {name: file_digest(Path(path)) for name, path in _files_of(package).items()}
        return [f"{package}@{digest(contents)[:16]}"]
    # A local part such as +cpu names another build of the same Python files.
    return [f"{name}=={importlib.metadata.version(name).partition('+')[0]}" for name in names]
