"""The report on the rows: `report.json` for machines, `report.html` for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sluice.data.inspection.figures import draw
from sluice.data.inspection.inspect import Inspection
from sluice.data.inspection.page import page
from sluice.data.sieve import Sieve
from sluice.data.source import ORIGIN
from sluice.files import write_json, write_text

REPORT, PAGE = "report.json", "report.html"
EXAMPLES = 5
"""Dropped rows shown for each reason."""
LEAKS_SHOWN = 100


def write_report(
    folder: Path,
    name: str,
    record: Mapping[str, Any],
    inspection: Inspection,
    sieve: Sieve,
    shown: Sequence[str],
    refusal: str,
) -> None:
    """Write both files. `shown` are the columns whose text may stand in them; none are where texts are not kept."""
    keep_texts = bool(shown)
    content = {
        **record,
        "name": name,
        "read": sieve.read,
        "refusal": refusal,
        "drift": [drift.describe(keep_texts) for drift in inspection.drifts],
        "leaks": [leak.describe(keep_texts) for leak in inspection.leaks[:LEAKS_SHOWN]],
        "leaks_found": len(inspection.leaks),
        "examples": {
            reason: part.select([ORIGIN, *shown]).slice(0, EXAMPLES).to_pylist()
            for reason, part in sieve.dropped.items()
        },
        "languages": inspection.languages,
        "scripts": inspection.scripts,
        "lengths": {"edges": inspection.length_edges, "texts": inspection.lengths},
    }
    write_text(folder / PAGE, page(content, draw(content)))
    write_json(folder / REPORT, content)
