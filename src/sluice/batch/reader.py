"""`Reader`: an input file as blocks, in memory that does not grow with the file."""

from __future__ import annotations

import gzip
import io
import zlib
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from sluice.batch.blocks import BLOCK_BYTES, Block, own_options
from sluice.batch.settings import Predict
from sluice.data.sources.cells import Cells, check_columns
from sluice.data.sources.delimited import read_records
from sluice.data.sources.structured import json_object, to_strings
from sluice.data.sources.tabular import SUFFIXES
from sluice.errors import UserError

if TYPE_CHECKING:
    import pyarrow as pa

LONGEST_FIELD = 1 << 24
"""Characters in a quoted field. A stray quote would otherwise read a large file into memory."""


class Reader(ABC):
    """An input file. Every pass over it gives the same blocks."""

    def __init__(self, path: Path, settings: Predict) -> None:
        self.path, self.settings = path, settings
        self.share = 0.0
        """How much of the file the present pass has read."""

    @abstractmethod
    def blocks(self) -> Iterator[Block]:
        """All rows, in order."""

    @cached_property
    def names(self) -> list[str]:
        """The columns, in order."""
        return self._names()

    @cached_property
    def schema(self) -> pa.Schema:
        """The columns with their types."""
        return self._schema()

    @abstractmethod
    def _names(self) -> list[str]: ...

    @abstractmethod
    def _schema(self) -> pa.Schema: ...

    def _texts(self, values: list[Any], lines: list[int]) -> list[str]:
        column = self.settings.column
        with own_options():
            return to_strings(str(self.path), column, Cells({column: values}, lines), numbers=False)

    def _check_column(self, place: Path | str, names: list[str]) -> None:
        with own_options():
            check_columns(str(place), {"text": self.settings.column}, names)


class TextReader(Reader):
    """A file of lines: opened, unpacked and decoded as it is read."""

    _newline = "\n"
    _line = 0

    @contextmanager
    def _open(self) -> Iterator[IO[str]]:
        encoding = self.settings.encoding
        try:
            with self.path.open("rb") as raw:
                unpacked: Any = gzip.GzipFile(fileobj=raw) if self.path.suffix == ".gz" else raw
                name = "utf-8-sig" if encoding.lower().replace("_", "-") in ("utf-8", "utf8") else encoding
                self._raw, self._size = raw, max(1, self.path.stat().st_size)
                yield io.TextIOWrapper(unpacked, name, newline=self._newline)
        except LookupError as error:
            raise UserError(f"predict.encoding={encoding}: no such encoding. Common: utf-8, latin-1, cp1252") from error
        except UnicodeError as error:
            raise UserError(
                f"{self.path}: {error}, after line {self._line}. "
                "Name the file's encoding: predict.encoding=cp1252 (others: latin-1, gb18030, utf-16)"
            ) from error
        except (gzip.BadGzipFile, EOFError, zlib.error) as error:
            raise UserError(
                f"{self.path}: not a whole gzip file ({error}), after line {self._line}. Fetch it again, or rename it"
            ) from error

    def _chunks(self, rows: Iterator[tuple[int, int, Any]]) -> Iterator[tuple[int, list[int], list[Any]]]:
        """(line, size, row) as numbered blocks: (number, lines, rows)."""
        number, size = 0, 0
        lines: list[int] = []
        kept: list[Any] = []
        for line, weight, row in rows:
            lines.append(line)
            kept.append(row)
            size += weight
            if len(kept) >= self.settings.block_rows or size >= BLOCK_BYTES:
                self.share = self._raw.tell() / self._size
                yield number, lines, kept
                number, size, lines, kept = number + 1, 0, [], []
        self.share = 1.0
        if kept:
            yield number, lines, kept


class DelimitedReader(TextReader):
    """CSV and TSV: every column a string, read as strictly as for training."""

    _newline = ""  # as the csv module wants it

    def blocks(self) -> Iterator[Block]:
        """All rows; blank lines are none."""
        import pyarrow as pa

        with self._open() as stream:
            records = self._records(stream)
            names = self._header(records)
            place = [name.strip() for name in names].index(self.settings.column)
            schema = _strings(names)
            for number, lines, rows in self._chunks(self._checked(records, len(names))):
                columns = [pa.array(column, pa.string()) for column in zip(*rows, strict=True)]
                texts = self._texts([fields[place] for fields in rows], lines)
                yield Block(number, lines, texts, pa.Table.from_arrays(columns, schema=schema))

    def _names(self) -> list[str]:
        with self._open() as stream:
            return self._header(self._records(stream))

    def _schema(self) -> pa.Schema:
        return _strings(self.names)

    def _header(self, records: Iterator[tuple[int, list[str]]]) -> list[str]:
        line, names = next(((line, fields) for line, fields in records if fields), (0, []))
        if not names:
            raise UserError(f"{self.path}: no rows, the file is empty")
        plain = [name.strip() for name in names]
        self._check_column(self.path, plain)
        twice = [name for name in plain if plain.count(name) > 1]
        if twice:
            raise UserError(f"{self.path}:{line}: two columns are called '{twice[0]}'. Rename one")
        return names

    def _checked(self, records: Iterator[tuple[int, list[str]]], width: int) -> Iterator[tuple[int, int, list[str]]]:
        for line, fields in records:
            if fields and len(fields) != width:
                raise UserError(
                    f"{self.path}:{line}: {len(fields)} fields, expected {width}. Quote fields that hold the "
                    "delimiter or a line break, or name what divides them: predict.delimiter='\";\"'"
                )
            if fields:
                yield line, sum(map(len, fields)), fields

    def _records(self, stream: IO[str]) -> Iterator[tuple[int, list[str]]]:
        kind = _format(self.path, self.settings)
        quoted = self.settings.quoting == "standard"
        delimiter = self.settings.delimiter or {"csv": ",", "tsv": "\t"}[kind]
        with own_options():
            for line, fields in read_records(str(self.path), stream, delimiter, quoted, LONGEST_FIELD):
                yield line, fields
                self._line = line


class JsonlReader(TextReader):
    """One JSON object a line; objects may differ in their keys."""

    def blocks(self) -> Iterator[Block]:
        """All objects; blank lines are none."""
        column = self.settings.column
        for number, lines, rows in self._passes():
            yield Block(number, lines, self._texts([row[column] for row in rows], lines), rows)

    def _names(self) -> list[str]:
        """Every key, by where it comes first."""
        return list(dict.fromkeys(name for _, _, rows in self._passes() for row in rows for name in row))

    def _schema(self) -> pa.Schema:
        """The type that holds all values of a key."""
        import pyarrow as pa

        schema = pa.schema([])
        for _, lines, rows in self._passes():
            names = dict.fromkeys(name for row in rows for name in row)
            try:
                found = pa.schema([(name, pa.array([row.get(name) for row in rows]).type) for name in names])
                schema = pa.unify_schemas([schema, found], promote_options="permissive")
            except pa.ArrowException as error:
                raise UserError(
                    f"{self.path}:{lines[0]}-{lines[-1]}: values of a key are not of one type "
                    f"({str(error).splitlines()[0]}). An output ending in .jsonl keeps them as they are"
                ) from error
        return schema

    def _passes(self) -> Iterator[tuple[int, list[int], list[dict[str, Any]]]]:
        with self._open() as stream:
            yield from self._chunks(self._objects(stream))

    def _objects(self, stream: IO[str]) -> Iterator[tuple[int, int, dict[str, Any]]]:
        for number, line in enumerate(stream, 1):
            self._line = number
            if not line.strip():
                continue
            row = json_object(f"{self.path}:{number}", line, "for another format: predict.format=csv")
            if self.settings.column not in row:
                self._check_column(f"{self.path}:{number}", list(row))
            yield number, len(line), row


class ParquetReader(Reader):
    """Parquet: types are kept."""

    def blocks(self) -> Iterator[Block]:
        """All rows, over row groups of any size."""
        import pyarrow as pa

        file, wanted = self._file(), self.settings.block_rows
        waiting = file.schema_arrow.empty_table()
        number, before, total = 0, 0, max(1, file.metadata.num_rows)
        for batch in file.iter_batches(batch_size=min(wanted, 1024)):
            waiting = pa.concat_tables([waiting, pa.Table.from_batches([batch])])
            while waiting.num_rows >= wanted or waiting.nbytes >= BLOCK_BYTES:
                yield self._block(number, before, waiting.slice(0, wanted))
                number, before = number + 1, before + min(wanted, waiting.num_rows)
                waiting = waiting.slice(wanted)
                self.share = before / total
        self.share = 1.0
        if waiting.num_rows:
            yield self._block(number, before, waiting)

    def _names(self) -> list[str]:
        return list(self.schema.names)

    def _schema(self) -> pa.Schema:
        return self._file().schema_arrow

    def _block(self, number: int, before: int, table: pa.Table) -> Block:
        lines = list(range(before + 1, before + table.num_rows + 1))
        texts = self._texts(table.column(self.settings.column).to_pylist(), lines)
        return Block(number, lines, texts, table)

    def _file(self) -> Any:
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            file = pq.ParquetFile(self.path, buffer_size=1 << 20, pre_buffer=False)
        except pa.ArrowException as error:
            reason = str(error).splitlines()[0]
            raise UserError(
                f"{self.path}: not a Parquet file ({reason}). Another format? predict.format=csv"
            ) from error
        self._check_column(self.path, file.schema_arrow.names)
        return file


def open_reader(path: Path, settings: Predict) -> Reader:
    """The reader for a file, by the format that is said or by the suffix."""
    if not path.is_file():
        raise UserError(f"{path}: no such file, looked for from {Path.cwd()}. Name the rows: input=path/to/rows.csv")
    kind = _format(path, settings)
    if kind in ("csv", "tsv"):
        return DelimitedReader(path, settings)
    return JsonlReader(path, settings) if kind == "jsonl" else ParquetReader(path, settings)


def _format(path: Path, settings: Predict) -> str:
    suffix = Path(path.name.removesuffix(".gz")).suffix.lower()
    kind = settings.format or SUFFIXES.get(suffix)
    if kind is None:
        raise UserError(f"{path}: format not known by its name. Say it: predict.format=csv (or tsv, jsonl, parquet)")
    return kind


def _strings(names: list[str]) -> pa.Schema:
    import pyarrow as pa

    return pa.schema([(name, pa.string()) for name in names])
