"""A classifier two-sample test: can texts of one side be told from those of another?

Lopez-Paz and Oquab, "Revisiting Classifier Two-Sample Tests", ICLR 2017. The classifier is ridge regression on
TF-IDF of words and pairs of characters (which is what languages without spaces are read by): with squared loss
one factorisation serves the actual division and all those drawn at random, so the bound is measured, not assumed.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from sluice.data.inspection.chance import Measured, divisions, measured

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Bools = npt.NDArray[np.bool_]
    Floats = npt.NDArray[np.float32]
    Ints = npt.NDArray[np.int64]

LONGEST = 500
"""Characters that are read of a text."""
FEATURES = 5_000
FOLDS = 5
PENALTY = 0.3
"""Texts have length about 1 in TF-IDF; of 0.3, 1 and 3 the one that tells most on tweets of two collections."""
TOLD = 8
"""Words that are named."""
LEAST_TEXTS = 3
"""Texts that must have a word for it to count."""
WORD = re.compile(r"\w+|[^\w\s]")
UNSPACED = re.compile("[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]")
"""Scripts that write no spaces between words."""
PAIR = "\0"
"""Marks a pair of characters, which might be a word as well."""


@dataclass(frozen=True)
class Telling:
    """A word that one side has more often, and the share of each side's texts that have it."""

    word: str
    one: float
    other: float


def told_apart(texts: Sequence[str], units: Ints, other: Bools, seed: int) -> tuple[Measured, list[Telling]]:
    """The cross-validated ROC AUC at which `other` texts are told from the rest, and the words that do it.

    Folds keep a unit together. 3,000 texts cost a second.
    """
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1):  # matrices this small gain nothing from threads, and threads that wait cost much
        return _told_apart(texts, units, other, seed)


def _told_apart(texts: Sequence[str], units: Ints, other: Bools, seed: int) -> tuple[Measured, list[Telling]]:
    import numpy as np
    from sklearn.feature_extraction.text import TfidfVectorizer

    vectorizer = TfidfVectorizer(
        analyzer=_features, min_df=LEAST_TEXTS, max_features=FEATURES, sublinear_tf=True, dtype=np.float32
    )
    try:
        matrix = vectorizer.fit_transform(texts)
    except ValueError:  # no word stands in three texts
        return measured(np.full(3, 0.5), alike=0.5), []
    dense = matrix.toarray()
    dense -= dense.mean(axis=0)
    likeness = dense @ dense.T
    drawn = divisions(units, other, seed)
    folds = np.random.default_rng(seed).permutation(len(drawn)) % FOLDS
    areas = [_areas(likeness, folds[units] == fold, drawn[units]) for fold in range(FOLDS)]
    found = measured(np.nanmean(areas, axis=0) if np.isfinite(areas).any() else np.full(3, 0.5), alike=0.5)
    target = (other - other.mean()).astype(np.float32)
    weights = dense.T @ _ridge(likeness, target[:, None])[:, 0]
    return found, _telling(vectorizer.get_feature_names_out(), weights, matrix, other)


def _features(text: str) -> list[str]:
    cut = text[:LONGEST]
    return WORD.findall(cut) + [PAIR + one + two for one, two in pairwise(cut)]


def _ridge(likeness: Floats, targets: Floats) -> Floats:
    """Dual coefficients for each column of targets."""
    import numpy as np
    from scipy.linalg import cho_factor, cho_solve

    solved: Floats = cho_solve(cho_factor(likeness + PENALTY * np.eye(len(likeness), dtype=np.float32)), targets)
    return solved


def _areas(likeness: Floats, held_out: Bools, sides: Bools) -> npt.NDArray[np.float64]:
    """ROC AUC on the held-out rows for each column of sides; NaN where they are all of one side."""
    import numpy as np
    from scipy.stats import rankdata

    known = ~held_out
    targets = sides[known] - sides[known].mean(axis=0)
    scores = likeness[np.ix_(held_out, known)] @ _ridge(likeness[np.ix_(known, known)], targets.astype(np.float32))
    answers = sides[held_out]
    positive = answers.sum(axis=0)
    negative = len(answers) - positive
    ranks = rankdata(scores, axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        areas: npt.NDArray[np.float64] = ((ranks * answers).sum(axis=0) - positive * (positive + 1) / 2) / (
            positive * negative
        )
    return areas


def _telling(names: Sequence[str], weights: Floats, matrix: Any, other: Bools) -> list[Telling]:
    """The readable features that part the sides most: words, and pairs of characters in scripts without spaces."""
    import numpy as np

    def means(values: Any) -> tuple[Floats, Floats]:
        return tuple(np.asarray(values[side].mean(axis=0)).ravel() for side in (~other, other))  # type: ignore[return-value]

    ones, others = means(matrix)
    share, other_share = means(matrix > 0)
    found: list[Telling] = []
    for at in np.argsort(-weights * (others - ones)).tolist():
        name = str(names[at])
        pair = name.startswith(PAIR)
        readable = pair == bool(UNSPACED.search(name)) and name.removeprefix(PAIR).isalnum()
        if readable and len(found) < TOLD:
            found.append(Telling(name.removeprefix(PAIR), float(share[at]), float(other_share[at])))
    return found
