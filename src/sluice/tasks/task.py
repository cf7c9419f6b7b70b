"""`Task`: what every stage reads of a task, so that no stage has to know which one it is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeAlias

from pydantic import BaseModel, Field

from sluice.models.spec import Architecture
from sluice.part import Part
from sluice.tasks.encoding import Encoded, Tokenizer, encodings

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from transformers import PreTrainedModel

    from sluice.metrics.significance import Tally

Columns = Mapping[str, Sequence[str]]
"""Rows by column: every sequence has one entry a row. A cell that holds several strings has one a line."""
Kind = Literal["text", "list", "labels", "talk"]
"""Whether a cell is one string, may be a list of them, is a list however it was written, an empty one too, or may be a
conversation: a list of messages, which becomes JSON."""
Answers = Sequence[Any]
"""One answer a row, as the rows have theirs: a label, the tags of a sentence, a text."""
Outputs: TypeAlias = "Sequence[Any] | npt.NDArray[np.floating]"
"""What a model gave for each row, one array a row."""
Targets: TypeAlias = "Sequence[Any] | npt.NDArray[np.integer] | npt.NDArray[np.floating]"
"""What the loss holds outputs against: an index or a number a row, or a list of them, such as one a token."""
Breakdown = dict[str, dict[str, float]]
"""Figures by name."""
Ask = Callable[[Sequence[Any], BaseModel], list[Any]]
"""Inputs and options -> what the task reads of the model's outputs, one an input."""
BREAK = "\u2028"
"""A line break within one of several strings of a cell."""
IGNORED = -100
"""The target of a token that nothing is learnt from, as torch's cross-entropy has it."""


def items(cell: str) -> list[str]:
    """The strings of a cell that holds several, with their own line breaks."""
    return [one.replace(BREAK, "\n") for one in cell.split("\n")]


@dataclass(frozen=True)
class Baselines:
    """Answers of simple predictors for the test rows, by name."""

    trivial: dict[str, Answers]
    """Those that know nothing of the text."""
    strong: dict[str, Answers]
    """Those that a team would otherwise ship."""


class Task(Part, ABC):
    """One thing that a model can learn. Fields are its configuration, methods what the stages read."""

    name: ClassVar[str]
    verb: ClassVar[str]
    """What a caller does with it: the last part of its route."""
    architecture: ClassVar[Architecture] = "encoder"
    """The kind of model that it takes."""
    columns: ClassVar[Mapping[str, Kind]]
    """The columns that a row must have: the input first, then what is right."""
    primary_metric: ClassVar[str]
    """The metric that the gate compares and that significance is about."""
    validation_metric: ClassVar[str]
    """The metric of the validation rows that chooses the best checkpoint: one of `validation_figures`."""
    Options: ClassVar[type[BaseModel]]
    """What a caller may ask for beside the input."""
    Result: ClassVar[type[BaseModel]]
    """The answer for one input."""
    abstains: ClassVar[bool] = False
    """Whether an answer has a probability below which it had better not be given."""
    worded: ClassVar[bool] = False
    """Whether an answer is text, which falls under the same retention as the input."""
    writes: ClassVar[bool] = False
    """Whether its results are `WrittenResult`: texts that a model makes up token by token."""
    plots: ClassVar[tuple[str, ...]] = ()
    """The plots of `sluice.evaluation.plots` that say something about it."""
    slices: ClassVar[tuple[str, ...]] = ("length", "language")
    """What divides test rows into slices, unless the configuration says otherwise."""
    example: ClassVar[str]
    """An input for documentation, signatures and the playground."""
    padding: ClassVar[Literal["right", "left"]] = "right"
    """The side on which shorter inputs of a batch are filled up where a model answers."""
    together: ClassVar[int] = 32
    """Inputs in one forward pass: sorted by length, larger batches bring a single pass nothing on a CPU."""

    max_length: int = Field(160, ge=8, le=8192)
    """Longest input in tokens; what is longer is cut at the end."""

    @property
    def input(self) -> str:
        """The column that a model reads."""
        return next(iter(self.columns))

    def unusable(self, rows: Columns) -> dict[str, list[int]]:
        """Rows (by index) that nobody could learn from, by what is wrong with them: they are dropped and counted."""
        return {}

    def odd(self, rows: Columns) -> dict[str, list[int]]:
        """Rows (by index) that stay although something is wrong with them, by what it is: they are reported."""
        return {}

    def labels(self, rows: Columns) -> list[str]:
        """The label names that training rows define, in index order; none for a task without labels."""
        return []

    def classes(self, rows: Columns) -> Sequence[Sequence[str]] | None:
        """The labels of each row, sorted, where rows as a whole have labels: checks count them on every side."""
        return None

    def texts(self, rows: Columns) -> Sequence[str]:
        """The inputs as plain text, for whatever reads them without this task: tokenizers, languages, people.

        A row is known by it: rows with the same one are copies, or contradict each other.
        """
        return rows[self.input]

    def corpus(self, rows: Columns) -> Sequence[str]:
        """All text of the rows that a tokenizer made for them has to know."""
        return self.texts(rows)

    def inputs(self, rows: Columns) -> Sequence[Any]:
        """What is encoded of each row; a caller's text stands for such an input."""
        return rows[self.input]

    def refusal(self, text: str) -> str | None:
        """What a caller has to send instead of this text, in one line; None where it is an input."""
        return None

    def lessons(self, rows: Columns) -> Sequence[Any]:
        """What is encoded of each row to learn from: its input, unless a model reads the answer with it."""
        return self.inputs(rows)

    @abstractmethod
    def references(self, rows: Columns) -> Answers:
        """The right answer of each row."""

    def encode(self, tokenizer: Tokenizer, inputs: Sequence[Any], *, whole: bool = False) -> list[Encoded]:
        """Tokens of each input, special tokens included, cut to `max_length` unless `whole`; inputs are texts."""
        if not inputs:
            return []
        limit = self.limit(tokenizer, whole)
        if tokenizer.is_fast:
            return [Encoded(one.ids, cut=bool(one.overflowing)) for one in encodings(tokenizer, inputs, limit)]
        cut = {} if whole else {"truncation": True, "max_length": limit}
        encoded = tokenizer(list(inputs), return_attention_mask=False, verbose=False, **cut)
        return [Encoded(ids, cut=len(ids) == limit) for ids in encoded["input_ids"]]

    def limit(self, tokenizer: Tokenizer, whole: bool = False) -> int | None:
        """How many tokens of an input are read at most; None for all of them."""
        return None if whole else min(self.max_length, tokenizer.model_max_length)

    @abstractmethod
    def targets(
        self, tokenizer: Tokenizer, encoded: Sequence[Encoded], rows: Columns, labels: Sequence[str]
    ) -> Targets:
        """What the loss holds a model's outputs against: one index a row, or one a token with `IGNORED` in between."""

    def head(self, labels: Sequence[str]) -> Sequence[str]:
        """The names of the outputs of the model's head, as its configuration has them."""
        return labels

    @abstractmethod
    def model_class(self) -> type[Any]:
        """The transformers Auto class that puts this task's head on a backbone."""

    def begin(self, model: PreTrainedModel, rows: Columns) -> None:
        """Before a model learns from these training rows: what its head starts from, what its configuration says."""

    def finish(self, model: PreTrainedModel) -> None:
        """After it has learnt: fold what was there for the learning alone into the weights that are saved."""

    def beside(self, tokenizer: Tokenizer, rows: Columns) -> Sequence[Any] | None:
        """What a batch needs of each row while learning beside input and targets: the collator finds it in `beside`."""
        return None

    def collator(self, tokenizer: Tokenizer, model: PreTrainedModel, multiple: int) -> Any:
        """What makes a batch of rows with `input_ids` and `labels`, padded to a multiple of `multiple` tokens."""
        from transformers import DataCollatorWithPadding

        return DataCollatorWithPadding(tokenizer, pad_to_multiple_of=multiple)

    def scores(self, model: PreTrainedModel, batch: Mapping[str, Any], targets: Any) -> Any:
        """What `losses` and `keep` read of a model for a batch of the collator's."""
        return model(**batch).logits

    def settle(self, teacher: PreTrainedModel) -> None:
        """Ready a saved model for `scores`, which is to teach another: what `begin` does before a model learns."""

    def losses(self, scores: Any, targets: Any, smoothing: float) -> Any:
        """The loss in nats of each item of a batch, a row or a token; 0 for those with the target `IGNORED`."""
        import torch

        return torch.nn.functional.cross_entropy(
            scores.flatten(0, -2).float(),
            targets.flatten(),
            reduction="none",
            ignore_index=IGNORED,
            label_smoothing=smoothing,
        )

    def apart(self, scores: Any, taught: Any, targets: Any, temperature: float) -> Any:
        """How far a student's scores are from its teacher's: a number for each item of `losses`.

        Kullback-Leibler divergence of both softened by `temperature`, times its square (Hinton et al. 2015).
        """
        import torch

        ours, theirs = (torch.log_softmax(one.flatten(0, -2).float() / temperature, -1) for one in (scores, taught))
        each = (theirs.exp() * (theirs - ours)).sum(dim=-1) * temperature**2
        right = targets.flatten()
        return each.masked_fill(right == IGNORED, 0) if right.shape == each.shape else each

    def kinds(self, targets: Any) -> Any:
        """What each of the items in `targets` is an example of, as indices: class weights let all have the same say."""
        return targets.flatten()

    def forward(self, model: PreTrainedModel, batch: Mapping[str, Any], options: BaseModel) -> Any:
        """The model's raw outputs for a padded batch, a row an input: logits, or the ids of generated tokens."""
        return model(**batch).logits

    def read(self, raw: Any, encoded: Encoded, tokenizer: Tokenizer) -> Any:
        """What the methods below take of one input's raw outputs, padding included: those that answer."""
        return raw if encoded.positions is None else raw[encoded.positions]

    def observe(self, ask: Ask, rows: Columns) -> Outputs:
        """What a model gives for each row: what it answers to the row's input, unless a task needs more of it."""
        return ask(self.inputs(rows), self.Options())

    def keep(self, scores: Any, targets: Any) -> Any:
        """What validation while training keeps of a batch's scores: less, where all of them are too many to hold."""
        return scores

    def validation_figures(
        self, kept: Any, encoded: Sequence[Encoded], references: Answers, labels: Sequence[str], tokenizer: Tokenizer
    ) -> dict[str, float]:
        """Figures of the validation rows while training, from what was kept of them."""
        outputs = [self.read(row, one, tokenizer) for row, one in zip(kept, encoded, strict=True)]
        return self.metrics(outputs, labels, references)

    def export(self, folder: Path) -> None:
        """Add to a saved model what other libraries need to open it."""

    @abstractmethod
    def predictions(self, outputs: Outputs, labels: Sequence[str]) -> Answers:
        """The model's answer for each row."""

    def agreement(self, ours: Outputs, theirs: Outputs, labels: Sequence[str]) -> float:
        """How alike two forms of one model answer the same inputs, 1 for no difference: the share of equal answers."""
        pairs = zip(self.predictions(ours, labels), self.predictions(theirs, labels), strict=True)
        return sum(one == other for one, other in pairs) / len(ours)

    @property
    def comparable(self) -> bool:
        """Whether two versions' answers can be held against each other: not where they write, each in its own words."""
        return not self.writes

    def unlike(self, ours: Outputs, theirs: Outputs, labels: Sequence[str]) -> float:
        """How many of these answers two versions give otherwise, where `comparable`."""
        return (1 - self.agreement(ours, theirs, labels)) * len(ours)

    def probabilities(self, outputs: Outputs) -> npt.NDArray[np.float64] | None:
        """How probable each label is, shape (rows, labels); None where an answer is no choice among labels."""
        return None

    @abstractmethod
    def metrics(self, outputs: Outputs, labels: Sequence[str], references: Answers) -> dict[str, float]:
        """All figures, by `evaluate.Metric` subclasses; what these rows cannot show is left out."""

    @abstractmethod
    def decode(
        self, inputs: Sequence[Any], outputs: Outputs, labels: Sequence[str], options: BaseModel
    ) -> list[BaseModel]:
        """One `Result` a row."""

    def withheld(self, result: BaseModel, threshold: float, out_of_scope: str | None) -> BaseModel:
        """The same answer, saying whether it is below the threshold, or the label for what belongs to no other."""
        return result

    def breakdown(self, predictions: Answers, references: Answers, labels: Sequence[str]) -> Breakdown:
        """Figures by name, such as those of each label."""
        return {}

    @abstractmethod
    def tally(self, predictions: Answers, references: Answers, labels: Sequence[str]) -> Tally:
        """What to count of each row, so that the headline figures of any rows follow: bounds and slices rest on it."""

    def grades(self, predictions: Answers, references: Answers, labels: Sequence[str]) -> npt.NDArray[np.float64]:
        """How good each answer is, 1 for a perfect one, shape (rows,)."""
        return self.tally(predictions, references, labels).each(self.primary_metric)

    def spelt(self, answers: Answers, rows: Columns) -> list[str]:
        """Answers to these rows as people read them."""
        between = " | " if self.worded else " "
        return [one if isinstance(one, str) else between.join(one) for one in answers]

    @abstractmethod
    def baselines(self, train: Columns, test: Columns) -> Baselines:
        """What simple predictors, fitted on the training rows, say of the test rows."""
