"""Near-duplicate texts: MinHash finds candidates, the exact Jaccard similarity of their shingles decides."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Ints = npt.NDArray[np.int64]
    Hashes = npt.NDArray[np.uint64]
    Signatures = npt.NDArray[np.uint32]
    Mask = npt.NDArray[np.bool_]

SHINGLE = 5
"""Characters in a shingle: words would leave out languages that write none."""
BINS, BANDS = 64, 16
"""16 bands of 4 bins find 99.9 % of the pairs with similarity 0.8, and 64 % of those with 0.5."""
SLACK = 0.2
"""Candidates whose signatures agree by less than the threshold minus this (4 sigma) are left out."""
CHUNK = 1 << 21
"""Characters hashed at a time."""
WINDOW = 8
"""Neighbours that a row meets in a bucket, to bound the cost: 8 miss one link of apidocs that 100 find."""
STEP = 20_000
"""Pairs verified at a time."""
MIX = 0x9E3779B97F4A7C15


def near_pairs(texts: Sequence[str], threshold: float = 0.8) -> Ints:
    """Pairs of rows whose sets of 5-character shingles have a Jaccard similarity of at least `threshold`.

    Texts are compared as given: normalise them first. Shape (pairs, 2), sorted, the smaller index first.
    A text with very many copies is not paired with each of them, but `clusters` joins them all. Signatures
    follow Li, Owen and Zhang, "One Permutation Hashing", NIPS 2012, with empty bins filled by rotation.
    """
    import numpy as np

    if len(texts) < 2:
        return np.empty((0, 2), np.int64)
    signatures = signatures_of(texts)
    found = np.empty(0, np.int64)
    for band in range(BANDS):  # one by one: in data made from a template, each band finds the same pairs
        found = np.union1d(found, _bucket_pairs(signatures, band))
    pairs: Ints = np.stack(np.divmod(found, len(texts)), axis=1)
    agreement = (signatures[pairs[:, 0]] == signatures[pairs[:, 1]]).mean(axis=1)
    pairs = pairs[agreement >= threshold - SLACK]
    return pairs[jaccard(texts, pairs) >= threshold]


def redundant(texts: Sequence[str], pairs: Ints, may_go: Mask, threshold: float) -> tuple[Mask, Ints]:
    """Rows that can be spared, shape (rows,), and the near pairs of those that stay, counted among these.

    `pairs` are those of `near_pairs`. Every row that goes is near one that stays: of two that both `may_go` the
    earlier one. Rows that are near only through others stay.
    """
    import numpy as np

    gone = np.zeros(len(texts), bool)
    while True:  # one round finds not all pairs of a text with very many copies
        left = np.flatnonzero(~gone)
        out = spared(left[pairs], may_go)
        if not out.any():
            return gone, pairs
        gone |= out
        pairs = near_pairs([text for text, was in zip(texts, gone.tolist(), strict=True) if not was], threshold)


def spared(pairs: Ints, may_go: Mask) -> Mask:
    """Rows to leave out so that no pair is left, but for pairs that may not go; pairs are sorted, shape (pairs, 2)."""
    import numpy as np

    gone = np.zeros(len(may_go), bool)
    one, other = may_go[pairs].T if len(pairs) else np.empty((2, 0), bool)
    gone[pairs[one & ~other, 0]] = gone[pairs[~one & other, 1]] = True
    for first, second in pairs[one & other].tolist():  # sorted: by now it is settled whether the first stays
        gone[second] |= not gone[first]
    return gone


def clusters(rows: int, pairs: Ints) -> Ints:
    """The cluster that each row falls into when pairs are joined, numbered from 0, shape (rows,)."""
    import numpy as np
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    graph = coo_array((np.ones(len(pairs), bool), (pairs[:, 0], pairs[:, 1])), shape=(rows, rows))
    labels: Ints = connected_components(graph, directed=False)[1].astype(np.int64)
    return labels


def _chunks(texts: Sequence[str]) -> Iterator[tuple[int, Hashes, Ints]]:
    """First row, shingle hashes and the row of each, for about `CHUNK` characters at a time."""
    import numpy as np

    sizes = np.maximum(np.fromiter(map(len, texts), np.int64, len(texts)), SHINGLE)
    parts = np.searchsorted(np.cumsum(sizes), np.arange(0, sizes.sum(), CHUNK))
    for first, last in zip(parts, [*parts[1:], len(texts)], strict=True):
        if first == last:
            continue
        codes = np.frombuffer("".join(text.ljust(SHINGLE) for text in texts[first:last]).encode("utf-32-le"), "<u4")
        hashes = np.zeros(len(codes) - SHINGLE + 1, np.uint64)
        for offset in range(SHINGLE):
            hashes = hashes * np.uint64(MIX) + codes[offset : offset + len(hashes)]
        hashes ^= hashes >> np.uint64(32)
        hashes *= np.uint64(0xD6E8FEB86659FD93)
        hashes ^= hashes >> np.uint64(32)
        rows = np.repeat(np.arange(last - first), sizes[first:last])
        inside = rows[: len(hashes)] == rows[SHINGLE - 1 :]
        yield int(first), hashes[inside], rows[: len(hashes)][inside]


def signatures_of(texts: Sequence[str]) -> Signatures:
    """Per row the smallest hash in each of 64 bins, shape (rows, BINS)."""
    import numpy as np

    signatures = np.full((len(texts), BINS), 0xFFFFFFFF, np.uint32)
    for first, hashes, rows in _chunks(texts):
        bins = (hashes >> np.uint64(58)).astype(np.int64)
        values = (hashes >> np.uint64(26)).astype(np.uint32)
        np.minimum.at(signatures[first:].reshape(-1), rows * BINS + bins, values)
    # An empty bin takes the next filled one's value, marked by the distance: empty bins would all agree.
    place = np.where(signatures < 0xFFFFFFFF, np.arange(BINS), 4 * BINS).astype(np.int16)
    ahead = np.concatenate([place, place + BINS], axis=1)[:, ::-1]
    nearest = np.minimum.accumulate(ahead, axis=1)[:, : BINS - 1 : -1]
    distance = (nearest - np.arange(BINS)).astype(np.uint32)
    filled = np.take_along_axis(signatures, nearest.astype(np.int64) % BINS, axis=1)
    return filled + distance * np.uint32(0x9E3779B1)


def band_keys(signatures: Signatures, band: int) -> Hashes:
    """One number for what each row has in a band of bins, shape (rows,)."""
    import numpy as np

    width = BINS // BANDS
    keys = np.zeros(len(signatures), np.uint64)
    for column in range(band * width, (band + 1) * width):
        keys = keys * np.uint64(MIX) + signatures[:, column]
    return keys


def _bucket_pairs(signatures: Signatures, band: int) -> Ints:
    """Pairs that agree in a band, as `row * rows + other`; in a bucket each row meets the next `WINDOW`."""
    import numpy as np

    keys = band_keys(signatures, band)
    order = np.argsort(keys, kind="stable")
    keys, found, starts = keys[order], [np.empty(0, np.int64)], np.arange(len(keys))
    for lag in range(1, WINDOW + 1):
        starts = starts[starts + lag < len(keys)]
        starts = starts[keys[starts] == keys[starts + lag]]
        if not len(starts):
            break
        found.append(order[starts] * len(keys) + order[starts + lag])
    return np.concatenate(found)


def jaccard(texts: Sequence[str], pairs: Ints) -> npt.NDArray[np.float64]:
    """Exact similarity of the shingle sets of each pair, shape (pairs,)."""
    import numpy as np
    from scipy.sparse import csr_array

    if not len(pairs):
        return np.empty(0)
    rows, places = np.unique(pairs, return_inverse=True)
    left, right = places.reshape(-1, 2).T
    parts = [(hashes, owners + first) for first, hashes, owners in _chunks([texts[row] for row in rows])]
    shingles, columns = np.unique(np.concatenate([part[0] for part in parts]), return_inverse=True)
    owners = np.concatenate([part[1] for part in parts])
    sets = csr_array((np.ones(len(owners), np.int32), (owners, columns)), shape=(len(rows), len(shingles)))
    sets.sum_duplicates()
    sets.data[:] = 1
    sizes = np.diff(sets.indptr)
    shared = np.concatenate(
        [
            sets[left[at : at + STEP]].multiply(sets[right[at : at + STEP]]).sum(axis=1)
            for at in range(0, len(left), STEP)
        ]
    )
    similarity: npt.NDArray[np.float64] = shared / (sizes[left] + sizes[right] - shared)
    return similarity
