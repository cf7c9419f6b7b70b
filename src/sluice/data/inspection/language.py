"""Which language a text is in, by a naive Bayes model that ships with its library: no download, no network."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from py3langid.langid import LanguageIdentifier

UNKNOWN = "und"
"""ISO 639-2 for a language that cannot be told."""
NOT_LANGUAGE = "zxx"
"""The model's own class for numbers, markup and identifiers."""
LEAST_CONFIDENCE = 0.4
"""At it, of a thousand short English questions or messages up to 3 are taken for another language, 68 for none."""
LONGEST = 1_000
"""Characters that are read of a text: more change nothing and cost time."""


def languages(texts: Sequence[str]) -> list[str]:
    """The ISO 639-1 code of each text's language, 'und' where it is too short or too odd to tell."""
    identifier = _identifier()
    found = []
    for text in texts:
        code, confidence = identifier.classify(text[:LONGEST])
        found.append(UNKNOWN if confidence < LEAST_CONFIDENCE or code == NOT_LANGUAGE else code)
    return found


@cache
def _identifier() -> LanguageIdentifier:
    """The model, about a second to load, limited to codes of ISO 639-1: creoles and dialects draw from them."""
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    identifier = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
    identifier.set_languages({code for code in identifier.labels if len(code) == 2} | {NOT_LANGUAGE})
    return identifier
