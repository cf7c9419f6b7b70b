"""The champion alias back to the version before, or to one that is named."""

from __future__ import annotations

from pipelines.shared.entry import main
from pipelines.shared.session import named
from sluice.config import Config
from sluice.errors import UserError
from sluice.registry import promotions
from sluice.registry.store import Store
from sluice.registry.versions import CHAMPION, find, intact, move_alias
from sluice.workspace import Workspace


def command(cfg: Config) -> None:
    """`make rollback`: recorded like a promotion, ungated, because what comes back has been a champion before."""
    workspace, store = Workspace(cfg.root / "work"), Store(cfg.root, cfg.tracking_uri)
    with workspace.turn("promote", "another promotion or rollback is at work; waiting for it"):
        for told in promotions.settle(store, cfg.name):
            print(told)
        champion = find(store, cfg.name, CHAMPION)
        if cfg.version is not None:
            find(store, cfg.name, cfg.version)  # says so where there is no such version
        target = find(store, cfg.name, _target(store, cfg, champion.number))
        intact(store, target)
        run = promotions.begin(store, cfg.name, "rollback", champion.number, target.number, cfg.force)
        move_alias(store, cfg.name, CHAMPION, target.number)
        promotions.end(run, "done", [cfg.force or "asked for"])
    print(f"rolled back: {target} is the champion, {champion} is not. A running service has it within seconds.")


def _target(store: Store, cfg: Config, current: int) -> int:
    decisions = promotions.history(store, cfg.name)
    been = {one.target for one in decisions if one.state == "done" and one.action in promotions.MOVES}
    if cfg.version is None:
        previous = promotions.previous(store, cfg.name)
        if previous is None:
            raise UserError(f"{cfg.name} has had no champion before {cfg.name}:{current}: nothing to roll back to")
        return previous
    if cfg.version == current:
        raise UserError(f"{cfg.name}:{current} is the champion already")
    if cfg.version not in been:
        known = ", ".join(map(str, sorted(been)))
        raise UserError(
            f"version={cfg.version} has never been champion (so far: {known}): put it through the gate instead, "
            f"make promote{named(cfg.name, f'version={cfg.version}')}"
        )
    return cfg.version


if __name__ == "__main__":
    main(command)
