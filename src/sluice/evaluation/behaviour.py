"""A model put through behavioural cases: what held, and what did not."""

from __future__ import annotations

import csv
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sluice.errors import UserError
from sluice.evaluation.casefile import Cases
from sluice.evaluation.cases import Case, LabelCase, Outcome, Reaction, Writing
from sluice.evaluation.writing import Writer
from sluice.inference.predictor import Predictor


@dataclass(frozen=True)
class Tried:
    """One check of a case."""

    case: Case
    text: str
    variant: str
    outcome: Outcome


def try_cases(predictor: Predictor, cases: Cases) -> list[Tried]:
    """Every check of every case; each distinct text is predicted once."""
    cases.check(predictor.task, predictor.bundle.labels)
    labelled = [case for case in cases.cases if isinstance(case, LabelCase)]
    planned = [(case, text, variant) for case in labelled for text, variant in case.checks()]
    said = _react(predictor, list(dict.fromkeys(text for _, *pair in planned for text in pair)))
    tried = [Tried(case, text, variant, case.judge(said[text], said[variant])) for case, text, variant in planned]
    return [*tried, *(one for case in cases.cases if isinstance(case, Writing) for one in _write(predictor, case))]


def shares(tried: list[Tried]) -> dict[str, float]:
    """Share of the checks that held, by kind."""
    counts = Counter(one.case.kind for one in tried)
    held = Counter(one.case.kind for one in tried if one.outcome.holds)
    return {kind: held[kind] / count for kind, count in counts.items()}


def record(tried: list[Tried]) -> list[dict[str, Any]]:
    """By case, how many checks there were and how many held."""
    cases = {one.case.name: one.case for one in tried}
    counts = Counter(one.case.name for one in tried)
    held = Counter(one.case.name for one in tried if one.outcome.holds)
    return [{"kind": cases[name].kind, "case": name, "held": held[name], "of": counts[name]} for name in cases]


def write_csv(path: Path, tried: list[Tried], keep_texts: bool) -> None:
    """A line a check, those that failed first."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["held", "kind", "case", "expected", "found", *(["text", "variant"] if keep_texts else [])])
        for one in sorted(tried, key=lambda one: one.outcome.holds):
            texts = [one.text, one.variant] if keep_texts else []
            outcome = one.outcome
            held = "yes" if outcome.holds else "NO"
            writer.writerow([held, one.case.kind, one.case.name, outcome.expected, outcome.found, *texts])


def _write(predictor: Predictor, case: Writing) -> list[Tried]:
    texts = [one for text in case.texts for one in case.spelt_out(text)]
    writer = Writer(predictor)
    return [
        Tried(case, text, promise, outcome)
        for promise in case.must
        for text, outcome in zip(texts, writer.judge(promise, texts), strict=True)
    ]


def _react(predictor: Predictor, texts: list[str]) -> dict[str, Reaction]:
    if not texts:
        return {}
    task, labels = predictor.task, predictor.bundle.labels
    outputs = predictor.outputs(texts)
    probabilities = task.probabilities(outputs)
    if probabilities is None:
        raise UserError(f"evaluate.cases are about probabilities of labels, which task={task.name} has not")
    answers = task.predictions(outputs, labels)
    scores = [dict(zip(labels, row, strict=True)) for row in probabilities.tolist()]
    return {text: Reaction(answer, row) for text, answer, row in zip(texts, answers, scores, strict=True)}
