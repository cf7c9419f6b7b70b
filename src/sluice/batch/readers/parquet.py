"""Parquet."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from sluice.batch.blocks import BLOCK_BYTES, Block
from sluice.batch.readers.reader import Reader
from sluice.errors import UserError

if TYPE_CHECKING:
    import pyarrow as pa


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
