"""What a model that writes has to keep, whatever it writes: that it stops, keeps to limits, says the same again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from sluice.errors import UserError
from sluice.evaluation.cases import Outcome, Promise
from sluice.inference.predictor import Predictor

FEW = 3
"""Tokens that an answer is cut to."""
HOT = 10.0
"""A temperature at which two draws are hardly ever the same."""
SEEDS = 5


class Writer:
    """Asks a model for texts, each promise in the fewest calls that show it."""

    def __init__(self, predictor: Predictor) -> None:
        self.predictor = predictor

    def judge(self, promise: Promise, texts: Sequence[str]) -> list[Outcome]:
        """What came of a promise for each text."""
        judges: dict[Promise, Callable[[Sequence[str]], list[Outcome]]] = {
            "stops": self._stops,
            "max_tokens": self._max_tokens,
            "deterministic": self._deterministic,
            "seeded": self._seeded,
            "no_echo": self._no_echo,
        }
        return judges[promise](texts)

    def _stops(self, texts: Sequence[str]) -> list[Outcome]:
        """Comes to an end by itself within the tokens it may write."""
        return [Outcome(one.finished, "an end", _told(one.text)) for one in self._write(texts)]

    def _max_tokens(self, texts: Sequence[str]) -> list[Outcome]:
        """With few tokens it writes the beginning of what it would write, and says that it did not come to the end."""
        short, long = self._write(texts, max_new_tokens=FEW), self._write(texts)
        return [
            Outcome(
                whole.text.startswith(part.text) and (part.finished or len(part.text) < len(whole.text)),
                f"the beginning of: {_told(whole.text)}",
                _told(part.text),
            )
            for part, whole in zip(short, long, strict=True)
        ]

    def _deterministic(self, texts: Sequence[str]) -> list[Outcome]:
        """The likeliest answer is the same again, also beside other texts."""
        greedy = {"temperature": 0.0} if "temperature" in self._known else {}
        together = self._write(texts, **greedy)
        alone = [self._write([text], **greedy)[0] for text in texts]
        return [
            Outcome(one.text == other.text, _told(one.text), _told(other.text))
            for one, other in zip(together, alone, strict=True)
        ]

    def _seeded(self, texts: Sequence[str]) -> list[Outcome]:
        """A seed draws the same text again, and other seeds draw others."""
        drawn = [self._write(texts, temperature=HOT, seed=seed) for seed in (0, *range(SEEDS))]
        return [
            Outcome(
                again.text == first.text and any(one.text != first.text for one in others),
                f"{_told(first.text)} again, and others by other seeds",
                _told(again.text),
            )
            for first, again, *others in zip(*drawn, strict=True)
        ]

    def _no_echo(self, texts: Sequence[str]) -> list[Outcome]:
        """The answer does not begin with the prompt."""
        return [
            Outcome(not one.text.startswith(text.strip()), "an answer without the prompt", _told(one.text))
            for text, one in zip(texts, self._write(texts), strict=True)
        ]

    @property
    def _known(self) -> set[str]:
        return set(self.predictor.task.Options.model_fields)

    def _write(self, texts: Sequence[str], **options: Any) -> list[Any]:
        task = self.predictor.task
        for name in options:
            if name not in self._known:
                raise UserError(f"evaluate.cases: task={task.name} has no option '{name}': leave out what needs it")
        return self.predictor.predict(texts, task.Options.model_validate(options)).results


def _told(text: str) -> str:
    return text if len(text) <= 80 else f"{text[:77]}..."
