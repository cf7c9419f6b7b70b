"""Old versions, stage folders nobody uses, what killed commands left: listed with their sizes, then removed."""

from __future__ import annotations

from pathlib import Path

from pipelines.shared.entry import main
from pipelines.shared.session import shorten
from sluice.config import Config
from sluice.registry.upkeep import folders as folders
from sluice.registry.upkeep.database import DATABASE
from sluice.registry.upkeep.retention import Item
from sluice.workspace import Workspace

SUMMED = ("record", "lock")
"""Small and many: counted, not listed."""


def command(cfg: Config) -> None:
    """`make gc`: what goes follows `conf/retention`; with `dry_run=true` only say what would go."""
    root = cfg.root.absolute()
    with Workspace(root / "work").turn("promote", "a promotion, rollback or clean-up is at work; waiting for it"):
        items = _plan(cfg, root)
        freed = 0
        for item in items:
            gone = cfg.dry_run or item.remove()
            freed += item.size if gone else 0
            if item.kind not in SUMMED or not gone:
                print(f"{'' if gone else 'in use: '}{_line(item)}", flush=True)
        for kind in SUMMED:
            if count := sum(item.kind == kind for item in items):
                print(f"{kind}s: {count}")
        ended = 0 if cfg.dry_run else _end_cut_off(cfg, root)
    if ended:
        print(f"{ended} runs that were cut off are no longer shown as running")
    print(f"{freed / 2**20:,.1f} MiB {'would be free' if cfg.dry_run else 'freed'}" if items else "nothing to remove")


def _plan(cfg: Config, root: Path) -> list[Item]:
    items: list[Item] = []
    protected: set[str] = set()
    if cfg.tracking_uri:
        print(f"versions and runs on {cfg.tracking_uri} stay: its keeper removes them there (docs/operations.md)")
    elif (root / DATABASE).exists():
        from sluice.registry.store import Store
        from sluice.registry.upkeep.old_versions import plan

        items, protected = plan(Store(cfg.root, None), cfg.retention)
    # Folders first: on a full disk, the database has no room to forget anything before.
    return [*folders.plan(root, cfg.retention, protected), *items]


def _end_cut_off(cfg: Config, root: Path) -> int:
    if cfg.tracking_uri or not (root / DATABASE).exists() or folders.at_work(root / "work"):
        return 0
    from sluice.registry.store import Store
    from sluice.registry.upkeep.old_versions import cut_off

    store = Store(cfg.root, None)
    found = cut_off(store, cfg.retention)
    for run_id in found:
        store.client.set_terminated(run_id, "KILLED")
    return len(found)


def _line(item: Item) -> str:
    what = shorten(Path(item.what)) if item.what.startswith("/") else item.what
    return f"{item.kind:<14}{item.size / 2**20:>9,.1f} MiB  {what}  ({item.why})"


if __name__ == "__main__":
    main(command, record=False)
