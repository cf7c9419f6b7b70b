"""The challenger through the gate: measured beside the champion, packaged, and given the alias, or refused."""

from __future__ import annotations

import difflib
import importlib.metadata
from pathlib import Path

from pipelines import package
from pipelines.evaluate import TEST
from pipelines.shared.entry import REFUSED, main
from pipelines.shared.session import named, shorten
from pipelines.shared.told import tell, told
from sluice.config import Config
from sluice.errors import UserError
from sluice.evaluation.comparison import gather
from sluice.evaluation.testset import read_testset
from sluice.files import folder_digest
from sluice.gate import Evidence, Gate, Verdict, verdict
from sluice.inference.bundle import Bundle
from sluice.metrics.selective import FIGURES
from sluice.registry import promotions, receipt
from sluice.registry.runs import Run
from sluice.registry.store import Store
from sluice.registry.versions import (
    CANARY,
    CHALLENGER,
    CHAMPION,
    SHADOW,
    Version,
    drop_alias,
    fetch,
    find,
    intact,
    lookup,
    move_alias,
    run_file,
)
from sluice.workspace import Workspace

LIBRARIES = ("numpy", "tokenizers", "torch", "transformers")


def command(cfg: Config) -> int:
    """`make promote`."""
    workspace, store = Workspace(cfg.root / "work"), Store(cfg.root, cfg.tracking_uri)
    with workspace.turn("promote", "another promotion or rollback is at work; waiting for it"):
        for line in promotions.settle(store, cfg.name):
            print(line)
        challenger = find(store, cfg.name, cfg.version or CHALLENGER)
        champion = lookup(store, cfg.name, CHAMPION)
        if champion and champion.number == challenger.number:
            return _again(cfg, store, champion)
        return _decide(cfg, store, challenger, champion)


def _again(cfg: Config, store: Store, champion: Version) -> int:
    """Tell the service other settings. Another engine is measured first: what is let through is what answers."""
    before = told(cfg)
    if before and before.name == cfg.name and before.serve == cfg.serve:
        print(f"{champion} is the champion already. Next: make serve")
        return 0
    if before is None or before.name != cfg.name or before.serve.engine_of(cfg.name) != cfg.serve.engine_of(cfg.name):
        return _decide(cfg, store, champion, None, again=True)
    bento = package.build(cfg, store, champion, CHAMPION)
    tell(cfg)
    print(f"{champion} is the champion already; the service's settings are new, in Bento {bento}, too")
    print("Next: start the service again, make serve")
    return 0


def _decide(cfg: Config, store: Store, challenger: Version, champion: Version | None, again: bool = False) -> int:
    against = "once more, by the engine that is to run it" if again else f"against {champion or 'no champion yet'}"
    print(f"gate: {challenger} {against}", flush=True)
    evidence = weigh(cfg, store, challenger, champion)
    _check_floors(cfg.gate, evidence)
    judged = verdict(evidence, cfg.gate)
    print(checks(judged), flush=True)
    source = champion.number if champion else None
    run = promotions.begin(store, cfg.name, "promote", source, challenger.number, cfg.force)
    run.metrics({f"test/{name}": value for name, value in evidence.scores.items()})
    if not judged.passed and not cfg.force:
        path = _receipt(cfg, store, run, challenger, champion, evidence, judged, "refused", "")
        promotions.end(run, "refused", judged.reasons, checks(judged, markdown=True))
        stays = "is champion with the settings that it had" if again else "stays a challenger"
        print(f"\nrefused: {challenger} {stays}. Receipt: {shorten(path)}")
        asked = [f"version={cfg.version}"] if cfg.version else []
        overruling = named(cfg.name, *asked, 'force="why"')
        print(f"Next: improve it, or overrule with make promote{overruling}")
        return REFUSED
    bento = package.build(cfg, store, challenger, CHAMPION)
    tell(cfg)
    move_alias(store, cfg.name, CHAMPION, challenger.number)
    for alias in (CANARY, SHADOW):
        if (flying := lookup(store, cfg.name, alias)) and flying.number == challenger.number:
            drop_alias(store, cfg.name, alias)
    outcome = "promoted" if judged.passed else "forced"
    path = _receipt(cfg, store, run, challenger, champion, evidence, judged, outcome, bento)
    promotions.end(run, "done", judged.reasons, checks(judged, markdown=True))
    print(f"\n{outcome}: {challenger} is the champion. Bento {bento}. Receipt: {shorten(path)}")
    print("Next: make serve   (or: bentoml serve); a service that runs already has it within seconds")
    return 0


def _check_floors(rules: Gate, evidence: Evidence) -> None:
    """Raise UserError for a floor under a figure that nobody knows: a misspelling is no reason to refuse a model.

    One that was not measured is another matter, and refuses.
    """
    figures = [*evidence.scores, *FIGURES]
    for metric in rules.floors or {}:
        if metric not in figures:
            close = difflib.get_close_matches(metric, figures, n=1)
            known = f"Did you mean {close[0]}?" if close else f"There are: {', '.join(evidence.scores)}"
            raise UserError(f"gate.floors: the challenger has no figure '{metric}'. {known}")


def weigh(cfg: Config, store: Store, challenger: Version, champion: Version | None) -> Evidence:
    """Score both models on the challenger's test rows."""
    return gather(
        intact(store, challenger),
        intact(store, champion) if champion else None,
        read_testset(run_file(store, challenger.run_id, TEST)),
        engine=cfg.serve.engine_of(cfg.name),
        settings=cfg.evaluate,
        rules=cfg.gate,
        seed=cfg.seed,
    )


def checks(judged: Verdict, markdown: bool = False) -> str:
    """The verdict, one line a check."""
    if markdown:
        lines = [f"| {'yes' if c.passed else 'NO'} | {c.name} | {c.found} | {c.rule} |" for c in judged.checks]
        return "\n".join(["| passed | check | found | rule |", "| --- | --- | --- | --- |", *lines])
    width = max(len(check.name) for check in judged.checks)
    found = max(len(check.found) for check in judged.checks)
    return "\n".join(
        f"  {'pass  ' if check.passed else 'REFUSE'}  {check.name:<{width}}  {check.found:<{found}}  {check.rule}"
        for check in judged.checks
    )


def _receipt(
    cfg: Config,
    store: Store,
    run: Run,
    challenger: Version,
    champion: Version | None,
    evidence: Evidence,
    judged: Verdict,
    outcome: str,
    bento: str,
) -> Path:
    made = receipt.Receipt(
        name=cfg.name,
        action="promote",
        outcome=outcome,
        time=receipt.now(),
        who=promotions.who(),
        decision=run.id,
        challenger=_model(store, challenger),
        champion=_model(store, champion) if champion else None,
        test=folder_digest(run_file(store, challenger.run_id, TEST)),
        bento=bento,
        force=cfg.force or "",
        evidence=evidence,
        rules=cfg.gate,
        verdict=judged,
        seed=cfg.seed,
        settings=cfg.evaluate,
        versions={name: importlib.metadata.version(name) for name in LIBRARIES},
    )
    path = receipt.write(made, cfg.root.absolute() / "work" / "receipts")
    run.file(path)
    run.file(path.with_suffix(".html"))
    return path


def _model(store: Store, version: Version) -> receipt.Model:
    lineage = Bundle.read(fetch(store, version)).lineage
    fields = lineage.model_dump(include={"data", "split", "config", "git"})
    return receipt.Model(version=version.number, bundle=version.digest, run=version.run_id, **fields)


if __name__ == "__main__":
    main(command)
