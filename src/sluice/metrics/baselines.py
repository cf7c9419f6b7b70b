"""Predictors that every model has to be compared with."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

NEAREST = 256
"""Texts that are compared with all training texts at a time."""


def majority(train: Sequence[str], rows: int) -> list[str]:
    """The most frequent label of the training rows, for every row; of several the first by name."""
    counts = Counter(train)
    return [min(counts, key=lambda label: (-counts[label], label))] * rows


def tfidf_logistic(train_texts: Sequence[str], train: Sequence[str], test_texts: Sequence[str]) -> list[str]:
    """Logistic regression on TF-IDF of words and word pairs: what a team would ship without a Transformer."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    vectorizer = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, min_df=2, dtype=np.float32)
    features = vectorizer.fit_transform(train_texts)
    return _logistic(features, train, vectorizer.transform(test_texts))


def tfidf_pair_logistic(
    train_pairs: Sequence[tuple[str, str]], train: Sequence[str], test_pairs: Sequence[tuple[str, str]]
) -> list[str]:
    """The same for pairs: the terms of either text, those that they share, and those that only one has."""
    from scipy.sparse import hstack
    from sklearn.feature_extraction.text import TfidfVectorizer

    vectorizer = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, min_df=2, dtype=np.float32)
    vectorizer.fit([text for pair in train_pairs for text in pair])

    def features(pairs: Sequence[tuple[str, str]]) -> Any:
        one, other = (vectorizer.transform(texts) for texts in zip(*pairs, strict=True))
        return hstack([one, other, one.multiply(other), abs(one - other)], format="csr")

    return _logistic(features(train_pairs), train, features(test_pairs))


def _logistic(features: Any, train: Sequence[str], asked: Any) -> list[str]:
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    # saga on sparse float32 takes a sixth of lbfgs's time for the same accuracy.
    model = LogisticRegression(C=10, solver="saga", tol=1e-3, max_iter=60, random_state=0)
    with warnings.catch_warnings():  # 60 rounds are enough whether or not it calls that converged
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(features, train)
    return [str(label) for label in model.predict(asked)]


def nearest(train_texts: Sequence[str], answers: Sequence[str], test_texts: Sequence[str]) -> list[str]:
    """The answer of the training text that is most similar by TF-IDF of words and word pairs (cosine)."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    vectorizer = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, dtype=np.float32)
    known = vectorizer.fit_transform(train_texts).T.tocsc()
    asked = vectorizer.transform(test_texts)
    found: list[str] = []
    for start in range(0, asked.shape[0], NEAREST):
        similar = (asked[start : start + NEAREST] @ known).toarray()
        found += [answers[at] for at in similar.argmax(axis=1).tolist()]
    return found


def tfidf_cosine(train_texts: Sequence[str], one: Sequence[str], other: Sequence[str]) -> list[float]:
    """The cosine of the TF-IDF vectors of each pair of texts, weights from the training texts."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    vectorizer = TfidfVectorizer(dtype=np.float32).fit(train_texts)
    products = vectorizer.transform(one).multiply(vectorizer.transform(other))
    return [float(value) for value in np.asarray(products.sum(axis=1)).ravel()]


def tfidf_ridge(train_texts: Sequence[str], train: Sequence[float], test_texts: Sequence[str]) -> list[float]:
    """Ridge regression on TF-IDF of words and word pairs."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import Ridge

    vectorizer = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, min_df=2)
    model = Ridge(alpha=1.0, random_state=0).fit(vectorizer.fit_transform(train_texts), train)
    return [float(score) for score in model.predict(vectorizer.transform(test_texts))]
