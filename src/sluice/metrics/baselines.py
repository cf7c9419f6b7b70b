"""Predictors that every model has to be compared with."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Labels = npt.NDArray[np.int64]


def majority(train: Labels, rows: int) -> Labels:
    """The most frequent label of the training rows, for every row."""
    return np.full(rows, np.bincount(train).argmax(), np.int64)


def tfidf_logistic(train_texts: Sequence[str], train: Labels, test_texts: Sequence[str]) -> Labels:
    """Logistic regression on TF-IDF of words and word pairs: what a team would ship without a Transformer."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression

    vectorizer = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, min_df=2, dtype=np.float32)
    features = vectorizer.fit_transform(train_texts)
    # saga on sparse float32 takes a sixth of lbfgs's time for the same accuracy.
    model = LogisticRegression(C=10, solver="saga", tol=1e-3, max_iter=60, random_state=0)
    with warnings.catch_warnings():  # 60 rounds are enough whether or not it calls that converged
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(features, train)
    return np.asarray(model.predict(vectorizer.transform(test_texts)), np.int64)
