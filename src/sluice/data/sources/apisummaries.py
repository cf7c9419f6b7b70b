"""`ApiSummaries`: what a docstring explains at length, and the line with which it begins."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from pydantic import Field

from sluice.data.rows import make_table
from sluice.data.source import Source
from sluice.data.sources.apidocs import ApiDocs
from sluice.data.sources.docstrings import Doc
from sluice.part import digest
from sluice.tasks.task import Kind

if TYPE_CHECKING:
    import pyarrow as pa

BODY, SUMMARY = 0, 1
ORDERS: dict[tuple[str, ...], dict[str, int]] = {
    ("document", "summary"): {"document": BODY, "summary": SUMMARY},
    ("query", "passage"): {"query": SUMMARY, "passage": BODY},
}
"""Columns that it can give: what is to be said in short, or what is asked for and what answers it."""


class ApiSummaries(Source):
    """Docstrings of installed packages, divided as PEP 257 wants them: a summary line, then the body."""

    docs: ApiDocs
    """Which docstrings, and how many characters of each; names are not masked here."""
    summary_words: tuple[int, int] = (3, 30)
    """Fewest and most words of a summary line."""
    body_words: int = Field(15, ge=1)
    """Fewest words of a body."""

    def fingerprint(self) -> str:
        """SHA-256 of this configuration and the versions of the packages that are read."""
        return digest({"source": self, "pins": self.docs.pins()})

    def read(self, columns: Mapping[str, Kind]) -> pa.Table:
        """One row a docstring: body and summary line, its file as group, `file:line` as origin."""
        self.refuse_others(columns, *ORDERS)
        _, parsed = self.docs.parse()
        kept = [(doc, pair) for doc in parsed.docs if (pair := self._divided(doc))]
        notes = {
            "pins": self.docs.pins(),
            "left_out": {"too_short": parsed.short, "no_summary_and_body": len(parsed.docs) - len(kept)},
            "unreadable": parsed.unreadable,
        }
        return make_table(
            {name: [pair[at] for _, pair in kept] for name, at in ORDERS[tuple(columns)].items()},
            origin=[f"{doc.file}:{doc.line}" for doc, _ in kept],
            group=[doc.file for doc, _ in kept],
            notes=notes,
        )

    def _divided(self, doc: Doc) -> tuple[str, str] | None:
        """Body and summary, where the docstring has both in the lengths that are asked for."""
        summary, body = doc.text[: doc.lead].strip(), doc.text[doc.lead :].strip()
        fewest, most = self.summary_words
        fits = fewest <= len(summary.split()) <= most and len(body.split()) >= self.body_words
        return (body, summary) if fits else None
