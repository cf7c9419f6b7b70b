"""`Hub`: rows of a data set on the Hugging Face hub, at one commit."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import Field, field_validator

from sluice.data.rows import make_table, without_bars
from sluice.data.source import GROUP, Source
from sluice.data.sources.cells import Cells, Columns, check_columns
from sluice.data.sources.structured import to_strings
from sluice.data.split import SIDES, TRAIN
from sluice.errors import UserError
from sluice.part import digest
from sluice.tasks.task import Kind

if TYPE_CHECKING:
    import pyarrow as pa
    from datasets import Dataset

COMMIT = re.compile(r"[0-9a-f]{40}")
SECONDS = 20
"""A hub that is silent for longer is reported, not waited for."""


class Hub(Source):
    """A data set by its id. Only its data files are read: code that comes with a data set is never run."""

    dataset: str = Field(pattern=r"^[\w.-]+(/[\w.-]+)?$")
    """Id, such as `stanfordnlp/imdb`."""
    revision: str | None = None
    """Commit, tag or branch. Only a whole commit names the same rows for ever; null is the newest."""
    subset: str | None = None
    """Configuration name, where the data set has several."""
    splits: dict[str, str | None]
    """Side to split of the data set (slices such as `test[:50%]` too); null takes the side from `train` by `split`."""
    columns: dict[str, str | None] = Field(default_factory=dict)
    """Task column to the data set's column, null for the same name; `group` names what must stay on one side."""

    @field_validator("splits")
    @classmethod
    def _sides(cls, splits: dict[str, str | None]) -> dict[str, str | None]:
        unknown = sorted(set(splits) - set(SIDES))
        if unknown or not splits.get(TRAIN):
            raise ValueError(f"sides are {', '.join(SIDES)} and train is needed, found {', '.join(splits) or 'none'}")
        given = [name for name in splits.values() if name]
        if len(set(given)) < len(given):
            raise ValueError("two sides name the same split")
        return splits

    @property
    def renamed(self) -> dict[str, str]:
        """Task column to the data set's column, of those whose names differ."""
        return {column: name for column, name in self.columns.items() if name is not None}

    def fingerprint(self) -> str:
        """SHA-256 of this configuration and the commit; nothing is downloaded for it."""
        return digest({"source": self, "commit": self.commit()})

    def commit(self) -> str:
        """The commit that `revision` stands for now; one given whole needs no network."""
        if self.revision and COMMIT.fullmatch(self.revision):
            return self.revision
        return _resolve(self.dataset, self.revision)

    def read(self, columns: Mapping[str, Kind]) -> pa.Table:
        """All rows; the origin is `dataset/split:row`, rows counted from 1."""
        commit = self.commit()
        wanted, first = self._wanted(tuple(columns)), next(iter(columns))
        values: dict[str, list[str]] = {column: [] for column in wanted}
        origin: list[str] = []
        sides: list[str | None] = []
        given = {side: self.splits[side] for side in SIDES if self.splits.get(side)}
        for side, split in given.items():
            place = f"{self.dataset}/{split}"
            cells = _cells(place, self._load(str(split), commit), wanted)
            for column in wanted:
                values[column] += to_strings(
                    place, column, cells, numbers=column != first, kind=columns.get(column, "text")
                )
            origin += [f"{place}:{line}" for line in cells.lines]
            sides += [side if side != TRAIN or len(given) == len(SIDES) else None] * len(cells.lines)
        groups = [group or None for group in values.pop(GROUP, [])]
        notes: dict[str, Any] = {"dataset": self.dataset, "commit": commit}
        if commit != self.revision:
            notes["warnings"] = [
                f"data.revision={self.revision or 'null'} may be other rows tomorrow: pin what was read today, "
                f"data.revision={commit}"
            ]
        return make_table(values, origin, group=groups, side=sides, notes=notes)

    def _wanted(self, columns: tuple[str, ...]) -> Columns:
        read = (*columns, *self.keep)
        unknown = sorted(set(self.renamed) - {*read, GROUP})
        if unknown or len(set(read)) < len(read):
            raise UserError(
                f"data.columns={self.renamed} data.keep={list(self.keep)}: the task reads {', '.join(columns)}, "
                f"columns may name these, those to keep and {GROUP}, each once"
            )
        return {column: column for column in read} | self.renamed

    def _load(self, split: str, commit: str) -> Dataset:
        import datasets

        if Path(self.dataset).exists():
            raise UserError(
                f"data.dataset={self.dataset}: a folder of that name lies here and would be read instead of the hub's. "
                "Start elsewhere, or read its files: data=files data.train='folder/*.parquet'"
            )
        with without_bars(), _explained(self.dataset, split):
            loaded: Dataset = datasets.load_dataset(
                self.dataset, self.subset, split=split, revision=commit, keep_in_memory=False
            )
        # Without network `datasets` takes whatever commit it has of that name, and only logs it.
        if any(commit not in Path(file["filename"]).parts for file in loaded.cache_files):
            raise UserError(
                f"{self.dataset}: the hub cannot be reached, and what was read here before is not {commit}.\n"
                "Give the commit that was (data.revision=...), or come back with a network"
            )
        return loaded


@cache
def _resolve(dataset: str, revision: str | None) -> str:
    from huggingface_hub import HfApi

    with _explained(dataset, revision or "its newest commit"):
        commit = HfApi().dataset_info(dataset, revision=revision, timeout=SECONDS).sha
    return str(commit)


def _cells(place: str, rows: Dataset, wanted: Columns) -> Cells:
    """The wanted columns, class numbers as their names; a missing class (-1) is empty."""
    from datasets import ClassLabel

    check_columns(place, wanted, rows.column_names)
    values: dict[str, list[object]] = {}
    for column, name in wanted.items():
        found: list[Any] = list(rows[name])
        kind = rows.features[name]
        inside = getattr(kind, "feature", None)
        if isinstance(kind, ClassLabel):
            found = [_class(kind.names, number) for number in found]
        elif isinstance(inside, ClassLabel):
            found = [[_class(inside.names, number) for number in some or ()] for some in found]
        values[column] = found
    return Cells(values, lines=list(range(1, len(rows) + 1)))


def _class(names: list[str], number: int | None) -> str | None:
    return None if number is None or number < 0 else names[number]


@contextmanager
def _explained(dataset: str, what: str) -> Iterator[None]:
    """Errors of the hub's clients in the user's words."""
    try:
        yield
    except Exception as error:
        kind, reason = type(error).__name__, " ".join(str(error).split())[:200]
        if _offline(error):
            raise UserError(
                f"{dataset} ({what}): the hub cannot be reached ({kind}: {reason}).\n"
                "Without network give a whole commit that was read here before (data.revision=...), or use data=files"
            ) from error
        raise UserError(
            f"{dataset} ({what}): {kind}: {reason}.\n"
            "See its page for data.revision, data.subset and data.splits; a private one needs HF_TOKEN"
        ) from error


def _offline(error: BaseException | None) -> bool:
    """Whether an error, or what it came from, is of the network and not of the hub's answer."""
    while error is not None:
        # The hub's client has changed its HTTP library twice: what they share is the name of the class.
        transport = any(kind.__name__ == "TransportError" for kind in type(error).__mro__)
        if transport or isinstance(error, ConnectionError | TimeoutError):
            return True
        error = error.__cause__ or error.__context__
    return False
