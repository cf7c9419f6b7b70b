"""What tasks have in common whose answers are texts that a model writes."""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import BaseModel, Field


@dataclass(frozen=True)
class Written:
    """What a model wrote for one input."""

    text: str
    finished: bool
    truncated: bool


@dataclass(frozen=True)
class Wish:
    """How a text is to be written."""

    tokens: int
    """At most."""
    temperature: float = 0.0
    """0 always takes the likeliest token."""
    top_p: float = 1.0
    """Draw from the likeliest tokens that have that share together."""
    seed: int = 0
    logprobs: bool = False
    """Whether the probability of each token is asked for."""


class WrittenResult(BaseModel):
    """The answer for one text."""

    text: str = Field(description="What the model wrote.")
    finished: bool = Field(description="Whether it came to its end by itself.")
    truncated: bool = Field(description="Whether the input was longer than what was read.")


def result(one: Written) -> WrittenResult:
    """What a caller is told."""
    return WrittenResult(text=one.text, finished=one.finished, truncated=one.truncated)


def completeness(outputs: list[Written]) -> dict[str, float]:
    """Shares of the answers that came to an end, and of the inputs that were cut."""
    return {
        "finished": sum(one.finished for one in outputs) / len(outputs),
        "truncated": sum(one.truncated for one in outputs) / len(outputs),
    }
