"""A corpus without documents that are nearly the same as an earlier one, for millions of documents in little memory.

MinHash finds candidates and the exact Jaccard similarity of their shingles decides, as for rows. The texts to compare
with wait on disk; memory holds 200 bytes a document that stays: 16 band keys of 8, a signature of 64, and an offset.
"""

from __future__ import annotations

import json
from array import array
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from sluice.data.duplicates import BANDS, BINS, SLACK, WINDOW, band_keys, jaccard, signatures_of, spared
from sluice.data.rows import normalise
from sluice.data.sources.corpus import BLOCK, Corpus, Counts
from sluice.files import write_json

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Prints = npt.NDArray[np.void]
    Ints = npt.NDArray[np.int64]
    Mask = npt.NDArray[np.bool_]

PRINT = [("marks", "u1", BINS), ("keys", "u4", BANDS), ("size", "i8")]
"""What is kept of a document: a byte of each minimal hash, a key for each band, bytes of its normal form."""
REASON = "near_duplicate"


def without_near_duplicates(corpus: Corpus, threshold: float, folder: Path) -> Corpus:
    """The same corpus but for near-duplicates of earlier documents, the shards in their order.

    One pass finds them and leaves their places in `folder`; shards that a killed call has finished are not read again.
    """
    import numpy as np

    folder.mkdir(parents=True, exist_ok=True)
    files = [folder / f"{number:05d}.json" for number in range(len(corpus.shards))]
    if not all(file.exists() for file in files):
        texts = folder / "texts"
        texts.touch()
        with texts.open("r+b") as waiting:
            index = Index(threshold, waiting)
            for read, file in zip(corpus.shards, files, strict=True):
                if file.exists():
                    index.add(np.fromfile(file.with_suffix(".prints"), PRINT))
                else:
                    _write_places(read, index, file)
        texts.unlink()
    shards = [partial(_filtered, read, file) for read, file in zip(corpus.shards, files, strict=True)]
    return replace(corpus, shards=shards)


class Index:
    """Documents that stay, to be found by those that are nearly the same."""

    def __init__(self, threshold: float, texts: BinaryIO) -> None:
        self.threshold = threshold
        self.texts = texts
        """The normal forms of the documents, one after the other."""
        self._starts = array("q", [0])
        self._marks = bytearray()
        self._runs: list[npt.NDArray[np.uint64]] = []
        """Keys of all bands with the number of their document, sorted; each run is at most half of the one before."""

    def near(self, texts: Sequence[str], prints: Prints) -> Mask:
        """Which of these documents, given in normal form, are near one that stays."""
        import numpy as np

        rows, numbers = self._candidates(prints)
        marks = np.frombuffer(self._marks, np.uint8).reshape(-1, BINS)
        alike = (prints["marks"][rows] == marks[numbers]).mean(axis=1) >= self.threshold - SLACK
        rows, numbers = rows[alike], numbers[alike]
        distinct, places = np.unique(numbers, return_inverse=True)
        both = [*texts, *map(self._text, distinct.tolist())]
        pairs = np.stack([rows, places + len(texts)], axis=1)
        found = np.zeros(len(texts), bool)
        found[rows[jaccard(both, pairs) >= self.threshold]] = True
        return found

    def add(self, prints: Prints, texts: Sequence[str] | None = None) -> None:
        """Keep documents; without `texts`, theirs are on disk already."""
        import numpy as np

        count = len(self._starts) - 1
        if texts is not None:
            self.texts.seek(self._starts[-1])
            self.texts.write("".join(texts).encode())
        if not len(prints):
            return
        self._starts.extend((self._starts[-1] + np.cumsum(prints["size"])).tolist())
        self._marks += prints["marks"].tobytes()
        numbers = np.arange(count, count + len(prints), dtype=np.uint64)
        keys = prints["keys"].astype(np.uint64) * np.uint64(1 << 32) + numbers[:, None]
        self._runs.append(np.sort(keys.ravel()))
        while len(self._runs) > 1 and len(self._runs[-2]) < 2 * len(self._runs[-1]):
            self._runs.append(np.sort(np.concatenate([self._runs.pop(), self._runs.pop()])))

    def _candidates(self, prints: Prints) -> tuple[Ints, Ints]:
        """Rows and the numbers of documents that share a band with them, the first `WINDOW` of each bucket of a run."""
        import numpy as np

        wanted, count = prints["keys"].ravel().astype(np.uint64), len(self._starts)
        found = [np.empty(0, np.int64)]
        for run in self._runs:
            start = np.searchsorted(run, wanted * np.uint64(1 << 32))
            asking = np.arange(len(wanted))
            for lag in range(WINDOW):
                asking = asking[start[asking] + lag < len(run)]
                met = run[start[asking] + lag]
                same = met >> np.uint64(32) == wanted[asking]
                asking = asking[same]
                found.append(asking // BANDS * count + (met[same] & np.uint64(0xFFFFFFFF)).astype(np.int64))
        pairs = np.unique(np.concatenate(found))
        return pairs // count, pairs % count

    def _text(self, number: int) -> str:
        self.texts.seek(self._starts[number])
        return self.texts.read(self._starts[number + 1] - self._starts[number]).decode()


def _write_places(read: Callable[[Counts], Iterator[str]], index: Index, file: Path) -> None:
    """Write the places of a shard's near-duplicates, and beside them what is kept of its other documents."""
    import numpy as np

    documents, places, at = read(Counter()), list[int](), 0
    with file.with_suffix(".prints").open("wb") as kept:
        while block := list(islice(documents, BLOCK)):
            texts = [normalise(text) for text in block]
            prints = _prints(texts)
            gone = index.near(texts, prints)
            _thin(texts, prints, gone, index.threshold)
            index.add(prints[~gone], [text for text, out in zip(texts, gone.tolist(), strict=True) if not out])
            prints[~gone].tofile(kept)
            places += (at + np.flatnonzero(gone)).tolist()
            at += len(block)
    index.texts.flush()
    write_json(file, places)


def _prints(texts: Sequence[str]) -> Prints:
    """What is kept of each text."""
    import numpy as np

    signatures, found = signatures_of(texts), np.empty(len(texts), PRINT)
    for band in range(BANDS):
        key = (band_keys(signatures, band) + np.uint64(band)) * np.uint64(0xD6E8FEB86659FD93)
        found["keys"][:, band] = key >> np.uint64(32)
    found["marks"] = signatures * np.uint32(0x9E3779B1) >> np.uint32(24)
    found["size"] = [len(text.encode()) for text in texts]
    return found


def _thin(texts: Sequence[str], prints: Prints, gone: Mask, threshold: float) -> None:
    """Add to `gone` the documents of one block that are near an earlier one of it."""
    import numpy as np

    while True:  # one round finds not all pairs of a text with very many copies
        left = np.flatnonzero(~gone)
        pairs = left[_pairs(prints["keys"][left])]
        alike = (prints["marks"][pairs[:, 0]] == prints["marks"][pairs[:, 1]]).mean(axis=1) >= threshold - SLACK
        pairs = pairs[alike]
        out = spared(pairs[jaccard(texts, pairs) >= threshold], np.ones(len(texts), bool))
        if not out.any():
            return
        gone |= out


def _pairs(keys: npt.NDArray[np.uint32]) -> Ints:
    """Rows that share a key, each with the next `WINDOW` of its bucket; shape (pairs, 2), sorted."""
    import numpy as np

    order = np.argsort(keys.ravel(), kind="stable")
    flat, rows = keys.ravel()[order], order // BANDS
    found = [np.empty(0, np.int64)]
    for lag in range(1, WINDOW + 1):
        same = np.flatnonzero((flat[:-lag] == flat[lag:]) & (rows[:-lag] != rows[lag:]))
        found.append(rows[same] * len(keys) + rows[same + lag])
    pairs = np.unique(np.concatenate(found))
    return np.stack([pairs // max(1, len(keys)), pairs % max(1, len(keys))], axis=1)


def _filtered(read: Callable[[Counts], Iterator[str]], file: Path, left_out: Counts) -> Iterator[str]:
    """The documents of a shard but for those at the places in a file."""
    places = set(json.loads(file.read_text(encoding="utf-8")))
    left_out[REASON] += len(places)
    yield from (text for at, text in enumerate(read(left_out)) if at not in places)
