"""Every check on the rows: what was found, held against the bounds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sluice.data.inspection import charset, leaks
from sluice.data.inspection.drift import LABELS, LANGUAGES, LENGTHS, SAMPLE, SEED, WORDS, Drift, Rows, drifts, units_of
from sluice.data.inspection.findings import Finding, judge, percent, share
from sluice.data.inspection.language import UNKNOWN
from sluice.data.inspection.leaks import Leak
from sluice.data.inspection.settings import Checks
from sluice.data.sieve import LABEL, Sieve
from sluice.data.source import GROUP, ORIGIN
from sluice.data.split import SIDES, TEST, TRAIN, VALIDATION

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Ints = npt.NDArray[np.int64]

Shares = dict[str, dict[str, float]]
"""By side, then by value."""
LEAST_LABEL_ROWS, MOST_IMBALANCE = 10, 20.0
OTHER_LANGUAGES = 0.05
"""Short texts are taken for another language at times: fewer than that say nothing."""
EDGES = 24
"""Classes of the length histogram."""


@dataclass(frozen=True)
class Inspection:
    """What all checks found, and the figures that a report draws."""

    findings: list[Finding]
    leaks: list[Leak]
    drifts: list[Drift]
    labels: dict[str, dict[str, int]]
    """Rows by side and label."""
    languages: Shares
    scripts: Shares
    lengths: dict[str, list[int]]
    """Texts by side in each length class."""
    length_edges: list[int]
    """Characters at which the classes begin, and the end of the last."""


def inspect(sieve: Sieve, sides: Sequence[str], keep: Sequence[str], checks: Checks) -> Inspection:
    """Check the rows that were read and those that are left, which stand on `sides`."""
    import numpy as np

    texts, origins = sieve.column(sieve.columns[0]), sieve.column(ORIGIN)
    found = [*sieve.leaks, *leaks.near(leaks.Rows(origins, sides, sieve.names(), texts), sieve.pairs)]
    columns = {LABELS: sieve.column(LABEL)} if LABEL in sieve.columns else {}
    columns |= {name: sieve.column(name) for name in keep}
    units = units_of(sieve.column(GROUP), sides, sieve.pairs)
    rows = Rows(texts, np.array(sides, "U10"), units, columns)
    labels = {side: Counter[str]() for side in SIDES}
    for side, label in zip(sides, columns.get(LABELS, ()), strict=False):
        labels[side][label] += 1
    tested = drifts(rows)
    taken = {side: _some(rows, side) for side in SIDES}
    languages = {side: _shares(rows.languages(taken[side])) for side in SIDES}
    edges, lengths = _lengths(rows)
    findings = [
        *_read(sieve, checks),
        *_leaked(found, sides, checks),
        *(_balance(labels, checks) if LABELS in columns else ()),
        *_characters(sieve, checks),
        _foreign(languages, checks),
        *_drifted(tested, checks),
    ]
    return Inspection(
        findings,
        found,
        tested,
        {side: dict(sorted(counts.items())) for side, counts in labels.items()},
        languages,
        {side: _shares(charset.scripts([texts[row] for row in taken[side].tolist()])) for side in SIDES},
        lengths,
        edges,
    )


def _read(sieve: Sieve, checks: Checks) -> Iterator[Finding]:
    """Checks of the rows as they came."""
    empty = {reason: part for reason, part in sieve.dropped.items() if reason.startswith("empty_")}
    origins = [origin for part in empty.values() for origin in part.column(ORIGIN).to_pylist()]
    yield _share_of(
        checks,
        "max_empty",
        "empty cells",
        origins,
        sieve.read,
        "rows",
        "see whether data.columns names the right column",
        0.01,
    )
    kinds: list[tuple[str, str, str, str, float]] = [
        ("long", "max_long", f"texts over {checks.long_characters:,} characters", "cut or split them", 0.01),
        ("repeated", "max_duplicates", "duplicates", "see whether rows were joined twice", 0.2),
        ("near", "max_near_duplicates", "near-duplicates", "see whether texts come from a template", 0.2),
    ]
    for fact, setting, title, cure, notice in kinds:
        yield _share_of(checks, setting, title, sieve.facts[fact], sieve.texts, "texts", cure, notice)
    if "conflicting" in sieve.facts:
        title, cure = "one text, two labels", "settle on one label for each"
        yield _share_of(checks, "max_conflicts", title, sieve.facts["conflicting"], sieve.texts, "rows", cure, 0.01)


def _characters(sieve: Sieve, checks: Checks) -> Iterator[Finding]:
    broken, mixed = sieve.facts["broken"], sieve.facts["mixed"]
    cure = "name the file's encoding (data.encoding=cp1252, ...) if it was read with the wrong one, or clean them"
    yield _share_of(checks, "max_broken", "broken characters", broken, sieve.texts, "texts", cure)
    cure = "write each word in one alphabet"
    yield _share_of(checks, "max_mixed_scripts", "two alphabets in a word", mixed, sieve.texts, "texts", cure)


def _share_of(
    checks: Checks,
    setting: str,
    title: str,
    origins: Sequence[str],
    of: int,
    what: str,
    cure: str,
    notice: float = 0.0,
) -> Finding:
    found = len(origins) / of if of else 0.0
    return judge(checks, setting, title, found, share(len(origins), of, what), rows=origins, cure=cure, notice=notice)


def _leaked(found: Sequence[Leak], sides: Sequence[str], checks: Checks) -> Iterator[Finding]:
    """Held-out rows that a model could know from another side, each with the row it knows them from."""
    kinds = [
        (
            "exact",
            "max_leaked",
            "leaked rows, exact",
            "the rows of the other side were dropped: publish sides that share no text",
        ),
        ("near", "max_nearly_leaked", "leaked rows, near", "both rows were kept: take one of each pair out"),
    ]
    counts = Counter(sides)
    for kind, setting, title, cure in kinds:
        some = [leak for leak in found if leak.kind == kind]
        rows = list(dict.fromkeys(leak.held_out for leak in some))
        named = {leak.held_out: f"{leak.held_out.origin} = {leak.other.origin}" for leak in reversed(some)}
        yield _share_of(
            checks, setting, title, [named[row] for row in rows], counts[TEST] + counts[VALIDATION], "rows", cure
        )


def _balance(labels: dict[str, Counter[str]], checks: Checks) -> Iterator[Finding]:
    """How evenly train shows the labels, and whether the other sides show them at all."""
    train = labels[TRAIN]
    if not train:
        return
    (most, largest), (least, smallest) = train.most_common()[0], min(train.items(), key=lambda item: (item[1], item[0]))
    yield judge(
        checks,
        "min_label_rows",
        "rarest label",
        smallest,
        f"{smallest:,} training rows of '{least}'",
        cure="collect rows of it, or join it to another",
        notice=LEAST_LABEL_ROWS,
    )
    yield judge(
        checks,
        "max_imbalance",
        "imbalance",
        largest / smallest,
        f"{largest / smallest:.1f} times as many rows of '{most}' as of '{least}'",
        cure="compare by macro F1, collect rows of the rare labels",
        notice=MOST_IMBALANCE,
    )
    missing = {side: sorted(set(train) - set(labels[side])) for side in (VALIDATION, TEST)}
    listed = [
        f"{side} lacks {', '.join(names[:3])}{' ...' * (len(names) > 3)}" for side, names in missing.items() if names
    ]
    count = len({name for names in missing.values() for name in names})
    yield judge(
        checks,
        "max_missing_labels",
        "labels never held out",
        count,
        f"{count} of {len(train)} labels{': ' if listed else ''}{'; '.join(listed)}",
        cure="nothing can be said of them: hold out more rows, or divide otherwise (data.split.seed=1)",
    )


def _foreign(languages: Shares, checks: Checks) -> Finding:
    """The side with most texts in another language than the commonest of train; what cannot be told is left out."""
    told = {side: {code: part for code, part in known.items() if code != UNKNOWN} for side, known in languages.items()}
    main = max(told[TRAIN], key=lambda code: told[TRAIN][code], default=UNKNOWN)
    others = {side: sum(known.values()) - known.get(main, 0.0) for side, known in told.items()}
    side = max(SIDES, key=lambda name: others[name])
    foreign = sorted(((part, code) for code, part in told[side].items() if code != main), reverse=True)
    listed = ", ".join(f"{code} {percent(part)}" for part, code in foreign[:3])
    return judge(
        checks,
        "max_other_languages",
        "other languages",
        others[side],
        f"{percent(others[side])} of {side} not in '{main}'{': ' if listed else ''}{listed}",
        cure="see whether those rows belong here",
        notice=OTHER_LANGUAGES,
    )


def _drifted(tested: Sequence[Drift], checks: Checks) -> Iterator[Finding]:
    """One finding a property, for whichever of validation and train is further from the test."""
    settings = {WORDS: "max_drift", LABELS: "max_label_drift", LENGTHS: "max_length_drift"}
    settings[LANGUAGES] = "max_language_drift"
    for kind in dict.fromkeys(drift.kind for drift in tested):
        worst = max(
            (drift for drift in tested if drift.kind == kind),
            key=lambda drift: (drift.measured.shifted, drift.measured.found - drift.measured.bound),
        )
        figure = worst.measured
        name = "AUC " if kind == WORDS else "distance "
        yield judge(
            checks,
            settings.get(kind, "max_column_drift"),
            f"drift of {kind if kind in settings else f'column {kind}'}",
            figure.found,
            f"test against {worst.against}: {name}{figure.found:.3f}, up to {figure.bound:.3f} is chance",
            cure="scores on the other side will not repeat on this test; draw both sides alike",
            notice=figure.bound,
            certain=figure.shifted,
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
