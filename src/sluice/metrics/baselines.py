"""Predictors that every model has to be compared with."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Labels = npt.NDArray[np.int64]


def majority(train: Labels, rows: int) -> Labels:
    """The most frequent label of the training rows, for every row."""
    return np.full(rows, np.bincount(train).argmax(), np.int64)


def tfidf_logistic(train_texts: Sequence[str], train: Labels, test_texts: Sequence[str]) -> Labels:
    """Logistic regression on TF-IDF of words and word pairs: what a team would ship without a Transformer."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression

    vectorizer = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, min_df=2, dtype=np.float32)
    features = vectorizer.fit_transform(train_texts)
    model = LogisticRegression(C=10, max_iter=100, tol=1e-2).fit(features, train)
    return np.asarray(model.predict(vectorizer.transform(test_texts)), np.int64)
