"""Entities spelt by tags: BIO, BIOES and BMES, read leniently, as conlleval and seqeval do."""

from __future__ import annotations

from collections.abc import Sequence

OUTSIDE = "O"
"""The tag of a word that is part of no entity."""
Span = tuple[str, int, int]
"""Type, first word, last word."""


def spans_of(tags: Sequence[str]) -> list[Span]:
    """The entities of a text, in order. One that goes on without having begun begins there."""
    found: list[Span] = []
    kind, first, closed = "", 0, False
    for at, tag in enumerate([*tags, OUTSIDE]):
        prefix, _, own = tag.partition("-")
        goes_on = prefix in ("I", "M", "E") and own == kind and not closed
        if kind and not goes_on:
            found.append((kind, first, at - 1))
            kind = ""
        if prefix != OUTSIDE and not goes_on:
            kind, first = own, at
        closed = prefix in ("E", "S")
    return found


def is_broken(tags: Sequence[str]) -> bool:
    """Whether an entity goes on that has not begun, or has ended."""
    before = OUTSIDE
    for tag in tags:
        if tag[:1] in ("I", "M", "E") and (before[:1] not in ("B", "I", "M") or before[1:] != tag[1:]):
            return True
        before = tag
    return False
