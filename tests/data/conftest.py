from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from sluice.data.inspection.settings import Checks
from sluice.data.prepare import prepare
from sluice.data.rows import make_table
from sluice.data.source import Source
from sluice.part import digest
from sluice.tasks.classification import Classification
from sluice.tasks.task import Kind

Row = tuple[str, str]
"""Text and label."""


class Listed(Source):
    """Rows that are just listed: what a source returns is what the test wrote down."""

    name: str = "listed"
    rows: list[Row]
    groups: list[str | None] | None = None
    sides: list[str | None] | None = None
    columns: dict[str, list[str]] = {}

    def fingerprint(self) -> str:
        return digest(self)

    def read(self, columns: Mapping[str, Kind]) -> pa.Table:
        texts, labels = zip(*self.rows, strict=True)
        origin = [f"listed:{line}" for line in range(1, len(texts) + 1)]
        return make_table({"text": texts, "label": labels, **self.columns}, origin, self.groups, self.sides)


@pytest.fixture
def prepared(tmp_path: Path) -> Callable[..., dict[str, Any]]:
    def run(
        rows: Sequence[Row], keep_texts: bool = True, checks: Checks | None = None, **fields: Any
    ) -> dict[str, Any]:
        source = Listed(rows=list(rows), **fields)
        return prepare(source, Classification(), tmp_path, keep_texts, checks or Checks())

    return run
