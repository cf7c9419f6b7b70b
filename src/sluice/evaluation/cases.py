"""Behavioural cases (CheckList, Ribeiro et al. 2020): what a model must do with texts that people wrote down."""

from __future__ import annotations

import itertools
import string
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, ConfigDict, Field, model_validator

from sluice.evaluation.perturbations import PERTURBATIONS, Perturbation
from sluice.part import Part

Promise = Literal["stops", "max_tokens", "deterministic", "seeded", "no_echo"]
"""What an answer that is written has to keep."""
MOST = 10_000
"""Checks that one case may grow to."""


def _listed(value: Any) -> Any:
    return (value,) if isinstance(value, str) else value


Texts = Annotated[tuple[str, ...], BeforeValidator(_listed)]
"""A list of texts; a single text stands for a list of one."""


@dataclass(frozen=True)
class Reaction:
    """What a model says of one text."""

    answer: str
    probabilities: Mapping[str, float]
    """By label."""

    @property
    def certainty(self) -> float:
        """The probability of the answer."""
        return self.probabilities[self.answer]


@dataclass(frozen=True)
class Outcome:
    """One check: whether it holds, what was wanted and what was found, in words."""

    holds: bool
    expected: str
    found: str


class Case(Part, ABC):
    """Texts, and what has to hold of a model's answers to them."""

    model_config = ConfigDict(coerce_numbers_to_str=True)

    kind: str
    name: str = Field(min_length=1)
    """What reports call it."""
    texts: Texts = Field(min_length=1)
    """The texts; with `fill`, `{word}` stands for each of the words that it lists."""
    fill: dict[str, Texts] = {}
    """Words by placeholder; a text with several placeholders stands for every combination."""

    @model_validator(mode="after")
    def _fits(self) -> Case:
        named = {name for text in self.texts for name in self._placeholders(text)}
        for missing in sorted(named - set(self.fill)):
            raise ValueError(f"{{{missing}}} has no words in fill")
        for unused in sorted(set(self.fill) - named):
            raise ValueError(f"no text has {{{unused}}}, which fill lists")
        count = len(self.checks())
        if not 0 < count <= MOST:
            raise ValueError(f"it makes {count:,} checks, expected 1 to {MOST:,}")
        return self

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels that it names."""
        return ()

    @abstractmethod
    def checks(self) -> list[tuple[str, str]]:
        """Pairs of a text and its variant; a text that has none stands beside itself."""

    def spelt_out(self, text: str) -> list[str]:
        """The texts that a text with placeholders stands for."""
        names = self._placeholders(text)
        combinations = itertools.product(*(self.fill[name] for name in names))
        return [text.format(**dict(zip(names, words, strict=True))) if names else text for words in combinations]

    def _placeholders(self, text: str) -> list[str]:
        """Without `fill`, braces are just braces."""
        found = {name for _, name, _, _ in string.Formatter().parse(text) if name is not None} if self.fill else set()
        return sorted(found)


class LabelCase(Case, ABC):
    """A case about labels and their probabilities."""

    def inputs(self) -> list[str]:
        """Every text that a model is asked, once."""
        return list(dict.fromkeys(text for pair in self.checks() for text in pair))

    @abstractmethod
    def judge(self, plain: Reaction, varied: Reaction) -> Outcome:
        """What the answers to a pair come to."""


class MinimumFunctionality(LabelCase):
    """Simple texts that every model worth its name gets right."""

    kind: Literal["minimum_functionality"]
    expect: str
    """The label of every text."""

    @property
    def labels(self) -> tuple[str, ...]:
        """The expected label."""
        return (self.expect,)

    def checks(self) -> list[tuple[str, str]]:
        """Each text by itself."""
        return [(one, one) for text in self.texts for one in self.spelt_out(text)]

    def judge(self, plain: Reaction, varied: Reaction) -> Outcome:
        """Whether the answer is the label."""
        return Outcome(varied.answer == self.expect, self.expect, f"{varied.answer} {varied.certainty:.3f}")


class Invariance(LabelCase):
    """Texts whose variants must get the same answer: other fillings, `variants`, and named changes."""

    kind: Literal["invariance"]
    variants: Texts = ()
    """Other ways to say the one text."""
    perturb: Annotated[tuple[Perturbation, ...], BeforeValidator(_listed)] = ()
    """Changes to make to each text: lower_case, upper_case, trailing_punctuation, extra_spaces, typo."""
    tolerance: float | None = Field(None, ge=0, le=1)
    """Most that the probability of the answer may change; none looks at the answer alone."""

    @model_validator(mode="after")
    def _one_text(self) -> Invariance:
        if self.variants and len(self.texts) > 1:
            raise ValueError("variants belong to one text: make a case of each text")
        return self

    def checks(self) -> list[tuple[str, str]]:
        """Each text, in its first filling, with its variants."""
        pairs = []
        for text in self.texts:
            first, *others = self.spelt_out(text)
            changed = [PERTURBATIONS[name](first) for name in self.perturb]
            pairs += [(first, other) for other in [*others, *self.variants, *changed] if other != first]
        return pairs

    def judge(self, plain: Reaction, varied: Reaction) -> Outcome:
        """Whether the answer stays, and its probability within the tolerance."""
        moved = abs(varied.probabilities[plain.answer] - plain.certainty)
        holds = varied.answer == plain.answer and (self.tolerance is None or moved <= self.tolerance)
        near = "" if self.tolerance is None else f" within {self.tolerance:g}"
        return Outcome(holds, f"{plain.answer} {plain.certainty:.3f}{near}", f"{varied.answer} {varied.certainty:.3f}")


class Direction(LabelCase):
    """Words that, added at the end, must move the probability of a label."""

    kind: Literal["direction"]
    add: Texts = Field(min_length=1)
    """What is added to each text, after a space."""
    label: str
    """Whose probability must move."""
    expect: Literal["higher", "lower"]
    """Which way."""
    tolerance: float = Field(0.0, ge=0, le=1)
    """How far it may go the other way."""

    @property
    def labels(self) -> tuple[str, ...]:
        """The label whose probability moves."""
        return (self.label,)

    def checks(self) -> list[tuple[str, str]]:
        """Each text with each addition."""
        texts = [one for text in self.texts for one in self.spelt_out(text)]
        return [(text, f"{text} {more}") for text in texts for more in self.add]

    def judge(self, plain: Reaction, varied: Reaction) -> Outcome:
        """Whether it moved that way, or the other way by less than the tolerance."""
        before, after = plain.probabilities[self.label], varied.probabilities[self.label]
        gain = after - before if self.expect == "higher" else before - after
        return Outcome(
            gain > -self.tolerance, f"{self.label} {self.expect} than {before:.3f}", f"{self.label} {after:.3f}"
        )


class Writing(Case):
    """Prompts whose answers must keep promises, whatever they say: see `sluice.evaluation.writing`."""

    kind: Literal["writing"]
    must: Annotated[tuple[Promise, ...], BeforeValidator(_listed)] = Field(min_length=1)
    """stops, max_tokens, deterministic, seeded, no_echo."""

    def checks(self) -> list[tuple[str, str]]:
        """Each text with each promise."""
        return [(one, promise) for text in self.texts for one in self.spelt_out(text) for promise in self.must]


AnyCase = Annotated[MinimumFunctionality | Invariance | Direction | Writing, Field(discriminator="kind")]
"""A case of the kind that it names."""
