"""`Evaluate`: how a model is measured."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from sluice.part import Part

if TYPE_CHECKING:
    from sluice.metrics.significance import Sampling


class Evaluate(Part):
    """Settings of the evaluation."""

    resamples: int = Field(1000, ge=100)
    """Bootstrap resamples behind every interval."""
    confidence: float = Field(0.95, gt=0.5, lt=1)
    """Confidence level of the intervals."""
    errors: int = Field(50, ge=0)
    """Most confident errors that are kept as a table."""
    latency_texts: int = Field(64, ge=8)
    """Test texts that a latency comparison runs over."""

    def sampling(self, seed: int) -> Sampling:
        """How the bootstraps of this evaluation are drawn."""
        from sluice.metrics.significance import Sampling

        return Sampling(self.resamples, self.confidence, seed)
