"""`Block`: some rows of an input, small enough for memory, with all their columns."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sluice.errors import UserError

if TYPE_CHECKING:
    import pyarrow as pa

BLOCK_BYTES = 1 << 23
"""A block ends early at this size: rows can be long."""


@dataclass(frozen=True)
class Block:
    """Rows that follow each other in a file."""

    number: int
    lines: Sequence[int]
    """The physical line of each row (1-based); in Parquet the number of the row."""
    texts: Sequence[str]
    """What is predicted for; '' where the file has nothing."""
    rows: pa.Table | list[dict[str, Any]]
    """All columns with their types; of JSONL the objects as they stand."""

    def table(self, schema: pa.Schema) -> pa.Table:
        """The rows as a table of this schema; a key that an object lacks is null."""
        import pyarrow as pa

        if not isinstance(self.rows, list):
            return self.rows
        columns = [pa.array([row.get(field.name) for row in self.rows], field.type) for field in schema]
        return pa.Table.from_arrays(columns, schema=schema)

    def records(self) -> list[dict[str, Any]]:
        """The rows as objects."""
        return self.rows if isinstance(self.rows, list) else self.rows.to_pylist()


@contextmanager
def own_options() -> Iterator[None]:
    """Let errors of the readers for training name the options of this command."""
    try:
        yield
    except UserError as error:
        text = re.sub(r"data\.columns\.[^=\s]+=", "predict.column=", str(error))
        raise UserError(re.sub(r"data\.(encoding|format|delimiter|quoting)=", r"predict.\1=", text)) from error
