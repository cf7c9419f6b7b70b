"""Which reader a file wants."""

from __future__ import annotations

from pathlib import Path

from sluice.batch.readers.delimited import DelimitedReader
from sluice.batch.readers.jsonl import JsonlReader
from sluice.batch.readers.parquet import ParquetReader
from sluice.batch.readers.reader import Reader
from sluice.batch.settings import Predict
from sluice.data.sources.tabular import SUFFIXES
from sluice.errors import UserError

DELIMITERS = {"csv": ",", "tsv": "\t"}


def open_reader(path: Path, settings: Predict) -> Reader:
    """The reader for a file, by the format that is said or by the suffix."""
    if not path.is_file():
        raise UserError(f"{path}: no such file, looked for from {Path.cwd()}. Name the rows: input=path/to/rows.csv")
    kind = _format(path, settings)
    if kind in DELIMITERS:
        return DelimitedReader(path, settings, DELIMITERS[kind])
    return JsonlReader(path, settings) if kind == "jsonl" else ParquetReader(path, settings)


def _format(path: Path, settings: Predict) -> str:
    suffix = Path(path.name.removesuffix(".gz")).suffix.lower()
    kind = settings.format or SUFFIXES.get(suffix)
    if kind is None:
        raise UserError(f"{path}: format not known by its name. Say it: predict.format=csv (or tsv, jsonl, parquet)")
    return kind
