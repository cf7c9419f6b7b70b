"""A receipt checked again: the same files by their digests, the same figures by scoring anew, the same verdict."""

from __future__ import annotations

import math
from collections.abc import Iterator

from pipelines.evaluate import TEST
from pipelines.promote import weigh
from pipelines.shared.entry import REFUSED, main
from sluice.config import Config
from sluice.errors import UserError
from sluice.files import folder_digest
from sluice.gate import Bounds, Evidence, verdict
from sluice.registry import receipt
from sluice.registry.receipt import Receipt
from sluice.registry.store import Store
from sluice.registry.versions import Version, find, run_file

TOLERANCE = 0.002
"""Largest difference in a metric that another processor's rounding explains."""


def command(cfg: Config) -> int:
    """`make verify ARGS="receipt=..."`."""
    if cfg.receipt is None:
        raise UserError('which receipt? make verify ARGS="receipt=mlruns/work/receipts/<file>.json"')
    told = receipt.read(cfg.receipt)
    store = Store(cfg.root, cfg.tracking_uri)
    challenger = _same(store, told.name, told.challenger)
    champion = _same(store, told.name, told.champion) if told.champion else None
    found = folder_digest(run_file(store, challenger.run_id, TEST))
    if found != told.test:
        raise UserError(
            f"the test rows of {challenger} are not those of the receipt: {found[:12]}, not {told.test[:12]}"
        )
    print(f"digests of {challenger}{f', {champion}' if champion else ''} and the test rows are those of the receipt")
    evidence = weigh(_settings(cfg, told), store, challenger, champion)
    same = _compare(told.evidence, evidence)
    settled = verdict(told.evidence, told.rules) == told.verdict
    print(f"verdict on the stored evidence: {'as recorded' if settled else 'NOT as recorded'}")
    print("verified" if same and settled else "NOT verified")
    return 0 if same and settled else REFUSED


def _same(store: Store, name: str, model: receipt.Model) -> Version:
    version = find(store, name, model.version)
    if version.digest != model.bundle:
        raise UserError(
            f"{version} in the registry is not the receipt's: {version.digest[:12]}, not {model.bundle[:12]}"
        )
    return version


def _settings(cfg: Config, told: Receipt) -> Config:
    return cfg.model_copy(update={"name": told.name, "seed": told.seed, "gate": told.rules, "evaluate": told.settings})


def _compare(told: Evidence, found: Evidence) -> bool:
    """Print each figure as recorded and as found. Times are not repeatable and are left out."""
    same = True
    recorded, anew = dict(_figures(told)), dict(_figures(found))
    for name in sorted({*recorded, *anew}):
        old, new = recorded.get(name, math.nan), anew.get(name, math.nan)
        close = abs(old - new) <= TOLERANCE or (math.isnan(old) and math.isnan(new))
        same = same and close
        print(f"  {'same ' if close else 'OTHER'}  {name:<32}  recorded {old:+.4f}  found {new:+.4f}")
    return same


def _figures(evidence: Evidence) -> Iterator[tuple[str, float]]:
    yield from evidence.scores.items()
    for name, bounds in {**evidence.trivial, **evidence.strong}.items():
        yield from _bounds(f"over {name}", bounds)
    yield from ((f"behaviour: {kind}", share) for kind, share in (evidence.behaviour or {}).items())
    yield "test rows seen in training", evidence.seen
    if evidence.champion:
        yield from _bounds("against the champion", evidence.champion.difference)
        yield "size ratio", evidence.champion.size_ratio
        yield "test rows the champion saw", evidence.champion.seen


def _bounds(name: str, bounds: Bounds) -> Iterator[tuple[str, float]]:
    for part in ("mean", "low", "high"):
        yield f"{name}, {part}", getattr(bounds, part)


if __name__ == "__main__":
    main(command)
