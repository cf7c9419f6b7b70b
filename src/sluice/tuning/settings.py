"""`Tune`: what is tried, how often, and when a trial is given up."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from sluice.part import Part

NAME = r"^[a-z0-9][a-z0-9_.-]{0,62}$"
Value = bool | int | float | str | None


class Dimension(Part):
    """The values that one setting may take: a range, or a list."""

    low: int | float | None = None
    """Least value."""
    high: int | float | None = None
    """Greatest value. Where both ends are whole numbers, so is every value."""
    log: bool = False
    """Draw the logarithm: for values whose order of magnitude matters."""
    step: int | float | None = Field(None, gt=0)
    """Only values this far apart, counted from `low`."""
    choices: tuple[Value, ...] | None = None
    """Instead of a range: these values, or these files of a config group."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.choices is not None:
            if self.low is not None or self.high is not None or self.step is not None or self.log:
                raise ValueError("give choices, or low and high, not both")
            if len({repr(choice) for choice in self.choices}) != len(self.choices) or len(self.choices) < 2:
                raise ValueError("choices: at least two, each once")
            return self
        if self.low is None or self.high is None:
            raise ValueError("a range needs both low and high")
        if self.low >= self.high:
            raise ValueError(f"low={self.low} must be below high={self.high}")
        if self.log and (self.low <= 0 or self.step is not None):
            raise ValueError("log needs low above 0, and takes no step")
        if self.whole and isinstance(self.step, float):
            raise ValueError(f"step={self.step} between whole numbers: write low={float(self.low)}")
        return self

    @property
    def whole(self) -> bool:
        """Whether the range is one of whole numbers."""
        return isinstance(self.low, int) and isinstance(self.high, int)

    @property
    def ends(self) -> tuple[Value, ...]:
        """The values that show whether a configuration takes them: all choices, or both ends."""
        return self.choices if self.choices is not None else (self.low, self.high)

    def settle(self, value: Value) -> Value:
        """A drawn value as people would write it: four digits that count, within the range."""
        if not isinstance(value, float) or self.low is None or self.high is None:
            return value
        return min(max(float(f"{value:.4g}"), float(self.low)), float(self.high))

    def holds(self, value: Any) -> bool:
        """Whether `value` could be drawn."""
        if self.choices is not None:
            return any(value == choice and type(value) is type(choice) for choice in self.choices)
        if isinstance(value, bool) or not isinstance(value, int | float) or (self.whole and isinstance(value, float)):
            return False
        assert self.low is not None
        assert self.high is not None
        on_grid = self.step is None or ((value - self.low) / self.step).is_integer()
        return self.low <= value <= self.high and on_grid


class Pruner(Part):
    """When a trial that does badly on its way is given up."""

    kind: Literal["median", "hyperband", "none"] = "median"
    """median: below the median of the others at the same step; hyperband: successive halving."""
    startup_trials: int = Field(5, ge=0)
    """Of the median: trials that run to their end before any is given up."""
    warmup_steps: int = Field(0, ge=0)
    """Of the median: optimizer steps before which no trial is given up."""
    reduction_factor: int = Field(3, ge=2)
    """Of hyperband: one in so many goes on."""


class Tune(Part):
    """A study: trials over a space of settings, judged on the validation rows."""

    study: str | None = Field(None, pattern=NAME)
    """The study, and the recipe in `conf/experiment/` that its best trial becomes; null: `<name>-tuned`."""
    save_as: Path | None = None
    """Another yaml file for the best trial."""
    trials: int = Field(20, ge=1)
    """Trials that came to an end or were pruned, over all commands and processes that share the study."""
    timeout_s: float | None = Field(None, gt=0)
    """Seconds after which this command begins no new trial."""
    random_trials: int = Field(10, ge=0)
    """Trials drawn at random before the sampler (TPE) learns from those that ended."""
    pruner: Pruner = Pruner()
    space: dict[str, Dimension] = {}
    """The settings that vary, by their path; written nested or with dots."""

    @field_validator("space", mode="before")
    @classmethod
    def _flat(cls, space: Any) -> Any:
        return dict(_flatten(space, "")) if isinstance(space, Mapping) else space


def _flatten(space: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    fields = Dimension.model_fields.keys()
    for key, value in space.items():
        nested = isinstance(value, Mapping) and not fields & value.keys()
        yield from _flatten(value, f"{prefix}{key}.") if nested else [(f"{prefix}{key}", value)]
