"""What stops a canary: figures in, reasons out."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.flight import Canary, Counts, Passes, objections

RULES = Canary(min_answers=50, max_failed=0.02, max_slower=1.5, max_disagreement=0.2)
FINE = Counts(answered=100, compared=100, disagreed=10, passes={1: Passes(100, 1.0)})
CHAMPION = Counts(answered=900, passes={1: Passes(100, 1.0), 8: Passes(100, 3.0)})


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({}, None),
        ({"failed": 2}, None),
        ({"failed": 30}, "23.1% of its answers failed, at most 2.0%"),
        ({"answered": 0, "failed": 5, "passes": {}, "compared": 0}, "100.0% of its answers failed"),
        ({"passes": {1: Passes(100, 1.6)}}, "a text takes 1.60 times as long as with the champion, at most 1.5"),
        ({"passes": {1: Passes(49, 49.0)}}, None),
        ({"passes": {8: Passes(10, 0.6)}}, "a text takes 2.00 times as long"),
        ({"passes": {8: Passes(10, 0.3), 1: Passes(60, 0.6)}}, None),
        ({"passes": {3: Passes(100, 90.0)}}, None),
        ({"disagreed": 21}, "21.0% of its answers are not the champion's, at most 20.0%"),
        ({"disagreed": 40, "compared": 49}, None),
    ],
)  # fmt: skip
def test_each_bound(changes: dict[str, Any], reason: str | None) -> None:
    found = objections(Counts(**{**vars(FINE), **changes}), CHAMPION, RULES)
    assert len(found) == (reason is not None)
    assert reason is None or reason in found[0]


def test_failures_count_beyond_those_of_the_champion() -> None:
    failing = Counts(answered=95, failed=5)
    assert objections(failing, CHAMPION, RULES)
    assert not objections(failing, Counts(answered=95, failed=5), RULES)


passes = st.builds(Passes, st.floats(0, 1e6), st.floats(0, 1e6))
counts = st.builds(Counts, *[st.floats(0, 1e6)] * 4, st.dictionaries(st.integers(1, 8), passes))


@given(counts, counts)
def test_a_window_holds_no_negative_counts(now: Counts, before: Counts) -> None:
    added = now.since(before)
    assert min(added.answered, added.failed, added.compared, added.disagreed) >= 0
    assert all(one.count >= 0 and one.seconds >= 0 for one in added.passes.values())
    assert now.since(Counts()) == now


@given(counts)
def test_a_canary_is_never_stopped_for_being_its_champion(one: Counts) -> None:
    alike = Counts(**{**vars(one), "disagreed": 0})
    assert not objections(alike, alike, RULES)
