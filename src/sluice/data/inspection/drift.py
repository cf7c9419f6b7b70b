"""Whether the test is of one kind with validation and train: a score on one says nothing of a test that is not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sluice.data.inspection import chance
from sluice.data.inspection.chance import Measured
from sluice.data.inspection.language import languages
from sluice.data.inspection.twosample import told_apart
from sluice.data.split import TEST, TRAIN, VALIDATION

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Bools = npt.NDArray[np.bool_]
    Ints = npt.NDArray[np.int64]
    Sides = npt.NDArray[np.str_]

WORDS, LABELS, LENGTHS, LANGUAGES = "words", "labels", "lengths", "languages"
SAMPLE = 1_500
"""Texts a side that are read for words and languages; labels, lengths and columns are read in every row."""
COMMONEST = 200
"""Values of a column that are told apart; rarer ones count as one."""
STEPS = 32
"""Length classes, each with as many texts."""
TELLING = 8
SEED = 0


@dataclass(frozen=True)
class Drift:
    """How one property differs between the test and another side."""

    kind: str
    """words, labels, lengths, languages, or the name of a kept column."""
    against: str
    """validation or train."""
    measured: Measured
    rows: tuple[int, int]
    """Rows read of the other side and of the test."""
    telling: list[tuple[str, float, float]] = field(default_factory=list)
    """What gives it away: a word, label or language and its share on the other side and in the test."""

    def describe(self, keep_texts: bool) -> dict[str, Any]:
        """As plain data; words and column values are text."""
        shown = keep_texts or self.kind in (LABELS, LENGTHS, LANGUAGES)
        return {
            "kind": self.kind,
            "against": self.against,
            "found": self.measured.found,
            "bound": self.measured.bound,
            "shifted": self.measured.shifted,
            "rows": list(self.rows),
            "telling": [list(item) for item in self.telling] if shown else [],
        }


@dataclass(frozen=True)
class Rows:
    """The rows that are compared."""

    texts: Sequence[str]
    sides: Sides
    units: Ints
    """What stays together, numbered from 0; a unit stands on one side."""
    columns: Mapping[str, Sequence[str]]
    """Labels under `LABELS`, kept columns under their names."""
    codes: dict[int, str] = field(default_factory=dict)
    """Languages by row, as far as they were asked for."""

    def languages(self, rows: Ints) -> list[str]:
        """The language of each of these rows, found once."""
        unknown = [row for row in rows.tolist() if row not in self.codes]
        self.codes.update(zip(unknown, languages([self.texts[row] for row in unknown]), strict=True))
        return [self.codes[row] for row in rows.tolist()]


def units_of(groups: Sequence[str], sides: Sequence[str], pairs: Ints) -> Ints:
    """Rows that must count as one: of one group, or near-duplicates, on one side. Shape (rows,), from 0."""
    import numpy as np

    from sluice.data.duplicates import clusters

    first: dict[str, int] = {}
    chains = [(first.setdefault(group, row), row) for row, group in enumerate(groups)]
    together = clusters(len(groups), np.concatenate([np.array(chains, np.int64).reshape(-1, 2), pairs]))
    keys = [f"{number} {side}" for number, side in zip(together.tolist(), sides, strict=True)]
    return np.unique(keys, return_inverse=True)[1].astype(np.int64)


def drifts(rows: Rows) -> list[Drift]:
    """The test against validation and against train, in words, labels, lengths, languages and columns.

    A pair with a side of fewer than 20 units is left out: nothing could be told.
    """
    found: list[Drift] = []
    for against in (VALIDATION, TRAIN):
        here = ((rows.sides == against) | (rows.sides == TEST)).nonzero()[0]
        other = rows.sides[here] == TEST
        units = _renumbered(rows.units[here])
        if min(_count(units[~other]), _count(units[other])) < chance.LEAST_UNITS:
            continue
        found += [_words(rows, here, units, other, against)]
        found += [_column(LABELS, rows.columns[LABELS], here, units, other, against)] if LABELS in rows.columns else []
        found += [_lengths(rows, here, units, other, against), _languages(rows, here, units, other, against)]
        kept = [name for name in rows.columns if name != LABELS]
        found += [_column(name, rows.columns[name], here, units, other, against) for name in kept]
    return found


def sample(units: Ints, other: Bools, limit: int = SAMPLE) -> Ints:
    """Rows (as indices) of both sides, at most `limit` of each and of every unit at most as many as of any other.

    Taking more rows of a unit on the smaller side would make it look unlike the larger one.
    """
    import numpy as np

    generator = np.random.default_rng(SEED)
    cap = min(_cap(units[~other], limit), _cap(units[other], limit))
    order = generator.permutation(len(units))
    order = order[np.argsort(units[order], kind="stable")]
    starts = np.searchsorted(units[order], units[order])
    order = order[np.arange(len(order)) - starts < cap]
    order = order[np.argsort(generator.random(units.max() + 1)[units[order]], kind="stable")]
    return np.concatenate([order[~other[order]][:limit], order[other[order]][:limit]])


def _cap(units: Ints, limit: int) -> int:
    """The most rows a unit for which all units of a side fit into the limit, or 1."""
    import numpy as np

    sizes = np.bincount(units)
    cap = 1
    while cap < sizes.max() and np.minimum(sizes, cap + 1).sum() <= limit:
        cap += 1
    return cap


def _words(rows: Rows, here: Ints, units: Ints, other: Bools, against: str) -> Drift:
    taken = sample(units, other)
    texts = [rows.texts[row] for row in here[taken].tolist()]
    found, words = told_apart(texts, _renumbered(units[taken]), other[taken], SEED)
    telling = [(item.word, item.one, item.other) for item in words]
    return Drift(WORDS, against, found, _sizes(other[taken]), telling)


def _languages(rows: Rows, here: Ints, units: Ints, other: Bools, against: str) -> Drift:
    taken = sample(units, other)
    codes = rows.languages(here[taken])
    return _shares(LANGUAGES, codes, _renumbered(units[taken]), other[taken], against)


def _column(name: str, column: Sequence[str], here: Ints, units: Ints, other: Bools, against: str) -> Drift:
    return _shares(name, [column[row] for row in here.tolist()], units, other, against)


def _shares(kind: str, values: Sequence[str], units: Ints, other: Bools, against: str) -> Drift:
    import numpy as np

    names = [name for name, _ in Counter(values).most_common(COMMONEST)]
    index = {name: at for at, name in enumerate(names)}
    codes = np.array([index.get(value, len(names)) for value in values], np.int64)
    found = chance.shares(units, other, codes, SEED, ordered=False)
    ones, others = (np.bincount(codes[side], minlength=len(names) + 1) / side.sum() for side in (~other, other))
    apart = np.abs(others - ones)[: len(names)]
    order = [at for at in np.argsort(-apart, kind="stable")[:TELLING].tolist() if apart[at] > apart.max() / 20]
    telling = [(names[at], float(ones[at]), float(others[at])) for at in order]
    return Drift(kind, against, found, _sizes(other), telling)


def _lengths(rows: Rows, here: Ints, units: Ints, other: Bools, against: str) -> Drift:
    import numpy as np

    lengths = np.array([len(rows.texts[row]) for row in here.tolist()], np.int64)
    edges = np.unique(np.quantile(lengths, np.linspace(0, 1, STEPS + 1)[1:-1]))
    classes = np.digitize(lengths, edges).astype(np.int64)
    found = chance.shares(units, other, classes, SEED, ordered=True)
    medians = (float(np.median(lengths[~other])), float(np.median(lengths[other])))
    return Drift(LENGTHS, against, found, _sizes(other), [("median characters", *medians)])


def _sizes(other: Bools) -> tuple[int, int]:
    return int((~other).sum()), int(other.sum())


def _count(units: Ints) -> int:
    import numpy as np

    return len(np.unique(units))


def _renumbered(units: Ints) -> Ints:
    import numpy as np

    return np.unique(units, return_inverse=True)[1].astype(np.int64)
