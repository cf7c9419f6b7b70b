"""The fine-tuned model beside the champion of the moment: what the gate will ask, told early."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pipelines.evaluate import TEST
from pipelines.shared.session import Session
from sluice.inference.engines.torch import reference
from sluice.registry.runs import Run
from sluice.registry.versions import CHAMPION, Version, fetch, lookup
from sluice.workspace import Output


def run(session: Session, fitted: Output, evaluated: Output) -> Output | None:
    """The margin over the champion on this evaluation's test rows; None where there is no champion.

    A stage of its own beside the evaluation: another champion repeats this, and not the evaluation.
    """
    cfg = session.cfg
    champion = lookup(session.store, cfg.name, CHAMPION)
    if champion is None:
        return None
    key = session.stage_key((cfg.task,), ("sluice.evaluation.comparison",), evaluated.key, champion.digest)

    def build(_: Path, child: Run) -> dict[str, Any]:
        return _compare(session, fitted, evaluated, champion, child)

    return session.stage("compare", key, build)


def _compare(session: Session, fitted: Output, evaluated: Output, champion: Version, child: Run) -> dict[str, Any]:
    from sluice.evaluation.comparison import beside
    from sluice.evaluation.report import margins
    from sluice.evaluation.testset import read_testset
    from sluice.inference.bundle import Bundle

    cfg, folder = session.cfg, fetch(session.store, champion)
    child.tags({"sluice.champion": str(champion)})
    if Bundle.read(folder).lineage.config == fitted.key:
        print(f"{champion}, the champion, is this model", flush=True)
        return {"champion": str(champion), "margins": {}}
    rows = read_testset(evaluated.folder / TEST).rows
    found = beside(
        fitted.folder / "bundle", folder, rows, engine=reference(cfg.serve.engine), settings=cfg.evaluate, seed=cfg.seed
    )
    print(margins(f"{champion}, the champion", found["margins"]), flush=True)
    if found["seen"]:
        print(f"warning: {champion} learnt from {found['seen']:,} of these test rows; the gate will refuse", flush=True)
    for one in (child, session.parent):
        one.metrics({f"against_champion/{metric}": margin["mean"] for metric, margin in found["margins"].items()})
    return {"champion": str(champion), **found}
