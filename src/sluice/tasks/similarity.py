"""How alike two texts are in meaning, learnt from pairs that people have scored."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from sluice.tasks.encoding import Encoded, Tokenizer
from sluice.tasks.regression import is_number
from sluice.tasks.task import Answers, Ask, Baselines, Columns, Kind, Outputs, Targets
from sluice.tasks.vectors import Vectors, ids_of, pair_collator

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from transformers import PreTrainedModel

    from sluice.metrics.significance import Tally


class Similarity(Vectors):
    """Vectors whose cosine follows scores: only their order counts, so any scale will do."""

    name: ClassVar[str] = "similarity"
    columns: ClassVar[Mapping[str, Kind]] = {"text_a": "text", "text_b": "text", "score": "text"}
    primary_metric: ClassVar[str] = "spearman"
    validation_metric: ClassVar[str] = "spearman"
    example: ClassVar[str] = "A plane is taking off."

    temperature: float = Field(0.05, gt=0)
    """What differences of cosines are divided by while learning."""

    def unusable(self, rows: Columns) -> dict[str, list[int]]:
        """Scores that are no numbers."""
        return {"score_is_no_number": [row for row, cell in enumerate(rows["score"]) if not is_number(cell)]}

    def texts(self, rows: Columns) -> Sequence[str]:
        """Both texts on one line: a row is known by the two of them."""
        return [f"{one} | {other}" for one, other in zip(rows["text_a"], rows["text_b"], strict=True)]

    def corpus(self, rows: Columns) -> Sequence[str]:
        """Both texts of each row."""
        return [*rows["text_a"], *rows["text_b"]]

    def references(self, rows: Columns) -> Answers:
        """The scores."""
        return [float(cell) for cell in rows["score"]]

    def targets(
        self, tokenizer: Tokenizer, encoded: Sequence[Encoded], rows: Columns, labels: Sequence[str]
    ) -> Targets:
        """The scores."""
        return self.references(rows)

    def beside(self, tokenizer: Tokenizer, rows: Columns) -> Sequence[Any] | None:
        """The tokens of the second text."""
        return [[[0], ids] for ids in ids_of(self.encode(tokenizer, rows["text_b"]))]

    def collator(self, tokenizer: Tokenizer, model: PreTrainedModel, multiple: int) -> Any:
        """Batches of first and of second texts."""
        return pair_collator(tokenizer, multiple)

    def scores(self, model: PreTrainedModel, batch: Mapping[str, Any], targets: Any) -> Any:
        """The cosine of each pair, shape (batch,)."""
        one = self.vectors(model, {name: batch[name] for name in ("input_ids", "attention_mask")})
        other = self.vectors(model, {"input_ids": batch["passage_ids"], "attention_mask": batch["passage_mask"]})
        return (one * other).sum(dim=1)

    def losses(self, scores: Any, targets: Any, smoothing: float) -> Any:
        """How much closer pairs with lower scores lie than pairs with higher ones (CoSENT, Su 2022), for every row."""
        import torch

        worse = targets.unsqueeze(0) < targets.unsqueeze(1)  # [i, j]: pair j has the lower score
        excess = (scores.unsqueeze(0) - scores.unsqueeze(1)) / self.temperature
        found = torch.cat([excess[worse], torch.zeros(1, device=scores.device)])
        return torch.logsumexp(found, dim=0).expand(len(targets))

    def apart(self, scores: Any, taught: Any, targets: Any, temperature: float) -> Any:
        """The squared difference of each pair's cosines."""
        return (scores - taught) ** 2

    def validation_figures(
        self, kept: Any, encoded: Sequence[Encoded], references: Answers, labels: Sequence[str], tokenizer: Tokenizer
    ) -> dict[str, float]:
        """Correlation of cosines and scores."""
        return self.tally(kept.tolist(), references, labels).exact()

    def observe(self, ask: Ask, rows: Columns) -> Outputs:
        """The cosine of each row's texts."""
        import numpy as np

        one, other = (np.stack(ask(rows[column], self.Options())) for column in ("text_a", "text_b"))
        return (one * other).sum(axis=1)

    def predictions(self, outputs: Outputs, labels: Sequence[str]) -> Answers:
        """The cosines."""
        return [float(one) for one in outputs]

    def metrics(self, outputs: Outputs, labels: Sequence[str], references: Answers) -> dict[str, float]:
        """Spearman's and Pearson's correlation."""
        return self.tally(self.predictions(outputs, labels), references, labels).exact()

    def tally(self, predictions: Answers, references: Answers, labels: Sequence[str]) -> Tally:
        """The same, row by row."""
        from sluice.metrics.correlation import correlation_tally

        return correlation_tally(predictions, references)

    def grades(self, predictions: Answers, references: Answers, labels: Sequence[str]) -> npt.NDArray[np.float64]:
        """One minus how far the ranks of cosine and score are apart."""
        import numpy as np

        from sluice.metrics.correlation import ranks

        found: npt.NDArray[np.float64] = 1 - np.abs(ranks(np.asarray(predictions)) - ranks(np.asarray(references)))
        return found

    def spelt(self, answers: Answers, rows: Columns) -> list[str]:
        """The numbers."""
        return [f"{one:.3f}" for one in answers]

    def baselines(self, train: Columns, test: Columns) -> Baselines:
        """How alike the texts are in length, and the cosine of their words' TF-IDF."""
        from sluice.metrics.baselines import tfidf_cosine

        pairs = [(len(one), len(other)) for one, other in zip(test["text_a"], test["text_b"], strict=True)]
        lengths = [min(pair) / max(pair) for pair in pairs]
        cosines = tfidf_cosine(self.corpus(train), test["text_a"], test["text_b"])
        return Baselines(trivial={"length": lengths}, strong={"tfidf_cosine": cosines})
