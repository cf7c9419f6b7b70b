"""`Checks`: what the rows may show before a run is stopped."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from sluice.part import Part

Share = Annotated[float, Field(ge=0, le=1)]


class Checks(Part):
    """One bound a check; beyond it the run stops. null: the check is only reported."""

    max_empty: Share | None = 0.5
    """Share of the rows read that lack a text or an answer. They are dropped either way."""
    max_unusable: Share | None = 0.5
    """Share of the rows read that the task cannot learn from, such as with more tags than words. They are dropped."""
    max_odd: Share | None = None
    """Share of the rows in which the task finds something wrong, such as an entity that never began. They stay."""
    long_characters: int = Field(20_000, ge=1)
    """Characters beyond which a text counts as over-long."""
    max_long: Share | None = None
    """Share of the texts that are over-long."""
    max_duplicates: Share | None = None
    """Share of the rows that repeat another row's text and answer."""
    max_near_duplicates: Share | None = None
    """Share of the texts that nearly repeat another."""
    max_conflicts: Share | None = None
    """Share of the rows whose text carries two labels."""
    max_leaked: Share | None = None
    """Share of the validation and test rows whose text also stands on another side, as published."""
    max_nearly_leaked: Share | None = None
    """Share of the validation and test rows that are nearly a row of another side; those rows stay."""
    min_label_rows: int | None = Field(None, ge=1)
    """Training rows of the rarest label."""
    max_imbalance: float | None = Field(None, ge=1)
    """Training rows of the commonest label over those of the rarest."""
    max_missing_labels: int | None = Field(None, ge=0)
    """Labels of train that validation or test never show."""
    max_broken: Share | None = 0.2
    """Share of the texts with U+FFFD, control characters or letters that a wrong encoding left."""
    max_mixed_scripts: Share | None = None
    """Share of the texts with a word in two alphabets, such as a Cyrillic letter in a Latin word."""
    max_other_languages: Share | None = None
    """Share of a side's texts in another language than the commonest of train."""
    max_drift: float | None = Field(None, ge=0.5, le=1)
    """Area under the ROC curve (0.5: alike) of a classifier that tells test texts from validation or train texts."""
    max_label_drift: Share | None = None
    """Share of the labels by which test and validation or train differ (total variation)."""
    max_length_drift: Share | None = None
    """Largest distance between the length distributions of test and validation or train (Kolmogorov-Smirnov)."""
    max_language_drift: Share | None = None
    """Share of the languages by which test and validation or train differ (total variation)."""
    max_column_drift: Share | None = None
    """The same for each column of `data.keep`."""
    max_truncated: Share | None = None
    """Share of a side's texts that are cut at the model's `max_length` tokens."""


ONLY_REPORT = Checks(max_empty=None, max_unusable=None, max_broken=None)
"""No bounds at all."""
