"""Answering only when sure: risk against coverage, and what a threshold makes of rows in and out of scope."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sluice.metrics.significance import Figures, Tally
from sluice.metrics.tallies import Sums, ratio

FIGURES = ("coverage", "selective_accuracy", "in_scope_accuracy", "out_of_scope_recall")
"""What there is to know of answering only when sure; the last two only with an out-of-scope label."""
SILENT = -1.0
"""Confidence of a row that the model itself calls out of scope: below every threshold."""


@dataclass(frozen=True)
class Sureness:
    """How sure a model is of each row's answer, and what the truth is. All of shape (rows,)."""

    confidence: npt.NDArray[np.float64]
    right: npt.NDArray[np.bool_]
    outside: npt.NDArray[np.bool_] | None = None
    """Rows whose right answer is that nobody can answer them; None where there is no such label."""

    def tally(self, threshold: float) -> Tally:
        """Coverage and accuracy of what is answered, at least as sure as `threshold`.

        With an out-of-scope label also the accuracy over rows in scope, where silence is wrong, and the share of rows
        out of scope that stay unanswered, as CLINC150 reports them (Larson et al. 2019).
        """
        from scipy.sparse import csr_array

        answered = self.confidence >= threshold
        columns = [np.ones(len(answered), bool), answered, answered & self.right]
        if self.outside is not None:
            columns += [~self.outside, ~self.outside & answered & self.right, self.outside, self.outside & ~answered]
        return Tally(csr_array(np.stack(columns, axis=1).astype(np.float32)), _figures)

    def sweep(self) -> tuple[npt.NDArray[np.float64], Figures]:
        """Every threshold that tells these rows apart, ascending from 0, and the figures at each.

        They lie midway between two confidences, so that rounding elsewhere moves no row across.
        """
        distinct = np.unique(self.confidence[self.confidence > 0])
        thresholds = np.concatenate([[0.0], (distinct[:-1] + distinct[1:]) / 2])
        order = np.argsort(self.confidence, kind="stable")
        counts = self.tally(np.inf).counts.toarray()[order].astype(np.float64)
        answered = self.tally(SILENT).counts.toarray()[order].astype(np.float64)
        first = np.searchsorted(self.confidence[order], thresholds, side="left")
        return thresholds, _figures(_before(counts, first) + _after(answered, first))


def risk_coverage(
    confidence: npt.NDArray[np.floating], right: npt.NDArray[np.bool_]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Share of rows answered, surest first, and the error among them (Geifman & El-Yaniv 2017), both of shape (rows,).

    Rows of equal confidence count with their mean, which is what a random order among them would give on average.
    """
    _, tie = np.unique(-confidence, return_inverse=True)
    mean = np.bincount(tie, ~right) / np.bincount(tie)
    answered = np.arange(1, len(right) + 1)
    return answered / len(right), np.cumsum(mean[np.sort(tie)]) / answered


def _before(counts: Sums, first: npt.NDArray[np.integer]) -> Sums:
    """Sums of the rows before each position."""
    return np.concatenate([np.zeros((1, counts.shape[1])), np.cumsum(counts, axis=0)])[first]


def _after(counts: Sums, first: npt.NDArray[np.integer]) -> Sums:
    """Sums of the rows from each position on."""
    return counts.sum(axis=0) - _before(counts, first)


def _figures(sums: Sums) -> Figures:
    rows, answered, right, *scope = sums.T
    figures = {"coverage": ratio(answered, rows), "selective_accuracy": ratio(right, answered)}
    if scope:
        inside, inside_right, outside, outside_silent = scope
        figures["in_scope_accuracy"] = ratio(inside_right, inside)
        figures["out_of_scope_recall"] = ratio(outside_silent, outside)
    return figures
