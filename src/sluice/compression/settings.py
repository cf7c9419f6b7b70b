"""`Forms`: which faster forms are made of a model, and how nearly they must answer as it does to be kept."""

from __future__ import annotations

from pydantic import Field

from sluice.inference.bundle import Form
from sluice.part import Part


class Student(Part):
    """A smaller model that learns from a version: some of its layers, then what it says of the training rows."""

    layers: int | None = Field(None, ge=1)
    """Layers that it takes; none: half of them."""
    share: float = Field(0.5, ge=0, le=1)
    """Of the loss, that is how far its answers are from its teacher's; the rest is the task's own."""
    temperature: float = Field(2.0, gt=0)
    """What the answers are softened by."""
    hidden: float = Field(1.0, ge=0)
    """Weight of how far what stands between its layers is from the teacher's."""


class Compress(Part):
    """What `make compress` makes of a version, and what that must hold to become one itself."""

    student: Student = Student()
    max_drop: float = Field(0.015, ge=0)
    """Refuse when the lower bound of (student - teacher) in the primary metric is below -max_drop."""
    rows: int = Field(4000, ge=10)
    """Validation rows, at most, that both are compared on."""

    def refusal(self, form: Form) -> str | None:
        """Why a student is not registered, in one line, or None. What was not measured refuses."""
        if not form.difference.low >= -self.max_drop:
            found = f"lower bound of the difference in {form.metric} {form.difference.low:+.4f}"
            return f"{found}, expected at least {-self.max_drop:+g} ({form.rows:,} rows)"
        return None


class Forms(Part):
    """Settings of the faster forms. One that is out of a bound is not kept; the record says why."""

    int8: bool = True
    """Whether a form in 8-bit integers is made beside the one in float32: a quarter of the size, and faster."""
    min_agreement: float = Field(0.99, ge=0, le=1)
    """Least agreement with the model's own weights: the share of equal answers, of vectors their mean cosine."""
    max_drop: float = Field(0.005, ge=0)
    """Refuse when the lower bound of (form - model) in the primary metric is below -max_drop."""
    rows: int = Field(4000, ge=10)
    """Validation rows, at most, that this is measured on. With an answer in 200 changed, 1,000 rows cannot show that
    half a point was not lost."""

    def refusal(self, form: Form) -> str | None:
        """Why a form is not kept, in one line, or None. What was not measured refuses."""
        if not form.agreement >= self.min_agreement:
            return f"agreement {form.agreement:.4f}, expected at least {self.min_agreement:g}"
        if not form.difference.low >= -self.max_drop:
            found = f"lower bound of the difference in {form.metric} {form.difference.low:+.4f}"
            return f"{found}, expected at least {-self.max_drop:+g} ({form.rows:,} rows)"
        return None
