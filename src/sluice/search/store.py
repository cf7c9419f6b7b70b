"""`Table`: passages and their vectors on disk. The only file that knows LanceDB.

Every write is one commit: a process that is killed leaves the table as it was before or after it. LanceDB starts
threads that do not survive a fork, so it is imported when a table is opened and never before.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

    Vectors = npt.NDArray[np.float32]
    Keys = npt.NDArray[np.int64]

NAME = "passages"
SHOWN = ["key", "content", "id", "title", "text", "source"]
EVERYTHING = 1 << 31
CHUNK = 4096
"""Keys in one condition."""


class Table:
    """A table of passages. Vectors have length 1, so that a cosine is a product."""

    def __init__(self, folder: Path) -> None:
        os.environ.setdefault("LANCEDB_LOG", "error")  # it would warn of a table that does not exist yet
        import lancedb

        self.folder = folder
        self._open: Any = lancedb.connect(str(folder))
        self._table: Any = None

    @property
    def exists(self) -> bool:
        """Whether anything was written yet."""
        return (self.folder / f"{NAME}.lance" / "_versions").exists()

    @property
    def table(self) -> Any:
        """LanceDB's own table."""
        if self._table is None:
            self._table = self._open.open_table(NAME)
        return self._table

    def add(self, columns: dict[str, list[Any]], vectors: Vectors) -> None:
        """Append rows in one commit; the first call makes the table."""
        import pyarrow as pa

        schema = _schema(vectors.shape[1])
        arrays = [pa.array(columns[name], schema.field(name).type) for name in SHOWN]
        packed = pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), vectors.shape[1])
        rows = pa.Table.from_arrays([*arrays, packed], schema=schema)
        if self.exists:
            self.table.add(rows)
        else:
            self._table = self._open.create_table(NAME, rows, mode="overwrite")

    def __len__(self) -> int:
        return int(self.table.count_rows()) if self.exists else 0

    def column(self, *names: str) -> Iterator[pa.RecordBatch]:
        """These columns of all rows, in pieces."""
        if self.exists:
            yield from self.table.search().select(list(names)).limit(EVERYTHING).to_batches()

    def keys(self) -> Keys:
        """The key of every row."""
        import numpy as np

        found = [batch.column("key").to_numpy() for batch in self.column("key")]
        return np.concatenate(found) if found else np.empty(0, np.int64)

    def contents(self) -> set[int]:
        """The digest of every text that has a vector."""
        return {value for batch in self.column("content") for value in batch.column("content").to_pylist()}

    def vectors(self, column: str, values: Sequence[int]) -> dict[int, Vectors]:
        """The vectors of rows by the key or the content that they have; those that are not there are left out."""
        found: dict[int, Vectors] = {}
        for condition in _conditions(column, values):
            rows = self.table.search().where(condition).select([column, "vector"]).limit(EVERYTHING).to_arrow()
            vectors = _unpacked(rows.column("vector"))
            found |= dict(zip(rows.column(column).to_pylist(), vectors, strict=True))
        return found

    def ids(self, keys: Sequence[int]) -> set[str]:
        """The documents that rows are of."""
        found: set[str] = set()
        for condition in _conditions("key", keys):
            rows = self.table.search().where(condition).select(["id"]).limit(EVERYTHING).to_arrow()
            found |= set(rows.column("id").to_pylist())
        return found

    def remove(self, keys: Sequence[int]) -> None:
        """Take rows out."""
        for condition in _conditions("key", keys):
            self.table.delete(condition)

    def tidy(self) -> None:
        """Join the files of many commits and remove what no row needs, the approximate index too.

        Nobody else may have the table open. LanceDB would change the groups of an index that is there.
        """
        for index in self.table.list_indices():
            self.table.drop_index(index.name)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of old versions that go: they are what should go
            self.table.optimize(cleanup_older_than=timedelta(0), delete_unverified=True)

    def approximate(self, partitions: int) -> None:
        """Build the approximate index anew: vectors as they are, in groups of neighbours."""
        self.table.create_index(
            metric="cosine", vector_column_name="vector", index_type="IVF_FLAT", num_partitions=partitions
        )

    def nearest(self, vectors: Vectors, k: int, probes: int | None, columns: Sequence[str]) -> list[pa.Table]:
        """The `k` rows of the highest cosine for each vector, best first, with a column `score`.

        Looks through `probes` groups of the approximate index; None compares with every row.
        """
        import pyarrow as pa
        import pyarrow.compute as pc

        asked = self.table.search(list(vectors), vector_column_name="vector").metric("cosine")
        asked = asked.bypass_vector_index() if probes is None else asked.nprobes(probes)
        found = asked.select([*columns, "_distance"]).limit(k).to_arrow()
        score = pc.subtract(pa.scalar(1.0, pa.float32()), found.column("_distance"))
        found = found.drop_columns(["_distance"]).append_column("score", score)
        if "query_index" not in found.column_names:  # there was one vector only
            return [found.sort_by([("score", "descending")])]
        each = [found.filter(pc.equal(found.column("query_index"), number)) for number in range(len(vectors))]
        return [one.drop_columns(["query_index"]).sort_by([("score", "descending")]) for one in each]


def _schema(width: int) -> pa.Schema:
    import pyarrow as pa

    text, number = pa.string(), pa.int64()
    fields = [("key", number), ("content", number), ("id", text), ("title", text), ("text", text), ("source", text)]
    return pa.schema([*fields, ("vector", pa.list_(pa.float32(), width))])


def _unpacked(column: Any) -> Vectors:
    import numpy as np

    lists = column.combine_chunks()
    values = lists.flatten().to_numpy(zero_copy_only=False)
    return values.reshape(len(lists), -1) if len(lists) else np.empty((0, 1), np.float32)


def _conditions(column: str, values: Sequence[int]) -> Iterator[str]:
    for start in range(0, len(values), CHUNK):
        yield f"{column} IN ({', '.join(map(str, values[start : start + CHUNK]))})"
