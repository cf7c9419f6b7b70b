"""Characters that should not be there: what a wrong encoding leaves, and words in two alphabets."""

from __future__ import annotations

import re
from collections.abc import Sequence

BROKEN = re.compile("[\ufffd\x00-\x08\x0e-\x1f\x7f-\x9f]|[\u00c2\u00c3][\u00a0-\u00bf]|\u00e2\u20ac")
"""The replacement character, controls, and UTF-8 that was read as Latin-1 or CP1252 (an e acute as two letters)."""
LATIN, CYRILLIC = "A-Za-z\u00c0-\u024f", "\u0400-\u052f"
GREEK_TWINS = "\u0391\u0392\u0395\u0396\u0397\u0399\u039a\u039c\u039d\u039f\u03a1\u03a4\u03a5\u03a7\u03bf\u03f2"
"""Greek letters that look Latin; the others stand beside Latin ones in every formula."""
MIXED = re.compile(f"[{LATIN}][{CYRILLIC}{GREEK_TWINS}]|[{CYRILLIC}{GREEK_TWINS}][{LATIN}]")
SCRIPTS = {
    "Latin": "A-Za-z\u00aa\u00ba\u00c0-\u024f\u1e00-\u1eff",
    "Han": "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003134f",
    "Kana": "\u3040-\u30ff",
    "Hangul": "\u1100-\u11ff\uac00-\ud7af",
    "Cyrillic": "\u0400-\u052f",
    "Greek": "\u0370-\u03ff\u1f00-\u1fff",
    "Arabic": "\u0600-\u06ff\u0750-\u077f",
    "Hebrew": "\u0590-\u05ff",
    "Devanagari": "\u0900-\u097f",
    "Bengali": "\u0980-\u09ff",
    "Tamil": "\u0b80-\u0bff",
    "Thai": "\u0e00-\u0e7f",
    "Georgian": "\u10a0-\u10ff",
    "Armenian": "\u0530-\u058f",
}
LETTERS = re.compile("|".join(f"(?P<{name}>[{letters}]+)" for name, letters in SCRIPTS.items()))
NO_SCRIPT = "none"


def broken(texts: Sequence[str]) -> list[int]:
    """The rows that a wrong encoding has marked."""
    return [row for row, text in enumerate(texts) if BROKEN.search(text)]


def mixed(texts: Sequence[str]) -> list[int]:
    """The rows with Cyrillic or Latin-looking Greek letters inside a Latin word, or the reverse."""
    return [row for row, text in enumerate(texts) if not text.isascii() and MIXED.search(text)]


def scripts(texts: Sequence[str]) -> list[str]:
    """The script that most letters of each text are in; a text in Han and Kana is Kana, as Japanese is written."""
    return [_script(text) for text in texts]


def _script(text: str) -> str:
    counts: dict[str, int] = {}
    for run in LETTERS.finditer(text):
        name = run.lastgroup or NO_SCRIPT
        counts[name] = counts.get(name, 0) + len(run.group())
    if not counts:
        return NO_SCRIPT
    if counts.get("Kana", 0) * 4 > counts.get("Han", 0):
        counts["Kana"] = counts.get("Kana", 0) + counts.pop("Han", 0)
    return max(counts, key=counts.__getitem__)
