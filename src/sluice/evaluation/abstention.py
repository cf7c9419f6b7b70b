"""`Abstain`: by which rule the threshold is chosen below which a model had better not answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import Field, model_validator

from sluice.inference.bundle import Abstention
from sluice.metrics.significance import Resampler, plain
from sluice.part import Part

if TYPE_CHECKING:
    from sluice.evaluation.scored import Scored
    from sluice.metrics.selective import Sureness


class Abstain(Part):
    """One rule; the threshold that it gives is chosen on the validation rows and measured on the test rows."""

    accuracy: float | None = Field(None, gt=0, le=1)
    """Least accuracy of what is answered: the lowest threshold that reaches it, so that most is answered."""
    coverage: float | None = Field(None, gt=0, le=1)
    """Least share of rows that are answered: the highest threshold that keeps it."""
    in_scope_drop: float | None = Field(None, ge=0, lt=1)
    """Most accuracy over rows in scope to give up: the highest threshold within it. Needs `out_of_scope`."""
    balance: float | None = Field(None, ge=0, le=1)
    """Weight of in-scope accuracy against out-of-scope recall, whose mean is made largest. Needs `out_of_scope`."""

    @model_validator(mode="after")
    def _one_rule(self) -> Abstain:
        if len(self.model_dump(exclude_none=True)) != 1:
            raise ValueError(f"expected exactly one of {', '.join(type(self).model_fields)}")
        return self

    @property
    def needs_scope(self) -> bool:
        """Whether the rule weighs rows that are out of scope."""
        return self.in_scope_drop is not None or self.balance is not None

    def choose(self, sureness: Sureness) -> float | None:
        """The threshold for these (validation) rows, or None where none keeps the rule."""
        thresholds, figures = sureness.sweep()
        if self.balance is not None:
            gain = self.balance * figures["in_scope_accuracy"] + (1 - self.balance) * figures["out_of_scope_recall"]
            return float(thresholds[np.argmax(np.nan_to_num(gain))])
        if self.accuracy is not None:
            kept = np.flatnonzero(figures["selective_accuracy"] >= self.accuracy)
            return float(thresholds[kept[0]]) if len(kept) else None
        if self.coverage is not None:
            kept = np.flatnonzero(figures["coverage"] >= self.coverage)
        else:
            within = figures["in_scope_accuracy"][0] - (self.in_scope_drop or 0)
            kept = np.flatnonzero(figures["in_scope_accuracy"] >= within - 1e-12)
        return float(thresholds[kept[-1]]) if len(kept) else None

    def __str__(self) -> str:
        ((rule, value),) = self.model_dump(exclude_none=True).items()
        return f"{rule} {value:g}"


def settle(
    rule: Abstain | None, out_of_scope: str | None, validation: Scored | None, test: Scored, resampler: Resampler
) -> tuple[Abstention | None, dict[str, Any] | None]:
    """The threshold by the validation rows, and what it comes to on the test rows; None where nothing was asked for.

    The record has the figures at the threshold and, with a rule, those `without` one. A rule that no threshold keeps
    leaves `threshold` at null.
    """
    if rule is None and out_of_scope is None:
        return None, None
    chosen = rule.choose(validation.sureness(out_of_scope)) if rule and validation else None
    sureness = test.sureness(out_of_scope)
    record: dict[str, Any] = {"rule": str(rule) if rule else None, "out_of_scope": out_of_scope, "threshold": chosen}
    record["without"] = plain(resampler.intervals(sureness.tally(0.0)))
    if chosen is not None:
        record["at_threshold"] = plain(resampler.intervals(sureness.tally(chosen)))
    if chosen is None and out_of_scope is None:
        return None, record
    return Abstention(threshold=chosen or 0.0, out_of_scope=out_of_scope), record
