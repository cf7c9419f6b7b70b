"""A test of another kind is noticed; a random division of the same rows is not."""

import random

import numpy as np
import pytest

from sluice.data.inspection import chance
from sluice.data.inspection.drift import Rows, drifts, sample, units_of
from sluice.data.inspection.twosample import told_apart

COMMON = ["the", "a", "of", "with", "near", "under", "old", "new", "one", "two", "and", "for", "when", "then", "some"]
TOPICS = {
    "water": ["river", "lake", "dam", "canal", "pump", "valve"],
    "money": ["price", "bank", "loan", "rate", "market", "share"],
}


def text(rng: random.Random, topic: str, length: int = 12) -> str:
    words = rng.choices(COMMON, k=length - 3) + rng.choices(TOPICS[topic], k=3)
    rng.shuffle(words)
    return " ".join(words)


def rows(sides: dict[str, list[str]], **columns: dict[str, list[str]]) -> Rows:
    texts = [text for some in sides.values() for text in some]
    names = np.array([side for side, some in sides.items() for _ in some], "U10")
    listed = {name: [value for side in sides for value in by_side[side]] for name, by_side in columns.items()}
    return Rows(texts, names, np.arange(len(texts)), listed)


def shifted(found: Rows) -> set[tuple[str, str]]:
    return {(drift.kind, drift.against) for drift in drifts(found) if drift.measured.shifted}


def mixture(rng: random.Random, count: int, share: float = 0.5) -> list[str]:
    return [text(rng, "water" if rng.random() < share else "money") for _ in range(count)]


@pytest.mark.parametrize("seed", range(4))
def test_a_random_division_is_no_shift(seed: int) -> None:
    rng = random.Random(seed)
    sides = {"train": mixture(rng, 600), "validation": mixture(rng, 200), "test": mixture(rng, 200)}
    labels = {side: [rng.choice("ab") for _ in some] for side, some in sides.items()}
    assert shifted(rows(sides, labels=labels)) == set()


def test_a_test_on_another_topic_is_a_shift_and_its_words_are_named() -> None:
    rng = random.Random(0)
    sides = {"train": mixture(rng, 600, 1.0), "validation": mixture(rng, 200, 1.0), "test": mixture(rng, 200, 0.0)}
    found = {drift.against: drift for drift in drifts(rows(sides)) if drift.kind == "words"}
    for drift in found.values():
        assert drift.measured.found > 0.95
        assert drift.measured.shifted
        words = {word for word, _, _ in drift.telling}
        assert words & set(TOPICS["money"])
        assert words & set(TOPICS["water"])
        assert all(one < other for word, one, other in drift.telling if word in TOPICS["money"])


def test_a_language_without_spaces_is_told_by_pairs_of_characters() -> None:
    rng = random.Random(0)
    shared, hotel, phone = "我们今天觉得这个真的还是不错", "酒店房间服务员早餐", "手机屏幕电池充电器"
    parts = {"train": hotel, "validation": hotel, "test": phone}
    sides = {
        side: ["".join(rng.sample(shared, 9)) + own[at % 6 : at % 6 + 3] for at in range(150)]
        for side, own in parts.items()
    }
    drift = next(drift for drift in drifts(rows(sides)) if drift.kind == "words")
    assert drift.measured.shifted
    assert {"手机", "屏幕"} & {word for word, _, _ in drift.telling}


def test_labels_lengths_languages_and_columns_each_have_their_own_measure() -> None:
    rng = random.Random(0)
    plain = {side: mixture(rng, count) for side, count in (("train", 400), ("validation", 200), ("test", 200))}
    even = {side: [rng.choice("ab") for _ in some] for side, some in plain.items()}
    odd = {**even, "test": ["a"] * 200}
    assert shifted(rows(plain, labels=odd)) == {("labels", "validation"), ("labels", "train")}
    assert shifted(rows(plain, labels=even, shop=odd)) == {("shop", "validation"), ("shop", "train")}
    longer = {
        **plain,
        "test": [f"{one} {other}" for one, other in zip(plain["test"], plain["test"][::-1], strict=True)],
    }
    assert {("lengths", "validation"), ("lengths", "train")} <= shifted(rows(longer))
    german = [f"Das ist der Satz Nummer {at} und er wurde nicht übersetzt" for at in range(100)]
    mixed = {**plain, "test": plain["test"][:100] + german}
    assert {("languages", "validation"), ("languages", "train")} <= shifted(rows(mixed))


def test_rows_of_one_file_move_together() -> None:
    """Each file has a word of its own: row by row its sides differ, file by file they do not."""
    rng = random.Random(0)
    words = ["".join(rng.choices("abcdefghijklmnopqrstuvwxyz", k=7)) for _ in range(120)]
    files = [[f"{text(rng, 'water')} {word} {word}" for _ in range(10)] for word in words]
    texts = [text for some in files for text in some]
    units = np.repeat(np.arange(120), 10)
    other = units % 2 == 1
    assert not told_apart(texts, units, other, 0)[0].shifted
    assert told_apart(texts, np.arange(1200), other, 0)[0].shifted


def test_samples_take_as_many_rows_of_a_unit_on_either_side() -> None:
    units = np.concatenate([np.repeat(np.arange(500), 4), np.repeat(np.arange(500, 540), 4)])
    other = units >= 500
    taken = sample(units, other, limit=600)
    for side in (False, True):
        sizes = np.bincount(units[taken[other[taken] == side]])
        assert set(sizes[sizes > 0]) == {1}
    assert (~other[taken]).sum() == 500
    assert other[taken].sum() == 40


def test_too_few_rows_say_nothing() -> None:
    rng = random.Random(0)
    sides = {"train": mixture(rng, 100), "validation": mixture(rng, 100), "test": mixture(rng, chance.LEAST_UNITS - 1)}
    assert drifts(rows(sides)) == []


def test_texts_without_a_shared_word_are_alike() -> None:
    found, words = told_apart([f"{number:07}" * 2 for number in range(60)], np.arange(60), np.arange(60) % 2 == 1, 0)
    assert not found.shifted
    assert told_apart([""] * 60, np.arange(60), np.arange(60) % 2 == 1, 0)[1] == words == []


def test_units_are_groups_and_near_duplicates_on_one_side() -> None:
    sides = ["train", "train", "train", "test", "test"]
    found = units_of(["a", "a", "b", "b", "c"], sides, np.array([[3, 4]]))
    assert found[0] == found[1]
    assert found[3] == found[4]
    assert len(set(found)) == 3
