"""`Evaluate`: how a model is measured."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import Field, field_validator, model_validator

from sluice.evaluation.abstention import Abstain
from sluice.evaluation.casefile import Cases
from sluice.part import Part, digest

if TYPE_CHECKING:
    from sluice.metrics.significance import Sampling


class Evaluate(Part):
    """Settings of the evaluation."""

    resamples: int = Field(1000, ge=100)
    """Bootstrap resamples behind every interval, and permutations behind every p."""
    confidence: float = Field(0.95, gt=0.5, lt=1)
    """Confidence level of the intervals."""
    errors: int = Field(50, ge=0)
    """Worst answers that are kept as a table."""
    latency_texts: int = Field(64, ge=8)
    """Test texts that a latency comparison runs over."""
    slices: tuple[str, ...] | None = None
    """What divides the test rows into slices: columns of the rows, `length` (thirds, in characters), `language`.
    null takes what the task suggests."""
    min_slice_rows: int = Field(100, ge=10)
    """Smaller slices say nothing and are not judged."""
    cases: Path | None = None
    """A yaml file of behavioural cases."""
    abstain: Abstain | None = None
    """How the threshold is chosen below which the model had better not answer; none chooses no threshold."""
    out_of_scope: str | None = None
    """The label that says that a text belongs to none of the others."""
    folds: int | None = Field(None, ge=2, le=50)
    """Parts into which the training and validation rows are cross-validated; none does not."""

    @field_validator("abstain", mode="before")
    @classmethod
    def _no_rule(cls, given: Any) -> Any:
        """The configuration lists all rules, so that a command line can set one."""
        return None if isinstance(given, dict) and all(value is None for value in given.values()) else given

    @model_validator(mode="after")
    def _scope(self) -> Evaluate:
        if self.abstain and self.abstain.needs_scope and not self.out_of_scope:
            raise ValueError(f"abstain by {self.abstain} needs evaluate.out_of_scope=<label>")
        return self

    @property
    def measuring(self) -> tuple[Any, ...]:
        """What decides the figures of a model that is held against another."""
        return (self.resamples, self.confidence, self.latency_texts, self.slices, self.min_slice_rows)

    def sampling(self, seed: int) -> Sampling:
        """How the bootstraps of this evaluation are drawn."""
        from sluice.metrics.significance import Sampling

        return Sampling(self.resamples, self.confidence, seed)

    def read_cases(self) -> Cases:
        """The behavioural cases, none without a file. What is wrong in the file is a UserError with its line."""
        return Cases.read(self.cases) if self.cases else Cases()

    def fingerprint(self) -> str:
        """SHA-256 of what the settings point at."""
        return digest(self.read_cases())
