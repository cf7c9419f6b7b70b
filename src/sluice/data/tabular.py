"""`Files`: rows from your own CSV, TSV, JSONL or Parquet files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal, Self

from pydantic import Field, model_validator

from sluice.data.cells import Cells, Columns, decode, read_bytes
from sluice.data.delimited import read_delimited
from sluice.data.rows import make_table
from sluice.data.source import GROUP, Source
from sluice.data.split import SIDES, TRAIN
from sluice.data.structured import read_jsonl, read_parquet, to_strings
from sluice.errors import UserError
from sluice.files import file_digest
from sluice.part import digest

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


class Files(Source):
    """One file, or one a side of a published split. Text files may be gzipped."""

    train: str
    """File of the training rows, or of all rows."""
    validation: str | None = None
    """File of the validation rows; null takes them from `train` by `split`."""
    test: str | None = None
    """File of the test rows, kept as published; null takes them from `train` by `split`."""
    columns: dict[str, str] = Field(default_factory=dict)
    """Task column to file column, where the names differ; `group` names what must stay on one side."""
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
        paths = list(self.paths().values())
        if len(set(paths)) < len(paths):
            raise ValueError("train, validation and test must be different files")
        if not self.header:
            wrong = [name for name in self.columns.values() if not name.isdigit() or name == "0"]
            if wrong:
                raise ValueError(f"header=false: columns are positions counted from 1, found '{wrong[0]}'")
        return self

    def paths(self) -> dict[str, Path]:
        """The files that are given, by side."""
        given = {side: getattr(self, side) for side in SIDES}
        return {side: Path(name).expanduser() for side, name in given.items() if name is not None}

    def fingerprint(self) -> str:
        """SHA-256 of this configuration and the contents of the files."""
        return digest({"source": self, "files": self._digests()})

    def read(self, columns: tuple[str, ...]) -> pa.Table:
        """All rows of all files; the origin is `file:line`, in Parquet the number of the row."""
        wanted = self._wanted(columns)
        values: dict[str, list[str]] = {column: [] for column in wanted}
        origin: list[str] = []
        sides: list[str | None] = []
        blank = 0
        complete = len(self.paths()) == len(SIDES)
        for side, path in self.paths().items():
            cells = self._cells(_existing(path), wanted)
            for column in wanted:
                values[column] += to_strings(path, column, cells, numbers=column != columns[0])
            origin += [f"{path}:{line}" for line in cells.lines]
            sides += [side if side != TRAIN or complete else None] * len(cells.lines)
            blank += cells.blank_lines
        groups = [group or None for group in values.pop(GROUP, [])]
        notes = {"files": self._digests(), "left_out": {"blank_lines": blank}}
        return make_table(values, origin, group=groups, side=sides, notes=notes)

    def _digests(self) -> dict[str, str]:
        return {side: file_digest(_existing(path)) for side, path in self.paths().items()}

    def _wanted(self, columns: tuple[str, ...]) -> Columns:
        unknown = sorted(set(self.columns) - {*columns, GROUP})
        if unknown:
            raise UserError(
                f"data.columns.{unknown[0]}: the task reads {', '.join(columns)} (and {GROUP}). "
                f"Write data.columns.{columns[0]}={self.columns[unknown[0]]}"
            )
        default = {column: column if self.header else str(at) for at, column in enumerate(columns, 1)}
        wanted = default | self.columns
        if len(set(wanted.values())) < len(wanted):
            raise UserError(f"data.columns={wanted}: two of them read the same column of the file")
        return wanted

    def _cells(self, path: Path, wanted: Columns) -> Cells:
        kind = self.format or _format_of(path)
        if kind == "parquet":
            return read_parquet(path, wanted)
        text = decode(path, read_bytes(path), self.encoding)
        if kind == "jsonl":
            return read_jsonl(path, text, wanted)
        delimiter = self.delimiter or {"csv": ",", "tsv": "\t"}[kind]
        quoted = self.quoting == "standard"
        return read_delimited(path, text, wanted, delimiter=delimiter, quoted=quoted, header=self.header)


def _existing(path: Path) -> Path:
    if not path.is_file():
        where = "" if path.is_absolute() else f", looked for from {Path.cwd()}"
        raise UserError(f"{path}: no such file{where}. Name yours: data.train=path/to/rows.csv")
    return path


def _format_of(path: Path) -> Format:
    suffix = Path(path.name.removesuffix(".gz")).suffix.lower()
    if suffix not in SUFFIXES:
        raise UserError(f"{path}: format not known by its name. Say it: data.format=csv (or tsv, jsonl, parquet)")
    return SUFFIXES[suffix]
