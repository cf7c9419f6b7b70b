"""`Compress`: which faster forms are made of a model, and how nearly they must answer as it does to be kept."""

from __future__ import annotations

from pydantic import Field

from sluice.inference.bundle import Form
from sluice.part import Part


class Compress(Part):
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
