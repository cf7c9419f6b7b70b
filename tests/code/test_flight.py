"""What stops a canary: figures in, reasons out."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.flight import Canary, Counts, objections

RULES = Canary(min_answers=50, max_failed=0.02, max_slower=1.5, max_disagreement=0.2)
FINE = Counts(answered=100, texts=100, seconds=1.0, compared=100, disagreed=10)
CHAMPION = Counts(answered=900, texts=900, seconds=9.0)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({}, None),
        ({"failed": 2}, None),
        ({"failed": 30}, "23.1% of its answers failed, at most 2.0%"),
        ({"answered": 0, "failed": 5, "texts": 0, "compared": 0}, "100.0% of its answers failed"),
        ({"seconds": 1.6}, "a text takes 1.60 times as long as with the champion, at most 1.5"),
        ({"seconds": 9.0, "texts": 40}, None),
        ({"disagreed": 21}, "21.0% of its answers are not the champion's, at most 20.0%"),
        ({"disagreed": 40, "compared": 49}, None),
    ],
)  # fmt: skip
def test_each_bound(changes: dict[str, float], reason: str | None) -> None:
    found = objections(Counts(**{**vars(FINE), **changes}), CHAMPION, RULES)
    assert len(found) == (reason is not None)
    assert reason is None or reason in found[0]


def test_failures_count_beyond_those_of_the_champion() -> None:
    failing = Counts(answered=95, failed=5)
    assert objections(failing, CHAMPION, RULES)
    assert not objections(failing, Counts(answered=95, failed=5), RULES)


counts = st.builds(Counts, *[st.floats(0, 1e6) for _ in range(6)])


@given(counts, counts)
def test_a_window_holds_no_negative_counts(now: Counts, before: Counts) -> None:
    assert all(value >= 0 for value in vars(now.since(before)).values())
    assert now.since(Counts()) == now


@given(counts)
def test_a_canary_is_never_stopped_for_being_its_champion(one: Counts) -> None:
    alike = Counts(**{**vars(one), "disagreed": 0})
    assert not objections(alike, alike, RULES)
