"""Changes to a text that leave its meaning alone."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Literal

Perturbation = Literal["lower_case", "upper_case", "trailing_punctuation", "extra_spaces", "typo"]
"""The name of a function below."""


def lower_case(text: str) -> str:
    """All letters small."""
    return text.lower()


def upper_case(text: str) -> str:
    """All letters capital."""
    return text.upper()


def trailing_punctuation(text: str) -> str:
    """The full stop, question or exclamation mark at the end away; a full stop where there was none."""
    bare = text.rstrip(" .!?")
    return f"{text}." if bare == text else bare


def extra_spaces(text: str) -> str:
    """Every space doubled, and one at each end."""
    return f" {text.replace(' ', '  ')} "


def typo(text: str) -> str:
    """Two neighbouring letters in the middle of the longest word change places."""
    words = list(re.finditer(r"[^\W\d_]{4,}", text))
    if not words:
        return text
    longest = max(words, key=lambda word: len(word.group()))
    middle = (longest.start() + longest.end()) // 2
    return f"{text[: middle - 1]}{text[middle]}{text[middle - 1]}{text[middle + 1 :]}"


PERTURBATIONS: dict[Perturbation, Callable[[str], str]] = {
    "lower_case": lower_case,
    "upper_case": upper_case,
    "trailing_punctuation": trailing_punctuation,
    "extra_spaces": extra_spaces,
    "typo": typo,
}
