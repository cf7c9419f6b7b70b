"""What was found in the rows, each property held against its bound."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from sluice.data.inspection.drift import LABELS, LANGUAGES, LENGTHS, WORDS, Drift
from sluice.data.inspection.findings import Finding, judge, percent, share
from sluice.data.inspection.language import UNKNOWN
from sluice.data.inspection.leaks import Leak
from sluice.data.inspection.settings import Checks
from sluice.data.sieve import Sieve
from sluice.data.source import ORIGIN
from sluice.data.split import SIDES, TEST, TRAIN, VALIDATION

Shares = dict[str, dict[str, float]]
"""By side, then by value."""
LEAST_LABEL_ROWS, MOST_IMBALANCE = 10, 20.0
OTHER_LANGUAGES = 0.05
"""Short texts are taken for another language at times: fewer than that say nothing."""


def read(sieve: Sieve, checks: Checks) -> Iterator[Finding]:
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
    for reason in sieve.unusable:
        origins = sieve.dropped[reason].column(ORIGIN).to_pylist() if reason in sieve.dropped else []
        cure = "see whether data.columns names the right columns"
        yield _share_of(checks, "max_unusable", reason.replace("_", " "), origins, sieve.read, "rows", cure)
    for fact, origins in sieve.odd.items():
        yield _share_of(checks, "max_odd", fact.replace("_", " "), origins, sieve.texts, "rows", "mend them")
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


def characters(sieve: Sieve, checks: Checks) -> Iterator[Finding]:
    """Letters that were read wrongly, and words in two alphabets."""
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


def leaked(found: Sequence[Leak], sides: Sequence[str], checks: Checks) -> Iterator[Finding]:
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


def balance(labels: dict[str, Counter[str]], checks: Checks) -> Iterator[Finding]:
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


def foreign(languages: Shares, checks: Checks) -> Finding:
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


def drifted(tested: Sequence[Drift], checks: Checks) -> Iterator[Finding]:
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
