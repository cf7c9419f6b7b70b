"""Every check on the rows: what was found, held against the bounds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sluice.data.inspection import charset, judgements, leaks
from sluice.data.inspection.drift import LABELS, SAMPLE, SEED, Drift, Rows, drifts, units_of
from sluice.data.inspection.findings import Finding
from sluice.data.inspection.judgements import Shares
from sluice.data.inspection.leaks import Leak
from sluice.data.inspection.settings import Checks
from sluice.data.sieve import Sieve
from sluice.data.source import GROUP, ORIGIN
from sluice.data.split import SIDES

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Ints = npt.NDArray[np.int64]

EDGES = 24
"""Classes of the length histogram."""


@dataclass(frozen=True)
class Inspection:
    """What all checks found, and the figures that a report draws."""

    findings: list[Finding]
    leaks: list[Leak]
    drifts: list[Drift]
    labels: dict[str, dict[str, int]]
    """Rows by side and label; empty where rows have no labels."""
    languages: Shares
    scripts: Shares
    lengths: dict[str, list[int]]
    """Texts by side in each length class."""
    length_edges: list[int]
    """Characters at which the classes begin, and the end of the last."""


def inspect(sieve: Sieve, sides: Sequence[str], keep: Sequence[str], checks: Checks) -> Inspection:
    """Check the rows that were read and those that are left, which stand on `sides`."""
    import numpy as np

    texts, origins = sieve.inputs(), sieve.column(ORIGIN)
    found = [*sieve.leaks, *leaks.near(leaks.Rows(origins, sides, sieve.names(), texts), sieve.pairs)]
    classes = sieve.labels()
    columns = {LABELS: [" | ".join(some) for some in classes]} if classes is not None else {}
    columns |= {name: sieve.column(name) for name in keep}
    units = units_of(sieve.column(GROUP), sides, sieve.pairs)
    rows = Rows(texts, np.array(sides, "U10"), units, columns)
    labels = {side: Counter[str]() for side in SIDES}
    for side, some in zip(sides, classes or (), strict=False):
        labels[side].update(some)
    tested = drifts(rows)
    taken = {side: _some(rows, side) for side in SIDES}
    languages = {side: _shares(rows.languages(taken[side])) for side in SIDES}
    edges, lengths = _lengths(rows)
    findings = [
        *judgements.read(sieve, checks),
        *judgements.leaked(found, sides, checks),
        *(judgements.balance(labels, checks) if LABELS in columns else ()),
        *judgements.characters(sieve, checks),
        judgements.foreign(languages, checks),
        *judgements.drifted(tested, checks),
    ]
    return Inspection(
        findings,
        found,
        tested,
        {side: dict(sorted(counts.items())) for side, counts in labels.items()} if classes is not None else {},
        languages,
        {side: _shares(charset.scripts([texts[row] for row in taken[side].tolist()])) for side in SIDES},
        lengths,
        edges,
    )


def _some(rows: Rows, side: str) -> Ints:
    """A sample of a side's rows, in their order."""
    import numpy as np

    own = (rows.sides == side).nonzero()[0]
    return np.sort(np.random.default_rng(SEED).permutation(own)[:SAMPLE])


def _shares(values: Sequence[str]) -> dict[str, float]:
    return {value: count / len(values) for value, count in Counter(values).most_common()}


def _lengths(rows: Rows) -> tuple[list[int], dict[str, list[int]]]:
    """Length classes that widen by one factor each, and how many texts of each side fall into them."""
    import numpy as np

    lengths = np.array([len(text) for text in rows.texts], np.int64)
    longest = int(lengths.max(initial=1))
    edges = np.unique(np.geomspace(1, longest + 1, EDGES + 1).astype(np.int64))
    if len(edges) < 2:
        edges = np.array([1, 2])
    return edges.tolist(), {side: np.histogram(lengths[rows.sides == side], edges)[0].tolist() for side in SIDES}
