"""JSON objects, one a line."""

from __future__ import annotations

from collections.abc import Iterator
from typing import IO, TYPE_CHECKING, Any

from sluice.batch.blocks import Block
from sluice.batch.readers.lines import TextReader
from sluice.data.sources.structured import json_object
from sluice.errors import UserError

if TYPE_CHECKING:
    import pyarrow as pa


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
