"""`Files`: rows from your own CSV, TSV, JSONL or Parquet files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import PurePath
from typing import TYPE_CHECKING, Literal, Self

from pydantic import Field, model_validator

from sluice.data.rows import make_table
from sluice.data.source import GROUP, Source
from sluice.data.sources.cells import Cells, Columns, decode, unpack
from sluice.data.sources.delimited import read_delimited
from sluice.data.sources.places import Place, expand
from sluice.data.sources.structured import read_jsonl, read_parquet, to_strings
from sluice.data.split import SIDES, TRAIN
from sluice.errors import UserError
from sluice.part import digest
from sluice.tasks.task import Kind

if TYPE_CHECKING:
    import pyarrow as pa

Format = Literal["csv", "tsv", "jsonl", "parquet"]
SUFFIXES: dict[str, Format] = {
    ".csv": "csv",
    ".tsv": "tsv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".parquet": "parquet",
}


Paths = str | tuple[str, ...]


class Files(Source):
    """One file or several, or those of each side of a published split. Text files may be gzipped."""

    train: Paths
    """Files of the training rows, or of all rows: a path, a glob, a URL (s3://, https://, ...), or a list of them."""
    validation: Paths | None = None
    """Files of the validation rows; null takes them from `train` by `split`."""
    test: Paths | None = None
    """Files of the test rows, kept as published; null takes them from `train` by `split`."""
    columns: dict[str, str | None] = Field(default_factory=dict)
    """Task column to file column, null where the names are the same; `group` names what must stay on one side."""
    format: Format | None = None
    """null: by the file's suffix."""
    encoding: str = "utf-8"
    """Of text files."""
    delimiter: str | None = Field(None, min_length=1, max_length=1)
    """Between fields; null: a comma in CSV, a tab in TSV."""
    quoting: Literal["standard", "none"] = "standard"
    """none: a quote is a character like any other."""
    header: bool = True
    """false: the first line is a row, and `columns` gives positions, counted from 1."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        names = [name for _, name in self._given()]
        if len(set(names)) < len(names):
            raise ValueError("train, validation and test must be different files")
        if not self.train:
            raise ValueError("train names no file")
        if not self.header:
            unplaced = [name for name in self.keep if name not in self.renamed]
            if unplaced:
                raise ValueError(f"header=false: give the position of '{unplaced[0]}', +data.columns.{unplaced[0]}=...")
            wrong = [name for name in self.renamed.values() if not name.isdigit() or name == "0"]
            if wrong:
                raise ValueError(f"header=false: columns are positions counted from 1, found '{wrong[0]}'")
        return self

    @property
    def renamed(self) -> dict[str, str]:
        """Task column to file column, of those whose names differ."""
        return {column: name for column, name in self.columns.items() if name is not None}

    def places(self) -> dict[str, list[Place]]:
        """The files that are given, by side. Raises UserError for one that is not there or stands on two sides."""
        found: dict[str, list[Place]] = {}
        sides: dict[str, str] = {}
        for side, name in self._given():
            for place in expand(name, f"data.{side}"):
                if sides.setdefault(place.name, side) != side:
                    raise UserError(f"{place.name} is in data.{sides[place.name]} and in data.{side}: leave it in one")
                if place not in found.setdefault(side, []):
                    found[side].append(place)
        return found

    def fingerprint(self) -> str:
        """SHA-256 of this configuration and the contents of the files, of remote ones the marks of their stores."""
        return digest({"source": self, "files": _marks(self.places())})

    def read(self, columns: Mapping[str, Kind]) -> pa.Table:
        """All rows of all files; the origin is `file:line`, in Parquet the number of the row."""
        wanted, first = self._wanted(tuple(columns)), next(iter(columns))
        values: dict[str, list[str]] = {column: [] for column in wanted}
        origin: list[str] = []
        sides: list[str | None] = []
        blank = 0
        places = self.places()
        for side, place in ((side, place) for side, some in places.items() for place in some):
            cells = self._cells(place, wanted)
            for column in wanted:
                values[column] += to_strings(
                    place.name, column, cells, numbers=column != first, kind=columns.get(column, "text")
                )
            origin += [f"{place.name}:{line}" for line in cells.lines]
            sides += [side if side != TRAIN or len(places) == len(SIDES) else None] * len(cells.lines)
            blank += cells.blank_lines
        groups = [group or None for group in values.pop(GROUP, [])]
        notes = {"files": _marks(places), "left_out": {"blank_lines": blank}}
        return make_table(values, origin, group=groups, side=sides, notes=notes)

    def _given(self) -> list[tuple[str, str]]:
        given = [(side, getattr(self, side)) for side in SIDES]
        return [
            (side, name) for side, paths in given if paths for name in ([paths] if isinstance(paths, str) else paths)
        ]

    def _wanted(self, columns: tuple[str, ...]) -> Columns:
        read = (*columns, *self.keep)
        unknown = sorted(set(self.renamed) - {*read, GROUP})
        if unknown:
            raise UserError(
                f"data.columns.{unknown[0]}: the task reads {', '.join(read)} (and {GROUP}). "
                f"Write data.columns.{columns[0]}={self.renamed[unknown[0]]}, or keep it: data.keep=[{unknown[0]}]"
            )
        if len(set(read)) < len(read):
            raise UserError(f"data.keep={list(self.keep)}: the task's own columns ({', '.join(columns)}) stay anyway")
        default = {column: column if self.header else str(at) for at, column in enumerate(read, 1)}
        wanted = default | self.renamed
        if len(set(wanted.values())) < len(wanted):
            raise UserError(f"data.columns={wanted}: two of them read the same column of the file")
        return wanted

    def _cells(self, place: Place, wanted: Columns) -> Cells:
        kind = self.format or _format_of(place.name)
        if kind == "parquet":
            return read_parquet(place.name, place.source(), wanted)
        text = decode(place.name, unpack(place.name, place.read()), self.encoding)
        if kind == "jsonl":
            return read_jsonl(place.name, text, wanted)
        delimiter = self.delimiter or {"csv": ",", "tsv": "\t"}[kind]
        quoted = self.quoting == "standard"
        return read_delimited(place.name, text, wanted, delimiter=delimiter, quoted=quoted, header=self.header)


def _marks(places: Mapping[str, Sequence[Place]]) -> dict[str, dict[str, str]]:
    return {side: {place.name: place.mark() for place in some} for side, some in places.items()}


def _format_of(name: str) -> Format:
    suffix = PurePath(name.removesuffix(".gz")).suffix.lower()
    if suffix not in SUFFIXES:
        raise UserError(f"{name}: format not known by its name. Say it: data.format=csv (or tsv, jsonl, parquet)")
    return SUFFIXES[suffix]
