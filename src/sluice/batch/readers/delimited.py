"""CSV and TSV."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING

from sluice.batch.blocks import Block, own_options
from sluice.batch.readers.lines import TextReader
from sluice.batch.settings import Predict
from sluice.data.sources.delimited import read_records
from sluice.errors import UserError

if TYPE_CHECKING:
    import pyarrow as pa

LONGEST_FIELD = 1 << 24
"""Characters in a quoted field. A stray quote would otherwise read a large file into memory."""


class DelimitedReader(TextReader):
    """CSV and TSV: every column a string, read as strictly as for training."""

    _newline = ""  # as the csv module wants it

    def __init__(self, path: Path, settings: Predict, delimiter: str) -> None:
        super().__init__(path, settings)
        self.delimiter = settings.delimiter or delimiter

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
        quoted = self.settings.quoting == "standard"
        with own_options():
            for line, fields in read_records(str(self.path), stream, self.delimiter, quoted, LONGEST_FIELD):
                yield line, fields
                self._line = line


def _strings(names: list[str]) -> pa.Schema:
    import pyarrow as pa

    return pa.schema([(name, pa.string()) for name in names])
