"""`Source`: where rows come from."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from pydantic import Field

from sluice.part import Part

if TYPE_CHECKING:
    import pyarrow as pa

GROUP, SIDE, ORIGIN = "group", "side", "origin"
"""The columns that every source adds: what must stay together, the side the user gave (or null), `file:line`."""


class Split(Part):
    """How rows are divided: by a seeded hash of their group, so that old rows never change sides."""

    validation: float = Field(0.15, gt=0, lt=0.5)
    """Share of groups for validation."""
    test: float = Field(0.15, gt=0, lt=0.5)
    """Share of groups for the test."""
    seed: int = 0
    """Another seed is another division of the same rows."""


class Source(Part, ABC):
    """A place that rows are read from."""

    name: str
    """What models trained on these rows are called, unless `name=` says otherwise."""
    split: Split = Split()

    @abstractmethod
    def fingerprint(self) -> str:
        """SHA-256 of what would be read, found without parsing it: it decides whether a stage runs again."""

    @abstractmethod
    def read(self, columns: tuple[str, ...]) -> pa.Table:
        """All rows: `columns` of the task, then `group`, `side` and `origin`, all strings.

        Errors are `UserError`s that name file, line and column and the option that would read it.
        """
