"""Characters that should not be there, and those that only look odd."""

import pytest

from sluice.data.inspection.charset import broken, mixed, scripts


@pytest.mark.parametrize("text", ["caf\ufffd", "a\x85b", "bell\x07", "cafÃ© olÃ©", "itâ€™s", "20Â°C"])
def test_what_a_wrong_encoding_leaves_is_broken(text: str) -> None:
    assert broken(["fine", text]) == [1]


@pytest.mark.parametrize("text", ["café olé", "it's 20°C", "NÃO", "line\n\ttab\r\n", "Ångström", "你好", "€5"])
def test_other_letters_are_not(text: str) -> None:
    assert broken([text]) == []


@pytest.mark.parametrize("text", ["p\u0430ypal", "\u0421lick here", "w\u03bfrd", "\u043f\u0440ivet"])
def test_letters_of_two_alphabets_in_a_word_are_found(text: str) -> None:
    assert mixed([text, "fine"]) == [0]


@pytest.mark.parametrize("text", ["Δx and μm", "Wi-Fi и кафе", "привет world", "T恤", "naïve"])
def test_words_side_by_side_and_formulas_are_not(text: str) -> None:
    assert mixed([text]) == []


def test_scripts() -> None:
    texts = ["hello", "你好", "日本語のテキスト", "привет", "123", "한국어", "T恤很好"]
    assert scripts(texts) == ["Latin", "Han", "Kana", "Cyrillic", "none", "Hangul", "Han"]
