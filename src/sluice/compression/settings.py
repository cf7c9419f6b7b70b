"""`Forms` and `Compress`: which faster variants are made of a model, and what each must hold to be kept."""

from __future__ import annotations

from typing import Literal, get_args

from pydantic import Field, model_validator

from sluice.inference.bundle import Form
from sluice.inference.engines.formed import FormName
from sluice.part import Part

WeightsStep = Literal["distill", "prune"]
"""What makes other weights."""


class Student(Part):
    """A smaller model that learns from a version: some of its layers, then what it says of the training rows."""

    layers: int | None = Field(None, ge=1)
    """Layers that it takes; none: half of them."""
    config: dict[str, int | float] = {}
    """Instead: new weights in the teacher's architecture, with these numbers in its configuration as transformers name
    them. It then learns from answers alone."""
    share: float = Field(0.5, ge=0, le=1)
    """Of the loss, that is how far its answers are from its teacher's; the rest is the task's own."""
    temperature: float = Field(2.0, gt=0)
    """What the answers are softened by."""
    hidden: float = Field(1.0, ge=0)
    """Weight of how far what stands between its layers is from the teacher's."""


class Pruning(Part):
    """What is cut out of a model, the least important first, measured on validation rows. It then learns again."""

    neurons: float = Field(0.5, gt=0, le=1)
    """Share of each layer's feed-forward neurons that stays."""
    heads: float = Field(1.0, gt=0, le=1)
    """Share of each layer's attention heads that stays, of models whose configuration can say so."""
    layers: int | None = Field(None, ge=1)
    """Layers that stay; none: all."""


class Quality(Part):
    """What a variant must hold beside the version's own weights, on validation rows. What was not measured refuses."""

    max_drop: float = Field(ge=0)
    """Refuse when the lower bound of (variant - version) in the primary metric is below -max_drop."""
    min_agreement: float | None = Field(None, ge=0, le=1)
    """Least agreement with the version: the share of equal answers, of vectors their mean cosine."""
    max_slice_drop: float | None = Field(0.05, ge=0)
    """Refuse when the version is better by more than this on any slice, beyond the bootstrap bound."""
    max_calibration_shift: float | None = Field(0.05, ge=0)
    """Refuse when the expected calibration error grows by more than this."""
    rows: int = Field(4000, ge=10)
    """Validation rows, at most, that this is measured on. With an answer in 200 changed, 1,000 rows cannot show that
    half a point was not lost."""

    def refusal(self, form: Form) -> str | None:
        """Why a variant is not kept, in one line, or None."""
        if form.broken:
            return f"{form.broken:,} outputs are no finite numbers"
        if self.min_agreement is not None and not form.agreement >= self.min_agreement:
            return f"agreement {form.agreement:.4f}, expected at least {self.min_agreement:g}"
        if not form.difference.low >= -self.max_drop:
            found = f"lower bound of the difference in {form.metric} {form.difference.low:+.4f}"
            return f"{found}, expected at least {-self.max_drop:+g} ({form.rows:,} rows)"
        if self.max_slice_drop is not None and form.worst and not form.worst.difference.high >= -self.max_slice_drop:
            lost = f"{form.metric} of {form.worst.name} {form.worst.difference.value:+.4f}"
            return f"{lost}, and surely below {-self.max_slice_drop:+g}"
        shift = form.calibration
        if self.max_calibration_shift is not None and shift is not None and not shift <= self.max_calibration_shift:
            return f"calibration error {shift:+.4f}, expected at most {self.max_calibration_shift:+g}"
        return None


class Forms(Quality):
    """Settings of the faster forms. One that is out of a bound is not kept; the record says why."""

    names: tuple[FormName, ...] = Field(("onnx", "int8"), min_length=1)
    """Which are made, in this order."""
    calibration: int = Field(300, ge=1)
    """Training rows that activations are scaled by, where a form scales them once."""
    min_agreement: float | None = Field(0.99, ge=0, le=1)
    """Least agreement with the model's own weights: the share of equal answers, of vectors their mean cosine."""
    max_drop: float = Field(0.005, ge=0)
    """Refuse when the lower bound of (form - model) in the primary metric is below -max_drop."""


class Compress(Quality):
    """What `make compress` makes of a version, and what that must hold to become one itself."""

    steps: tuple[WeightsStep | FormName, ...] | None = None
    """One after the other: distill, prune, then forms. None: all forms that fit the task and this processor."""
    student: Student = Student()
    prune: Pruning = Pruning()
    max_drop: float = Field(0.015, ge=0)
    """Refuse when the lower bound of (variant - version) in the primary metric is below -max_drop."""

    @model_validator(mode="after")
    def _order(self) -> Compress:
        steps = self.steps or ()
        kinds = [step in get_args(WeightsStep) for step in steps]
        if len(set(steps)) < len(steps) or kinds != sorted(kinds, reverse=True):
            forms = ", ".join(get_args(FormName))
            raise ValueError(f"steps=[{','.join(steps)}]: expected each once, distill and prune before {forms}")
        return self

    @property
    def weights(self) -> tuple[str, ...]:
        """The steps that make other weights."""
        return tuple(step for step in self.steps or () if step in get_args(WeightsStep))

    @property
    def forms(self) -> tuple[FormName, ...] | None:
        """The forms that are asked for; None: those that fit."""
        if self.steps is None:
            return None
        return tuple(step for step in self.steps if step not in get_args(WeightsStep))  # type: ignore[misc]
