"""The split: a group's side depends on the group alone."""

from hypothesis import given
from hypothesis import strategies as st

from sluice.data.source import Split
from sluice.data.split import SIDES, assign

GROUPS = st.lists(st.text(max_size=8), max_size=40)


@given(GROUPS, GROUPS, st.integers(0, 5))
def test_new_rows_move_no_old_ones(old: list[str], new: list[str], seed: int) -> None:
    split = Split(seed=seed)
    before = assign(old, [None] * len(old), split)
    assert assign(old + new, [None] * len(old + new), split)[: len(old)] == before
    assert assign(old[::-1], [None] * len(old), split)[::-1] == before


@given(GROUPS)
def test_a_group_stands_on_one_side(groups: list[str]) -> None:
    sides = assign(groups, [None] * len(groups), Split())
    assert len(set(zip(groups, sides, strict=True))) == len(set(groups))


@given(st.lists(st.tuples(st.text(max_size=4), st.sampled_from([*SIDES, None])), max_size=40))
def test_given_sides_are_kept_and_closed_to_others(rows: list[tuple[str, str | None]]) -> None:
    groups, given_sides = [row[0] for row in rows], [row[1] for row in rows]
    for side, published in zip(assign(groups, given_sides, Split()), given_sides, strict=True):
        assert side == published if published else side == "train" or side not in given_sides


def test_shares_are_about_what_was_asked_for() -> None:
    sides = assign([str(number) for number in range(10_000)], [None] * 10_000, Split(validation=0.1, test=0.2))
    assert abs(sides.count("validation") / 10_000 - 0.1) < 0.02
    assert abs(sides.count("test") / 10_000 - 0.2) < 0.02


def test_opening_a_side_moves_no_row_between_the_others() -> None:
    groups = [str(number) for number in range(500)]
    alone = assign(groups, [None] * 500, Split())
    beside_a_test = assign([*groups, "t"], [None] * 500 + ["test"], Split())[:500]
    assert all(new == ("train" if old == "test" else old) for old, new in zip(alone, beside_a_test, strict=True))
