"""The receipt of a decision: what was compared, by which rules, with which digests, as JSON and as a page."""

from __future__ import annotations

import html
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from sluice.errors import UserError
from sluice.evaluation.settings import Evaluate
from sluice.files import write_json, write_text
from sluice.gate import Evidence, Gate, Verdict
from sluice.part import Part


class Model(Part):
    """One of the two models, by its digests."""

    version: int
    bundle: str
    """SHA-256 of the bundle."""
    data: str
    split: str
    config: str
    git: str
    run: str


class Receipt(Part):
    """A decision that anyone can check again."""

    name: str
    action: str
    outcome: str
    time: str
    """UTC, ISO 8601."""
    who: str
    decision: str
    """MLflow run of the decision."""
    challenger: Model
    champion: Model | None
    test: str
    """SHA-256 of the test rows and of the baselines' predictions on them."""
    bento: str
    """Tag of the Bento; empty where none was built."""
    force: str
    evidence: Evidence
    rules: Gate
    verdict: Verdict
    seed: int
    settings: Evaluate
    """How the figures were measured."""
    versions: dict[str, str]
    """Libraries that the figures were made with."""


def now() -> str:
    """The present moment, UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def write(receipt: Receipt, folder: Path) -> Path:
    """Write `<name>-v<version>-<time>.json` and `.html`. Returns the JSON's path."""
    stamp = "".join(letter for letter in receipt.time if letter.isdigit())[:14]
    stem = f"{receipt.name}-v{receipt.challenger.version}-{receipt.outcome}-{stamp}"
    path = folder / f"{stem}.json"
    # Through pydantic's own JSON: NaN is a finding here ("could not be measured"), kept as the string "NaN".
    write_json(path, json.loads(receipt.model_dump_json()))
    write_text(folder / f"{stem}.html", page(receipt))
    return path


def read(path: Path) -> Receipt:
    """Read a receipt's JSON, or say why it is none."""
    try:
        return Receipt.model_validate_json(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"receipt={path} cannot be read: {error.strerror}") from error
    except (ValueError, ValidationError) as error:
        raise UserError(
            f"receipt={path} is not a receipt that can be read: expected a .json of work/receipts, as promote names it"
        ) from error


def page(receipt: Receipt) -> str:
    """A page that needs nothing but itself."""
    rows = "".join(
        f'<tr class="{"pass" if check.passed else "fail"}"><td>{"✓" if check.passed else "✗"}</td>'
        f"<td>{_text(check.name)}</td><td>{_text(check.found)}</td><td>{_text(check.rule)}</td></tr>"
        for check in receipt.verdict.checks
    )
    links = _chain(receipt)
    facts = {
        "decided": receipt.time,
        "by": receipt.who,
        "forced because": receipt.force or "-",
        "MLflow run": receipt.decision,
        "Bento": receipt.bento or "none was built",
        "libraries": ", ".join(f"{name} {version}" for name, version in receipt.versions.items()),
    }
    return PAGE.format(
        title=_text(f"{receipt.name}:{receipt.challenger.version} {receipt.outcome}"),
        checks=rows,
        chain="".join(f"<tr><td>{_text(name)}</td><td><code>{_text(value)}</code></td></tr>" for name, value in links),
        facts="".join(f"<tr><td>{_text(name)}</td><td>{_text(value)}</td></tr>" for name, value in facts.items()),
    )


def _chain(receipt: Receipt) -> list[tuple[str, str]]:
    models = [("challenger", receipt.challenger), ("champion", receipt.champion)]
    links = [("test rows", receipt.test)]
    for role, model in models:
        if model:
            fields: dict[str, Any] = model.model_dump()
            links += [(f"{role} {name}", str(value)) for name, value in fields.items()]
    return links


def _text(value: str) -> str:
    return html.escape(value)


PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{title}</title><style>
:root {{ color-scheme: light dark }}
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 56rem; margin: 2rem auto; padding: 0 1rem }}
table {{ border-collapse: collapse; width: 100%; margin-bottom: 2rem }}
td {{ border-top: 1px solid #8884; padding: .35rem .75rem .35rem 0; vertical-align: top; overflow-wrap: anywhere }}
.pass td:first-child {{ color: #2a7d46 }} .fail td:first-child {{ color: #c0392b }} .fail {{ font-weight: 600 }}
code {{ font-size: .85em }}
</style></head><body>
<h1>{title}</h1>
<h2>Checks</h2><table>{checks}</table>
<h2>Decision</h2><table>{facts}</table>
<h2>Digests</h2><table>{chain}</table>
</body></html>
"""
