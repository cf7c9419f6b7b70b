"""Text classification: one text, one label."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field

from sluice.tasks.task import Baselines, Columns, Task

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from sluice.metrics.significance import Tally


class ClassificationOptions(BaseModel):
    """What a caller may ask of a classifier."""

    model_config = ConfigDict(extra="forbid")

    top_k: int | None = Field(None, ge=1, description="Return only the k most probable labels in `scores`.")


class ClassificationResult(BaseModel):
    """The answer for one text."""

    label: str = Field(description="The most probable label.")
    score: float = Field(description="Its probability, 0 to 1.")
    scores: dict[str, float] = Field(description="Probability by label, most probable first.")


class Classification(Task):
    """A label for a text, by an encoder with a sequence-classification head."""

    name: ClassVar[str] = "classification"
    columns: ClassVar[tuple[str, ...]] = ("text", "label")
    primary_metric: ClassVar[str] = "accuracy"
    Options: ClassVar[type[BaseModel]] = ClassificationOptions
    Result: ClassVar[type[BaseModel]] = ClassificationResult
    plots: ClassVar[tuple[str, ...]] = ("confusion", "reliability", "risk_coverage")
    example: ClassVar[str] = "Compute the shortest path between two nodes of a weighted graph."

    def labels(self, rows: Columns) -> list[str]:
        """The distinct labels, sorted."""
        return sorted(set(rows["label"]))

    def references(self, rows: Columns, labels: Sequence[str]) -> npt.NDArray[np.int64]:
        """Label indices, shape (rows,). A label that is not among `labels` raises KeyError."""
        import numpy as np

        index = {label: position for position, label in enumerate(labels)}
        return np.array([index[label] for label in rows["label"]], np.int64)

    def encode(self, tokenizer: PreTrainedTokenizerBase, texts: Sequence[str]) -> list[list[int]]:
        """Token ids of each text, special tokens included, cut to `max_length`."""
        if not texts:
            return []
        limit = min(self.max_length, tokenizer.model_max_length)
        encoded = tokenizer(list(texts), truncation=True, max_length=limit, return_attention_mask=False)
        return encoded["input_ids"]

    def model_class(self) -> type[Any]:
        """The Auto class for sequence classification."""
        from transformers import AutoModelForSequenceClassification

        return AutoModelForSequenceClassification

    def logits(self, model: PreTrainedModel, batch: Mapping[str, Any]) -> Any:
        """Class scores before the softmax, shape (batch, labels)."""
        return model(**batch).logits

    def predictions(self, logits: npt.NDArray[np.floating]) -> npt.NDArray[np.int64]:
        """The most probable label."""
        import numpy as np

        return logits.argmax(axis=1).astype(np.int64)

    def probabilities(self, logits: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
        """Softmax."""
        return softmax(logits)

    def metrics(self, logits: npt.NDArray[np.floating], references: npt.NDArray[np.integer]) -> dict[str, float]:
        """Accuracy, macro F1, Matthews correlation, and what the probabilities are worth."""
        from sluice.metrics import classification as metrics

        figures: dict[str, float] = {}
        for of_labels in (metrics.Accuracy(), metrics.MacroF1(), metrics.MatthewsCorrelation()):
            figures |= of_labels.compute(predictions=self.predictions(logits), references=references)
        probabilities = self.probabilities(logits)
        for of_scores in (
            metrics.CalibrationError(),
            metrics.Auroc(),
            metrics.LogLoss(),
            metrics.RiskCoverageArea(),
        ):
            figures |= of_scores.compute(predictions=probabilities, references=references)
        return {name: value for name, value in figures.items() if not math.isnan(value)}

    def decode(self, logits: npt.NDArray[np.floating], labels: Sequence[str], options: BaseModel) -> list[BaseModel]:
        """The most probable label and the probabilities of all, or of the `top_k` first."""
        top_k = options.top_k if isinstance(options, ClassificationOptions) else None
        return [_result(row, labels, top_k) for row in softmax(logits)]

    def breakdown(
        self,
        predictions: npt.NDArray[np.integer],
        references: npt.NDArray[np.integer],
        labels: Sequence[str],
    ) -> dict[str, dict[str, float]]:
        """Precision, recall, F1 and support by label name."""
        from sluice.metrics.classification import PerClass

        figures = PerClass().compute(predictions=predictions, references=references, classes=len(labels))
        return {label: {key: figures[key][index] for key in figures} for index, label in enumerate(labels)}

    def tally(
        self,
        predictions: npt.NDArray[np.integer],
        references: npt.NDArray[np.integer],
        classes: int,
    ) -> Tally:
        """Accuracy and macro F1."""
        from sluice.metrics.tallies import label_tally

        return label_tally(predictions, references, classes)

    def baselines(self, train: Columns, test: Columns, labels: Sequence[str]) -> Baselines:
        """The majority label, and TF-IDF + logistic regression."""
        from sluice.metrics.baselines import majority, tfidf_logistic

        answers = self.references(train, labels)
        return Baselines(
            trivial={"majority": majority(answers, len(test["text"]))},
            strong={"tfidf_logistic": tfidf_logistic(train["text"], answers, test["text"])},
        )


def softmax(logits: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    """Probabilities along the last axis."""
    import numpy as np

    shifted = np.exp(logits.astype(np.float64) - logits.max(axis=-1, keepdims=True))
    return shifted / shifted.sum(axis=-1, keepdims=True)


def _result(probabilities: npt.NDArray[np.float64], labels: Sequence[str], top_k: int | None) -> BaseModel:
    order = probabilities.argsort()[::-1][:top_k]
    scores = {labels[index]: float(probabilities[index]) for index in order}
    return ClassificationResult(label=labels[order[0]], score=float(probabilities[order[0]]), scores=scores)
