"""What follows a text, by a decoder: language models of plain text, and what they share with chat."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field

from sluice.models.spec import Architecture
from sluice.tasks.encoding import Encoded, Tokenizer
from sluice.tasks.task import IGNORED, Answers, Ask, Baselines, Columns, Kind, Outputs, Targets, Task
from sluice.tasks.tokens import token_figures, token_losses, token_scores, token_sums
from sluice.tasks.written import Wish, Written, WrittenResult, result

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from transformers import PreTrainedModel

    from sluice.metrics.significance import Tally


class GenerationOptions(BaseModel):
    """What a caller may ask of a text that is written."""

    model_config = ConfigDict(extra="forbid")

    max_new_tokens: int | None = Field(None, ge=1, le=4096, description="Longest answer in tokens.")
    temperature: float | None = Field(None, ge=0, le=10, description="0 always takes the likeliest token.")
    top_p: float | None = Field(None, gt=0, le=1, description="Draw from the likeliest tokens of that share together.")
    seed: int = Field(0, ge=0, lt=2**63, description="The same seed draws the same text.")
    stop: list[str] = Field([], max_length=8, description="The answer ends before the first of these texts.")


class Likelihood(BaseModel):
    """Asks how unlikely given answers are, instead of writing some."""


@dataclass(frozen=True)
class Exchange:
    """A prompt with its answer, both given."""

    prompt: str
    answer: str


@dataclass(frozen=True)
class Weighed:
    """How unlikely an answer is."""

    nats: float
    tokens: int
    bytes: int
    """Of the text that was read."""
    truncated: bool


class Generation(Task):
    """A decoder that goes on with a prompt. Learns from answers only; prompts are read, not learnt."""

    architecture: ClassVar[Architecture] = "decoder"
    verb: ClassVar[str] = "generate"
    padding = "left"
    together: ClassVar[int] = 128
    validation_metric: ClassVar[str] = "nats_per_token"
    worded: ClassVar[bool] = True
    writes: ClassVar[bool] = True
    Options: ClassVar[type[BaseModel]] = GenerationOptions
    Result: ClassVar[type[BaseModel]] = WrittenResult

    max_new_tokens: int = Field(64, ge=1, le=4096)
    """Longest answer in tokens, in training and unless a caller says otherwise."""
    temperature: float = Field(0.0, ge=0)
    """0 always takes the likeliest token; a caller may say otherwise."""
    top_p: float = Field(1.0, gt=0, le=1)
    """Draw from the likeliest tokens that have that share together; a caller may say otherwise."""

    def prompt(self, tokenizer: Tokenizer, text: str) -> list[int]:
        """The tokens that a model goes on from."""
        ids: list[int] = tokenizer(text, verbose=False)["input_ids"]
        first = tokenizer.eos_token_id if tokenizer.bos_token_id is None else tokenizer.bos_token_id
        return ids or [first]

    def answer(self, tokenizer: Tokenizer, exchange: Exchange) -> list[int]:
        """The tokens that are to follow, the stop token at the end."""
        ids: list[int] = tokenizer(exchange.answer, add_special_tokens=False, verbose=False)["input_ids"]
        return [*ids, tokenizer.eos_token_id]

    @property
    def longest(self) -> int:
        """Tokens of an answer that is learnt from."""
        return self.max_new_tokens

    def encode(self, tokenizer: Tokenizer, inputs: Sequence[Any], *, whole: bool = False) -> list[Encoded]:
        """Tokens of each prompt, of one that is too long the last ones; of an `Exchange` with its answer."""
        limit = self.limit(tokenizer, whole)
        found = []
        for one in inputs:
            exchange = one if isinstance(one, Exchange) else None
            ids = self.prompt(tokenizer, exchange.prompt if exchange else one)
            cut = limit is not None and len(ids) > limit
            ids = ids[-limit:] if limit else ids
            answer = self.answer(tokenizer, exchange)[: self.longest] if exchange else []
            positions = list(range(len(ids), len(ids) + len(answer))) if exchange else None
            found.append(Encoded([*ids, *answer], positions, cut))
        return found

    def limit(self, tokenizer: Tokenizer, whole: bool = False) -> int | None:
        """Tokens of a prompt: what is left beside an answer, where the model's context is short; None for all."""
        return None if whole else max(1, min(self.max_length, tokenizer.model_max_length - self.max_new_tokens))

    def targets(
        self, tokenizer: Tokenizer, encoded: Sequence[Encoded], rows: Columns, labels: Sequence[str]
    ) -> Targets:
        """The tokens of the answers, `IGNORED` for those of the prompts."""
        starts = [len(one.ids) if one.positions is None else one.positions[0] for one in encoded]
        return [[IGNORED] * start + one.ids[start:] for start, one in zip(starts, encoded, strict=True)]

    def model_class(self) -> type[Any]:
        """The Auto class of decoders."""
        from transformers import AutoModelForCausalLM

        return AutoModelForCausalLM

    def collator(self, tokenizer: Tokenizer, model: PreTrainedModel, multiple: int) -> Any:
        """Rows packed side by side."""
        from sluice.tasks.packing import Packing

        return Packing(padding=tokenizer.pad_token_id or 0, multiple=multiple)

    def scores(self, model: PreTrainedModel, batch: Mapping[str, Any], targets: Any) -> Any:
        """Scores of the tokens of answers, shape (such tokens, vocabulary)."""
        return token_scores(model, {**batch, "use_cache": False}, targets)

    def losses(self, scores: Any, targets: Any, smoothing: float) -> Any:
        """Cross-entropy of the tokens of answers."""
        return token_losses(scores, targets, smoothing)

    def keep(self, scores: Any, targets: Any) -> Any:
        """Sums by sequence, shape (sequences, 3)."""
        return token_sums(scores, targets)

    def validation_figures(
        self, kept: Any, encoded: Sequence[Encoded], references: Answers, labels: Sequence[str], tokenizer: Tokenizer
    ) -> dict[str, float]:
        """Loss and accuracy by token, each token given the right ones before it."""
        return token_figures(kept)

    def forward(self, model: PreTrainedModel, batch: Mapping[str, Any], options: BaseModel) -> Any:
        """Ids of what is written, or how unlikely each given token is; shape (batch, length)."""
        from sluice.tasks import sampling

        if isinstance(options, Likelihood):
            return sampling.nats(model, batch)
        return sampling.write(model, batch, self.wish(options))

    def wish(self, options: BaseModel, logprobs: bool = False) -> Wish:
        """How a text is to be written: as the caller says, where he does, otherwise as the task does."""
        asked = options.model_dump(include={"temperature", "top_p", "seed"}, exclude_none=True)
        tokens = getattr(options, "max_new_tokens", None) or self.max_new_tokens
        return Wish(
            **{"tokens": tokens, "temperature": self.temperature, "top_p": self.top_p, "logprobs": logprobs, **asked}
        )

    def read(self, raw: Any, encoded: Encoded, tokenizer: Tokenizer) -> Written | Weighed:
        """The text of the tokens, or the sum over the answer's."""
        if encoded.positions is None:
            from sluice.tasks.sampling import ENDED

            text = tokenizer.decode(raw[raw != ENDED], skip_special_tokens=True).strip()
            return Written(text, ENDED in raw, encoded.cut)
        offset = len(raw) - len(encoded.ids)
        answer = [encoded.ids[at] for at in encoded.positions]
        read = tokenizer.decode(answer, skip_special_tokens=True).strip()
        total = float(raw[[at + offset for at in encoded.positions]].sum())
        return Weighed(total, len(answer), len(read.encode()), answer[-1] != tokenizer.eos_token_id)

    def agreement(self, ours: Outputs, theirs: Outputs, labels: Sequence[str]) -> float:
        """The share of equal texts, and how near the likelihoods of given answers are: means over the outputs."""
        pairs = list(zip(ours, theirs, strict=True))
        return sum(map(_alike, pairs)) / len(pairs)

    def decode(
        self, inputs: Sequence[Any], outputs: Outputs, labels: Sequence[str], options: BaseModel
    ) -> list[BaseModel]:
        """The texts, each up to the first of the caller's stops."""
        stops = options.stop if isinstance(options, GenerationOptions) else []
        return [result(_stopped(one, stops)) for one in outputs]


def _alike(pair: tuple[Any, Any]) -> float:
    """1 for the same text, 0 for another; of likelihoods, 1 less how far they are apart, as a share of the greater."""
    one, other = pair
    if isinstance(one, Weighed):
        return 1 - abs(one.nats - other.nats) / (max(one.nats, other.nats) or 1.0)
    return float(one.text == other.text)


class CausalLM(Generation):
    """Plain text: measured by how well it is foretold, byte by byte, whatever the tokens are."""

    name: ClassVar[str] = "causal_lm"
    columns: ClassVar[Mapping[str, Kind]] = {"text": "text"}
    primary_metric: ClassVar[str] = "bits_per_byte"
    example: ClassVar[str] = "Compute the shortest path"

    @property
    def longest(self) -> int:
        """A row's whole text is its answer."""
        return self.max_length

    def references(self, rows: Columns) -> Answers:
        """The texts."""
        return rows["text"]

    def lessons(self, rows: Columns) -> Sequence[Any]:
        """The texts as answers to nothing."""
        return [Exchange("", text) for text in rows["text"]]

    def observe(self, ask: Ask, rows: Columns) -> Outputs:
        """How unlikely each text is."""
        found = ask(self.lessons(rows), Likelihood())
        sizes = [len(text.encode()) for text in rows["text"]]
        return [one if one.truncated else replace(one, bytes=size) for one, size in zip(found, sizes, strict=True)]

    def predictions(self, outputs: Outputs, labels: Sequence[str]) -> Answers:
        """Nats and bytes of each text."""
        return [[one.nats, one.bytes] for one in outputs]

    def metrics(self, outputs: Outputs, labels: Sequence[str], references: Answers) -> dict[str, float]:
        """Bits a byte, and perplexity by token."""
        tokens, total = sum(one.tokens for one in outputs), sum(one.nats for one in outputs)
        return {
            **self.tally(self.predictions(outputs, labels), references, labels).exact(),
            "perplexity": math.exp(min(total / tokens, 700)),
            "nats_per_token": total / tokens,
            "truncated": sum(one.truncated for one in outputs) / len(outputs),
        }

    def tally(self, predictions: Answers, references: Answers, labels: Sequence[str]) -> Tally:
        """Nats over bytes."""
        from sluice.metrics.likelihood import likelihood_tally

        return likelihood_tally(predictions)

    def grades(self, predictions: Answers, references: Answers, labels: Sequence[str]) -> npt.NDArray[np.float64]:
        """The probability that a byte is given on average."""
        import numpy as np

        return np.array([math.exp(-total / max(1, size)) for total, size in predictions])

    def spelt(self, answers: Answers, rows: Columns) -> list[str]:
        """Bits a byte, or the text itself."""
        return [one if isinstance(one, str) else f"{one[0] / math.log(2) / max(1, one[1]):.3f}" for one in answers]

    def baselines(self, train: Columns, test: Columns) -> Baselines:
        """Frequencies of bytes, and of each byte after the four before it."""
        from sluice.metrics.likelihood import byte_ngram

        sizes = [len(text.encode()) for text in test["text"]]

        def weighed(order: int) -> Answers:
            found = byte_ngram(train["text"], test["text"], order)
            return [[total, size] for total, size in zip(found, sizes, strict=True)]

        return Baselines(trivial={"byte_frequencies": weighed(1)}, strong={"5_gram_of_bytes": weighed(5)})


def _stopped(one: Written, stops: Sequence[str]) -> Written:
    places = [at for stop in stops if stop and (at := one.text.find(stop)) >= 0]
    return replace(one, text=one.text[: min(places)].rstrip(), finished=True) if places else one
