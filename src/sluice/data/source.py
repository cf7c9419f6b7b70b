"""`Source`: where rows come from."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

from pydantic import Field, field_validator

from sluice.errors import UserError
from sluice.part import Part
from sluice.tasks.task import Kind

if TYPE_CHECKING:
    import pyarrow as pa

GROUP, SIDE, ORIGIN = "group", "side", "origin"
"""The columns that every source adds: what must stay together, the side the user gave (or null), `file:line`."""
RESERVED = (GROUP, SIDE, ORIGIN, "row")
"""Names that the prepared rows use themselves."""


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
    keep: tuple[str, ...] = ()
    """Further columns that stay with the rows, as strings: evaluation slices by them, and their drift is measured."""
    train_rows: int | None = Field(None, ge=1)
    """Learn from at most that many training rows, chosen by their hashes; a smaller number takes a part of them."""

    near_duplicates: Literal["keep", "drop"] = "keep"
    """drop: of texts that are nearly the same one stays, and those nearly the same as a published row go.
    keep: they share a side. Published validation and test rows always stay."""
    near_duplicate_threshold: float = Field(0.8, ge=0.7, le=1)
    """Share of the 5-character shingles of two texts, out of those of either, from which they are nearly the same.
    Below 0.7 one pair in a hundred would be missed."""

    @field_validator("keep")
    @classmethod
    def _free_names(cls, keep: tuple[str, ...]) -> tuple[str, ...]:
        for name in keep:
            if name in RESERVED or keep.count(name) > 1:
                raise ValueError(
                    f"'{name}' is {'there twice' if keep.count(name) > 1 else 'always kept'}: leave it out"
                )
        return keep

    def refuse_others(self, columns: Mapping[str, Kind], *given: tuple[str, ...]) -> None:
        """Raise UserError for a task whose columns are none of the sets that these rows have, and for `keep`."""
        if tuple(columns) not in given:
            known = ", or ".join(" and ".join(names) for names in given)
            raise UserError(f"data={self.name} has {known}, this task reads {', '.join(columns)}: use data=files")
        if self.keep:
            raise UserError(f"data={self.name} has no column '{self.keep[0]}' to keep: data.keep=[]")

    @abstractmethod
    def fingerprint(self) -> str:
        """SHA-256 of what would be read, found without parsing it: it decides whether a stage runs again."""

    @abstractmethod
    def read(self, columns: Mapping[str, Kind]) -> pa.Table:
        """All rows: `columns` of the task, those of `keep`, then `group`, `side` and `origin`, all strings.

        Of a column whose cells may be lists, every item is a line of the string.

        Errors are `UserError`s that name file, line and column and the option that would read it.
        """
