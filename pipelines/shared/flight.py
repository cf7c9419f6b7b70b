"""Versions that fly beside a champion: sent up, stopped, and both recorded like a promotion."""

from __future__ import annotations

from pipelines.shared.session import named
from pipelines.shared.told import told
from sluice.config import Config
from sluice.errors import UserError
from sluice.registry import promotions
from sluice.registry.promotions import Action
from sluice.registry.store import Store
from sluice.registry.versions import CANARY, CHALLENGER, CHAMPION, Version, drop_alias, find, intact, lookup, move_alias
from sluice.workspace import Workspace


def fly(cfg: Config, alias: Action) -> None:
    """Give a version the alias `canary` or `shadow`, or with `stop` take it away."""
    workspace, store = Workspace(cfg.root / "work"), Store(cfg.root, cfg.tracking_uri)
    with workspace.turn("promote", "another promotion or rollback is at work; waiting for it"):
        champion = find(store, cfg.name, CHAMPION)
        if cfg.stop:
            if stopped := _stop(store, cfg.name, alias, None, [cfg.force or "asked for"]):
                print(f"stopped: {stopped} is no {alias} any more; {champion} answers everybody")
                return
            raise UserError(f"{cfg.name} has no {alias}: make history{named(cfg.name)} lists what there is")
        version = find(store, cfg.name, cfg.version or CHALLENGER)
        if version.number == champion.number:
            raise UserError(f"{version} is the champion: train another one, or name one with version=")
        intact(store, version)
        run = promotions.begin(store, cfg.name, alias, champion.number, version.number, cfg.force)
        move_alias(store, cfg.name, alias, version.number)
        promotions.end(run, "done", [cfg.force or "asked for"])
    _tell(cfg, version, champion, alias)


def stop(store: Store, canary: Version, reasons: list[str]) -> Version | None:
    """Take the canary's alias from this version, and record why. None where it has flown on, or somebody decides."""
    with Workspace(store.root / "work").turn_if_free("promote") as free:
        return _stop(store, canary.name, CANARY, canary.number, reasons) if free else None


def _stop(store: Store, name: str, alias: Action, number: int | None, reasons: list[str]) -> Version | None:
    """Take the alias from the version that has it, if that is the one with this number."""
    version = lookup(store, name, alias)
    if version is None or number not in (None, version.number):
        return None
    champion = lookup(store, name, CHAMPION)
    run = promotions.begin(store, name, "stop", champion.number if champion else None, version.number, None)
    drop_alias(store, name, alias)
    promotions.end(run, "done", reasons)
    return version


def _tell(cfg: Config, version: Version, champion: Version, alias: str) -> None:
    rules = (told(cfg) or cfg).serve.canary  # the service's own, not this command's
    print(f"{version} flies beside {champion} as {alias}: a running service has it within seconds")
    if alias == CANARY:
        slower, others = f"{rules.max_slower:g} times the time", f"{rules.max_disagreement:.0%} other answers"
        bounds = f"{rules.max_failed:.1%} failures, {slower}, {others}"
        print(f"It answers {rules.share:.0%} of the callers, and stops by itself beyond {bounds}")
    promote, back = named(cfg.name, f"version={version.number}"), named(cfg.name, "stop=true")
    print(f"Next: make promote{promote}, or make {alias}{back}")
