"""After the checkout was moved or copied: every stored path that names the old place, rewritten."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from pipelines.shared.entry import main
from sluice.config import Config
from sluice.errors import UserError
from sluice.registry.upkeep import relocate
from sluice.registry.upkeep.database import DATABASE, KEPT, backup, elsewhere, opened


def command(cfg: Config) -> None:
    """`make relocate`: with `dry_run=true` only say what would change."""
    if cfg.tracking_uri:
        raise UserError(f"{cfg.tracking_uri} keeps its own paths: only the database in root= can be relocated")
    root = cfg.root.absolute()
    database = root / DATABASE
    if not database.exists():
        raise UserError(f"{database} is not there: nothing was recorded in this root= yet")
    changes = move(root, cfg.moved_from, cfg.dry_run)
    total = sum(change.count for change in changes)
    print(f"{total} values {'would change' if cfg.dry_run else 'changed'}" if changes else "nothing to relocate")


def move(root: Path, moved_from: Path | None = None, dry_run: bool = False) -> list[relocate.Change]:
    """Rewrite what names another root, files first: the database, last, is what says that a move is unfinished."""
    database = root / DATABASE
    with opened(database) as connection:
        old = [moved_from.absolute()] if moved_from else elsewhere(connection, root)
        moves = {one: root for one in old if one != root}
        if not moves:
            return []
        rename = relocate.renamer(moves)
        rewrites = list(relocate.files(root / "work", rename))
        changes = [*relocate.planned(connection, rename, moves), *(change for change, _ in rewrites)]
        for change in changes:
            print(f"{change.place}: {change.count}\n  {change.before}\n  {change.after}", flush=True)
        if changes and not dry_run:
            kept = database.with_name(f"{DATABASE}{KEPT}{datetime.now(UTC):%Y%m%d%H%M%S}")
            backup(database, kept)
            print(f"the database as it was: {kept}", flush=True)
            for _, rewrite in rewrites:
                rewrite()
            relocate.apply(connection, rename, moves)
    return changes


if __name__ == "__main__":
    main(command, record=False)
