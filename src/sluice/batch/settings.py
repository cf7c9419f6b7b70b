"""`Predict`: how a file of rows is read, predicted and written."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from sluice.data.sources.tabular import Format
from sluice.part import Part


class Predict(Part):
    """Settings of a batch prediction. The model and its engine are those that the service would use."""

    column: str = Field("text", min_length=1)
    """The input's column with the texts."""
    prefix: str = "predicted_"
    """Before the names of the columns that are added."""
    scores: bool = False
    """Whether to add a column for each label's probability."""
    overwrite: bool = False
    """Whether to replace an output file that holds something else."""
    block_rows: int = Field(4096, ge=1)
    """Rows that are predicted at once and kept as one part: at most so many are lost by a kill."""
    format: Format | None = None
    """Of the input; null: by the file's suffix."""
    encoding: str = "utf-8"
    """Of a text input. Output is UTF-8."""
    delimiter: str | None = Field(None, min_length=1, max_length=1)
    """Between the input's fields; null: a comma in CSV, a tab in TSV."""
    quoting: Literal["standard", "none"] = "standard"
    """none: a quote in the input is a character like any other."""

    @property
    def deciding(self) -> Predict:
        """The settings without those that only concern the output file."""
        return self.model_copy(update={"prefix": "", "overwrite": False})
