"""One text into another: summaries and translations, by an encoder-decoder."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field

from sluice.models.spec import Architecture
from sluice.tasks.encoding import Encoded, Tokenizer
from sluice.tasks.task import Answers, Baselines, Columns, Kind, Outputs, Targets, Task, items
from sluice.tasks.tokens import token_figures, token_losses, token_scores, token_sums
from sluice.tasks.written import Written, WrittenResult, completeness, result

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from sluice.metrics.significance import Tally


class Seq2SeqOptions(BaseModel):
    """What a caller may ask of a text that is written."""

    model_config = ConfigDict(extra="forbid")

    max_new_tokens: int | None = Field(None, ge=1, le=1024, description="Longest answer in tokens.")
    num_beams: int | None = Field(None, ge=1, le=16, description="Answers that are followed at a time; 1 is greedy.")


class Seq2Seq(Task):
    """A text for a text. Rows may have several right answers: one is learnt from, all are measured against."""

    architecture: ClassVar[Architecture] = "encoder_decoder"
    validation_metric: ClassVar[str] = "nats_per_token"
    together: ClassVar[int] = 128
    worded: ClassVar[bool] = True
    writes: ClassVar[bool] = True
    Options: ClassVar[type[BaseModel]] = Seq2SeqOptions
    Result: ClassVar[type[BaseModel]] = WrittenResult

    max_new_tokens: int = Field(48, ge=1, le=1024)
    """Longest answer in tokens, in training and unless a caller says otherwise."""
    num_beams: int = Field(1, ge=1, le=16)
    """Answers that are followed at a time, unless a caller says otherwise; 1 is greedy."""

    def references(self, rows: Columns) -> Answers:
        """The right answers of each row."""
        return [items(cell) for cell in rows[self.answer]]

    def corpus(self, rows: Columns) -> Sequence[str]:
        """Inputs and answers: one vocabulary serves both."""
        return [*self.texts(rows), *(text for answers in self.references(rows) for text in answers)]

    @property
    def answer(self) -> str:
        """The column with what is right."""
        return list(self.columns)[1]

    def targets(
        self, tokenizer: Tokenizer, encoded: Sequence[Encoded], rows: Columns, labels: Sequence[str]
    ) -> Targets:
        """Token ids of each row's first right answer."""
        answers = [row[0] for row in self.references(rows)]
        found = tokenizer(text_target=answers, truncation=True, max_length=self.max_new_tokens)
        ids: list[list[int]] = found["input_ids"]
        return ids

    def model_class(self) -> type[Any]:
        """The Auto class for sequence to sequence."""
        from transformers import AutoModelForSeq2SeqLM

        return AutoModelForSeq2SeqLM

    def collator(self, tokenizer: Tokenizer, model: PreTrainedModel, multiple: int) -> Any:
        """Pads both texts, and gives the decoder the right answer up to each token."""
        from transformers import DataCollatorForSeq2Seq

        return DataCollatorForSeq2Seq(tokenizer, model=model, pad_to_multiple_of=multiple)

    def scores(self, model: PreTrainedModel, batch: Mapping[str, Any], targets: Any) -> Any:
        """Scores of the tokens of answers, shape (such tokens, vocabulary)."""
        return token_scores(model, batch, targets)

    def losses(self, scores: Any, targets: Any, smoothing: float) -> Any:
        """Cross-entropy of the tokens of answers."""
        return token_losses(scores, targets, smoothing)

    def keep(self, scores: Any, targets: Any) -> Any:
        """Sums by row, shape (rows, 3)."""
        return token_sums(scores, targets)

    def validation_figures(
        self, kept: Any, encoded: Sequence[Encoded], references: Answers, labels: Sequence[str], tokenizer: Tokenizer
    ) -> dict[str, float]:
        """Loss and accuracy by token, each token given the right ones before it."""
        return token_figures(kept)

    def forward(self, model: PreTrainedModel, batch: Mapping[str, Any], options: BaseModel) -> Any:
        """Token ids of what is written, shape (batch, length)."""
        asked = options.model_dump(exclude_none=True)
        choices = {"max_new_tokens": self.max_new_tokens, "num_beams": self.num_beams, **asked}
        places = getattr(model.config, "max_position_embeddings", None)
        if places:  # of some models, one an answer's token
            choices["max_new_tokens"] = min(choices["max_new_tokens"], places)
        return model.generate(**batch, do_sample=False, **choices)

    def read(self, raw: Any, encoded: Encoded, tokenizer: Tokenizer) -> Written:
        """The text of the tokens."""
        text = tokenizer.decode(raw, skip_special_tokens=True).strip()
        finished = tokenizer.eos_token_id in raw[1:].tolist()
        return Written(text, finished, encoded.cut)

    def predictions(self, outputs: Outputs, labels: Sequence[str]) -> Answers:
        """The texts."""
        return [one.text for one in outputs]

    def decode(
        self, inputs: Sequence[Any], outputs: Outputs, labels: Sequence[str], options: BaseModel
    ) -> list[BaseModel]:
        """The texts and whether they are whole."""
        return [result(one) for one in outputs]

    def metrics(self, outputs: Outputs, labels: Sequence[str], references: Answers) -> dict[str, float]:
        """How near the texts are to the right ones, and what they are like."""
        from sluice.metrics.generation import manner

        texts = self.predictions(outputs, labels)
        return {
            **self.nearness(texts, references),
            **manner(texts),
            **completeness(list(outputs)),
        }

    @abstractmethod
    def nearness(self, texts: Sequence[str], references: Answers) -> dict[str, float]:
        """How near the texts are to the right ones, by the field's metrics."""


class Summarization(Seq2Seq):
    """A short text that says what a long one does."""

    name: ClassVar[str] = "summarization"
    verb: ClassVar[str] = "summarize"
    columns: ClassVar[Mapping[str, Kind]] = {"document": "text", "summary": "list"}
    primary_metric: ClassVar[str] = "rouge_l"
    example: ClassVar[str] = (
        "The path is found by Dijkstra's algorithm, so that all weights must be positive. "
        "Returns the nodes of the path, from source to target, or raises NoPath if there is none."
    )

    def nearness(self, texts: Sequence[str], references: Answers) -> dict[str, float]:
        """ROUGE-1, -2 and -L, of several right answers that which is nearest."""
        from sluice.metrics.generation import Rouge

        return dict(Rouge().compute(predictions=texts, references=references))

    def tally(self, predictions: Answers, references: Answers, labels: Sequence[str]) -> Tally:
        """The same, row by row."""
        from sluice.metrics.overlap import rouge_tally

        return rouge_tally(predictions, references)

    def baselines(self, train: Columns, test: Columns) -> Baselines:
        """The text itself, and its first sentence."""
        from sluice.metrics.overlap import first_sentence

        texts = test[self.input]
        return Baselines(
            trivial={"copy": list(texts)},
            strong={"lead_1": [first_sentence(text) for text in texts]},
        )


class Translation(Seq2Seq):
    """A text in another language."""

    name: ClassVar[str] = "translation"
    verb: ClassVar[str] = "translate"
    columns: ClassVar[Mapping[str, Kind]] = {"source": "text", "target": "list"}
    primary_metric: ClassVar[str] = "bleu"
    example: ClassVar[str] = "Two dogs are playing in the snow."

    def nearness(self, texts: Sequence[str], references: Answers) -> dict[str, float]:
        """BLEU and chrF of sacreBLEU, from 0 to 1."""
        from sluice.metrics.generation import Bleu, ChrF

        return {
            **Bleu().compute(predictions=texts, references=references),
            **ChrF().compute(predictions=texts, references=references),
        }

    def tally(self, predictions: Answers, references: Answers, labels: Sequence[str]) -> Tally:
        """BLEU's counts, row by row."""
        from sluice.metrics.overlap import bleu_tally

        return bleu_tally(predictions, references)

    def baselines(self, train: Columns, test: Columns) -> Baselines:
        """The source itself, and the answer of the training row with the most similar source."""
        from sluice.metrics.baselines import nearest

        answers = [row[0] for row in self.references(train)]
        return Baselines(
            trivial={"copy": list(test[self.input])},
            strong={"nearest_pair": nearest(train[self.input], answers, test[self.input])},
        )
