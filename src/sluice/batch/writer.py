"""`Writer`: rows with their predictions, to a file whose suffix says the format."""

from __future__ import annotations

import csv
import datetime
import decimal
import json
from abc import ABC, abstractmethod
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from sluice.batch.blocks import Block
from sluice.batch.readers.reader import Reader
from sluice.errors import UserError

if TYPE_CHECKING:
    import pyarrow as pa

ROW_GROUP_ROWS, ROW_GROUP_BYTES = 1 << 16, 1 << 25
"""A Parquet row group ends at whichever comes first."""


class Writer(ABC):
    """An output file that is being written."""

    @abstractmethod
    def write(self, block: Block, predicted: pa.Table) -> None:
        """Add the rows of a block and their predictions, whose columns have their final names."""

    @abstractmethod
    def close(self) -> None:
        """Finish the file."""


class JsonlWriter(Writer):
    """One object a row."""

    def __init__(self, path: Path) -> None:
        self.file = path.open("w", encoding="utf-8")

    def write(self, block: Block, predicted: pa.Table) -> None:
        """The rows as they are, the predictions after them."""
        for row, more in zip(block.records(), predicted.to_pylist(), strict=True):
            self.file.write(json.dumps({**row, **more}, ensure_ascii=False, default=_text) + "\n")

    def close(self) -> None:
        """Flush."""
        self.file.close()


class DelimitedWriter(Writer):
    """CSV or TSV, quoted where needed; null is an empty field, what is not plain is JSON."""

    def __init__(self, path: Path, names: list[str], delimiter: str) -> None:
        self.names = names
        self.file: IO[str] = path.open("w", encoding="utf-8", newline="")
        self.writer = csv.writer(self.file, delimiter=delimiter, lineterminator="\n")
        self._header = False

    def write(self, block: Block, predicted: pa.Table) -> None:
        """The header before the first row."""
        if not self._header:
            self.writer.writerow([*self.names, *predicted.column_names])
            self._header = True
        for row, more in zip(block.records(), predicted.to_pylist(), strict=True):
            self.writer.writerow([_cell(row.get(name)) for name in self.names] + [_cell(one) for one in more.values()])

    def close(self) -> None:
        """Flush."""
        self.file.close()


class ParquetWriter(Writer):
    """Columns with the types of the input."""

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        self.path, self.schema = path, schema
        self.file: Any = None
        self.waiting: list[pa.Table] = []

    def write(self, block: Block, predicted: pa.Table) -> None:
        """Row groups are larger than blocks: readers want them so."""
        table = block.table(self.schema)
        for name in predicted.column_names:
            table = table.append_column(name, predicted.column(name))
        self.waiting.append(table)
        rows, size = sum(one.num_rows for one in self.waiting), sum(one.nbytes for one in self.waiting)
        if rows >= ROW_GROUP_ROWS or size >= ROW_GROUP_BYTES:
            self._flush()

    def _flush(self) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        if self.waiting:
            table = pa.concat_tables(self.waiting)
            self.file = self.file or pq.ParquetWriter(self.path, table.schema)
            self.file.write_table(table)
        self.waiting = []

    def close(self) -> None:
        """Write what waits, and the footer."""
        self._flush()
        if self.file:
            self.file.close()


FORMATS = {".jsonl": "jsonl", ".ndjson": "jsonl", ".csv": "csv", ".tsv": "tsv", ".parquet": "parquet"}


def output_format(path: Path) -> str:
    """What the suffix asks for."""
    if path.suffix.lower() not in FORMATS:
        raise UserError(f"output={path}: the suffix says the format, expected one of {', '.join(FORMATS)}")
    return FORMATS[path.suffix.lower()]


def open_writer(path: Path, kind: str, reader: Reader) -> Writer:
    """A writer for the reader's rows. JSONL that becomes a table is read once for its columns."""
    if kind == "jsonl":
        return JsonlWriter(path)
    if kind == "parquet":
        return ParquetWriter(path, reader.schema)
    return DelimitedWriter(path, reader.names, {"csv": ",", "tsv": "\t"}[kind])


def _cell(value: Any) -> Any:
    if value is None:
        return ""
    if isinstance(value, bool | list | dict):
        return json.dumps(value, ensure_ascii=False, default=_text)
    return value if isinstance(value, str | int | float) else _text(value)


def _text(value: Any) -> str:
    if isinstance(value, datetime.datetime | datetime.date | datetime.time):
        return value.isoformat()
    if isinstance(value, decimal.Decimal | datetime.timedelta):
        return str(value)
    raise UserError(f"a column holds {type(value).__name__}, which text cannot: name an output that ends in .parquet")
