"""Multi-label classification: one text, any number of labels, none of them too."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field

from sluice.tasks.encoding import Encoded, Tokenizer
from sluice.tasks.task import Answers, Baselines, Breakdown, Columns, Kind, Outputs, Targets, Task

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from transformers import PreTrainedModel

    from sluice.metrics.significance import Tally


class MultilabelOptions(BaseModel):
    """What a caller may ask of a multi-label classifier."""

    model_config = ConfigDict(extra="forbid")

    threshold: float | None = Field(None, gt=0, lt=1, description="Least probability of a label in `labels`.")
    top_k: int | None = Field(None, ge=1, description="Return only the k most probable labels in `scores`.")


class MultilabelResult(BaseModel):
    """The answer for one text."""

    labels: list[str] = Field(description="The labels that fit, most probable first; there may be none.")
    scores: dict[str, float] = Field(description="Probability by label, each by itself, most probable first.")


class Multilabel(Task):
    """Each label by itself: does it fit the text?"""

    name: ClassVar[str] = "multilabel"
    verb: ClassVar[str] = "label"
    columns: ClassVar[Mapping[str, Kind]] = {"text": "text", "labels": "labels"}
    primary_metric: ClassVar[str] = "micro_f1"
    validation_metric: ClassVar[str] = "micro_f1"
    Options: ClassVar[type[BaseModel]] = MultilabelOptions
    Result: ClassVar[type[BaseModel]] = MultilabelResult
    slices: ClassVar[tuple[str, ...]] = ("labels", "length", "language")
    example: ClassVar[str] = "Compute the shortest path between two nodes of a weighted graph."

    threshold: float = Field(0.5, gt=0, lt=1)
    """Least probability of a label that is given."""

    def labels(self, rows: Columns) -> list[str]:
        """The distinct labels, sorted."""
        return sorted({label for some in self.classes(rows) for label in some})

    def classes(self, rows: Columns) -> Sequence[Sequence[str]]:
        """The distinct labels of each row, sorted."""
        return [sorted({*cell.split("\n")} - {""}) for cell in rows["labels"]]

    def references(self, rows: Columns) -> Answers:
        """The labels of each row."""
        return self.classes(rows)

    def targets(
        self, tokenizer: Tokenizer, encoded: Sequence[Encoded], rows: Columns, labels: Sequence[str]
    ) -> Targets:
        """1 for a label that the row has, else 0; shape (rows, labels). An unknown label raises KeyError."""
        import numpy as np

        return marks(self.classes(rows), labels).astype(np.float32)

    def model_class(self) -> type[Any]:
        """The Auto class for sequence classification."""
        from transformers import AutoModelForSequenceClassification

        return AutoModelForSequenceClassification

    def begin(self, model: PreTrainedModel, rows: Columns) -> None:
        """The word by which transformers applies a sigmoid and not a softmax."""
        model.config.problem_type = "multi_label_classification"

    def losses(self, scores: Any, targets: Any, smoothing: float) -> Any:
        """Binary cross-entropy of every label of every row, targets moved by half of `smoothing` towards the other."""
        import torch

        aims = targets * (1 - smoothing) + smoothing / 2
        return torch.nn.functional.binary_cross_entropy_with_logits(scores.float(), aims, reduction="none").flatten()

    def apart(self, scores: Any, taught: Any, targets: Any, temperature: float) -> Any:
        """The same of every label of every row."""
        import torch

        ours, theirs = scores.float() / temperature, torch.sigmoid(taught.float() / temperature)
        entropy = -(torch.xlogy(theirs, theirs) + torch.xlogy(1 - theirs, 1 - theirs))
        found = torch.nn.functional.binary_cross_entropy_with_logits(ours, theirs, reduction="none") - entropy
        return found.flatten() * temperature**2

    def kinds(self, targets: Any) -> Any:
        """Having a label and lacking it are two kinds, for each label."""
        import torch

        return (2 * torch.arange(targets.shape[-1], device=targets.device) + targets.long()).flatten()

    def predictions(self, outputs: Outputs, labels: Sequence[str]) -> Answers:
        """The labels at least as probable as `threshold`, in index order."""
        said = _probabilities(outputs, labels) >= self.threshold
        return [[labels[at] for at in row.nonzero()[0]] for row in said]

    def metrics(self, outputs: Outputs, labels: Sequence[str], references: Answers) -> dict[str, float]:
        """F1 micro and macro, exact match, Hamming loss, and what the probabilities are worth."""
        from sluice.metrics.multilabel import LabelRanking, LabelSets

        probabilities, right = _probabilities(outputs, labels), marks(references, labels)
        figures = LabelSets().compute(predictions=probabilities >= self.threshold, references=right)
        figures |= LabelRanking().compute(predictions=probabilities, references=right)
        return {name: value for name, value in figures.items() if not math.isnan(value)}

    def decode(
        self, inputs: Sequence[Any], outputs: Outputs, labels: Sequence[str], options: BaseModel
    ) -> list[BaseModel]:
        """The labels that fit, and the probabilities of all, or of the `top_k` first."""
        asked = options if isinstance(options, MultilabelOptions) else MultilabelOptions()
        results: list[BaseModel] = []
        for row in _probabilities(outputs, labels):
            order = row.argsort(kind="stable")[::-1]
            given = [labels[at] for at in order if row[at] >= (asked.threshold or self.threshold)]
            results.append(
                MultilabelResult(labels=given, scores={labels[at]: float(row[at]) for at in order[: asked.top_k]})
            )
        return results

    def breakdown(self, predictions: Answers, references: Answers, labels: Sequence[str]) -> Breakdown:
        """Precision, recall, F1 and support by label name."""
        from sluice.metrics.multilabel import by_label

        return by_label(marks(predictions, labels), marks(references, labels), labels)

    def tally(self, predictions: Answers, references: Answers, labels: Sequence[str]) -> Tally:
        """F1 micro and macro, and exact match."""
        from sluice.metrics.multilabel import set_tally

        return set_tally(marks(predictions, labels), marks(references, labels))

    def spelt(self, answers: Answers, rows: Columns) -> list[str]:
        """The labels of each row, or that there are none."""
        return [" | ".join(some) or "(none)" for some in answers]

    def baselines(self, train: Columns, test: Columns) -> Baselines:
        """The labels that most often stand together, and a TF-IDF + logistic regression a label."""
        from sluice.metrics.multilabel import tfidf_one_vs_rest

        counts, labels = Counter(map(tuple, self.classes(train))), self.labels(train)
        frequent = min(counts, key=lambda some: (-counts[some], some))
        said = tfidf_one_vs_rest(train["text"], marks(self.classes(train), labels), test["text"], self.threshold)
        return Baselines(
            trivial={"most_frequent": [list(frequent)] * len(test["text"])},
            strong={"tfidf_logistic": [[labels[at] for at in row.nonzero()[0]] for row in said]},
        )


def marks(answers: Answers, labels: Sequence[str]) -> npt.NDArray[np.bool_]:
    """Which labels each answer has, shape (rows, labels). One that is not among `labels` raises KeyError."""
    import numpy as np

    index = {label: position for position, label in enumerate(labels)}
    found = np.zeros((len(answers), len(labels)), bool)
    for row, some in enumerate(answers):
        found[row, [index[label] for label in some]] = True
    return found


def _probabilities(outputs: Outputs, labels: Sequence[str]) -> npt.NDArray[np.float64]:
    """Sigmoid, shape (rows, labels); without an overflow for large logits."""
    import numpy as np

    return 0.5 * (1 + np.tanh(0.5 * np.asarray(outputs, np.float64).reshape(-1, len(labels))))
