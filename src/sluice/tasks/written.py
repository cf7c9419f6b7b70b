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


class WrittenResult(BaseModel):
    """The answer for one text."""

    text: str = Field(description="What the model wrote.")
    finished: bool = Field(description="Whether it came to its end by itself.")
    truncated: bool = Field(description="Whether the input may not have been read to its end.")


def result(one: Written) -> WrittenResult:
    """What a caller is told."""
    return WrittenResult(text=one.text, finished=one.finished, truncated=one.truncated)


def completeness(outputs: list[Written]) -> dict[str, float]:
    """Shares of the answers that came to an end, and of the inputs that were cut."""
    return {
        "finished": sum(one.finished for one in outputs) / len(outputs),
        "truncated": sum(one.truncated for one in outputs) / len(outputs),
    }
