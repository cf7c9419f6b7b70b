"""What a row is: the table every source returns, the normal form of a text and its hash."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from sluice.data.source import GROUP, ORIGIN, SIDE

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

NOTES = b"sluice"
"""The key in a table's metadata under which a source leaves what it read and what it left out, as JSON."""


def make_table(
    columns: Mapping[str, Sequence[str]],
    origin: Sequence[str],
    group: Sequence[str | None] | None = None,
    side: Sequence[str | None] | None = None,
    notes: Mapping[str, Any] | None = None,
) -> pa.Table:
    """The table that `Source.read` returns; no group and no side mean null in every row."""
    import pyarrow as pa

    empty: Sequence[str | None] = [None] * len(origin)
    values: dict[str, Any] = {**columns, GROUP: group or empty, SIDE: side or empty, ORIGIN: origin}
    table = pa.table({name: pa.array(column, pa.string()) for name, column in values.items()})
    return table.replace_schema_metadata({NOTES: json.dumps(notes or {})})


def notes_of(table: pa.Table) -> dict[str, Any]:
    """What the source noted: the files or pins it read, the rows it left out by reason."""
    notes: dict[str, Any] = json.loads((table.schema.metadata or {}).get(NOTES, b"{}"))
    return notes


def normalise(text: str) -> str:
    """Case folded, white space collapsed: two texts with one normal form are duplicates."""
    return " ".join(text.casefold().split())


def row_hashes(texts: Iterable[str]) -> npt.NDArray[np.uint64]:
    """BLAKE2b (8 bytes) of each normalised text, shape (rows,): a row's identity in manifests and digests."""
    import numpy as np

    hashes = b"".join(hashlib.blake2b(normalise(text).encode(), digest_size=8).digest() for text in texts)
    return np.frombuffer(hashes, ">u8").astype(np.uint64)


@contextmanager
def without_bars() -> Iterator[None]:
    """No progress bars of `datasets` inside."""
    import datasets

    quiet = datasets.are_progress_bars_disabled()
    datasets.disable_progress_bars()
    try:
        yield
    finally:
        if not quiet:
            datasets.enable_progress_bars()
