"""Lists of labels that a file holds as text: divided as the file as a whole divides them."""

from __future__ import annotations

import ast
from collections.abc import Sequence

DIVIDERS = ("|", ";", ",")
"""What stands between labels; the first of these that a column has anywhere divides all of its cells."""


def divided(values: Sequence[object]) -> list[object]:
    """A column's values with lists for texts: `a|b`, `a;b` or `a,b`, or a list as Python or JSON writes it."""
    found = [_written(value) if isinstance(value, str) else value for value in values]
    texts = [value for value in found if isinstance(value, str)]
    divider = next((sign for sign in DIVIDERS if any(sign in text for text in texts)), DIVIDERS[0])
    return [_parts(value, divider) if isinstance(value, str) else value for value in found]


def _parts(text: str, divider: str) -> list[str]:
    return [part.strip() for part in text.split(divider) if part.strip()]


def _written(text: str) -> object:
    """The list that a text spells out, such as pandas writes into a CSV; any other text as it is."""
    if not (text.lstrip().startswith("[") and text.rstrip().endswith("]")):
        return text
    try:
        return ast.literal_eval(text.strip())
    except (ValueError, SyntaxError):
        return text
