"""Metrics of texts with any number of labels, as `evaluate.Metric` subclasses and as sums."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import datasets
import numpy as np
import numpy.typing as npt
from sklearn.metrics import average_precision_score, roc_auc_score

from sluice.metrics.metric import Metric
from sluice.metrics.significance import Figures, Tally
from sluice.metrics.tallies import Sums, ratio

Marks = npt.NDArray[np.bool_]
"""Which labels each row has, shape (rows, labels)."""


class LabelSets(Metric):
    """F1 over all labels of all rows (micro), its mean over labels (macro), rows that are right as a whole, and the
    share of wrong marks (Hamming loss). `predictions` and `references` are 0 or 1, shape (rows, labels).
    """

    features = datasets.Features(
        {
            "predictions": datasets.Sequence(datasets.Value("int64")),
            "references": datasets.Sequence(datasets.Value("int64")),
        }
    )

    def _compute(self, predictions: Sequence[Sequence[int]], references: Sequence[Sequence[int]]) -> dict[str, float]:
        said, right = np.asarray(predictions, bool), np.asarray(references, bool)
        return {**set_tally(said, right).exact(), "hamming_loss": float((said != right).mean())}


class LabelRanking(Metric):
    """Average precision and area under the ROC curve of each label, mean over those that some rows have and some lack.

    `predictions` are probabilities, shape (rows, labels). NaN where there is no such label.
    """

    features = datasets.Features(
        {
            "predictions": datasets.Sequence(datasets.Value("float32")),
            "references": datasets.Sequence(datasets.Value("int64")),
        }
    )

    def _compute(self, predictions: Sequence[Sequence[float]], references: Sequence[Sequence[int]]) -> dict[str, float]:
        scores, right = np.asarray(predictions), np.asarray(references, bool)
        told = right.any(axis=0) & ~right.all(axis=0)
        if not told.any():
            return {"macro_average_precision": float("nan"), "auroc": float("nan")}
        pairs = list(zip(right[:, told].T, scores[:, told].T, strict=True))
        return {
            "macro_average_precision": float(np.mean([average_precision_score(*pair) for pair in pairs])),
            "auroc": float(np.mean([roc_auc_score(*pair) for pair in pairs])),
        }


def set_tally(predictions: Marks, references: Marks) -> Tally:
    """Micro F1, macro F1 over the labels that occur, and the share of rows that are right as a whole.

    Counted are, by label, the hits and how often it is predicted or right. Nothing said where nothing is right is 1.
    """
    from scipy.sparse import csr_array

    rows, labels = references.shape
    hits, named = predictions & references, predictions.astype(np.float32) + references
    whole = (predictions == references).all(axis=1)
    counts = np.concatenate([hits, named, whole[:, None], np.ones((rows, 1))], axis=1, dtype=np.float32)

    def figures(sums: Sums) -> Figures:
        hits, named = sums[:, :labels], sums[:, labels : 2 * labels]
        f1 = ratio(2 * hits, named, empty=0.0)
        return {
            "micro_f1": ratio(2 * hits.sum(axis=1), named.sum(axis=1), empty=1.0),
            "macro_f1": ratio(f1.sum(axis=1), (named > 0).sum(axis=1), empty=1.0),
            "subset_accuracy": ratio(sums[:, -2], sums[:, -1]),
        }

    return Tally(csr_array(counts), figures)


def by_label(predictions: Marks, references: Marks, labels: Sequence[str]) -> dict[str, dict[str, float]]:
    """Precision, recall, F1 and support by label name; 0 where nothing can be divided by."""
    hits, said, support = ((marks.sum(axis=0)) for marks in (predictions & references, predictions, references))
    figures = {
        "precision": ratio(hits.astype(float), said, empty=0.0),
        "recall": ratio(hits.astype(float), support, empty=0.0),
        "f1": ratio(2.0 * hits, said + support, empty=0.0),
        "support": support.astype(float),
    }
    return {label: {name: float(own[at]) for name, own in figures.items()} for at, label in enumerate(labels)}


def tfidf_one_vs_rest(train_texts: Sequence[str], train: Marks, test_texts: Sequence[str], threshold: float) -> Marks:
    """A logistic regression a label on TF-IDF of words and word pairs: the labels at least as probable as asked."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression

    vectorizer = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, min_df=2, dtype=np.float32)
    known, asked = vectorizer.fit_transform(train_texts), vectorizer.transform(test_texts)
    found = np.tile(train.any(axis=0), (len(test_texts), 1))  # what every row has, every row gets
    for at in np.flatnonzero(train.any(axis=0) & ~train.all(axis=0)).tolist():
        model = LogisticRegression(C=10, solver="saga", tol=1e-3, max_iter=60, random_state=0)
        with warnings.catch_warnings():  # 60 rounds are enough whether or not it calls that converged
            warnings.simplefilter("ignore", ConvergenceWarning)
            model.fit(known, train[:, at])
        found[:, at] = model.predict_proba(asked)[:, 1] >= threshold
    return found
