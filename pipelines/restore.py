"""An archive that `make backup` made, back in a folder that holds nothing yet."""

from __future__ import annotations

from pathlib import Path

from pipelines.backup import asked
from pipelines.relocate import move
from pipelines.shared.entry import main
from pipelines.shared.session import named
from sluice.config import Config
from sluice.registry.upkeep import archive
from sluice.registry.upkeep.database import DATABASE, opened
from sluice.workspace import Workspace


def command(cfg: Config) -> None:
    """`make restore ARGS="archive=/safe/place/mlruns.tar"`: overwrites nothing; paths are made right for this place."""
    root, source = cfg.root.absolute(), asked(cfg, "restore")
    with Workspace(root / "work").turn("promote", "another command is at work in this folder; waiting for it"):
        archive.restore(root, source)
        move(root)
    with opened(root / DATABASE) as connection:
        (versions,) = connection.execute(
            "SELECT count(*) FROM model_versions WHERE current_stage <> 'Deleted_Internal'"
        ).fetchone()
        (runs,) = connection.execute("SELECT count(*) FROM runs").fetchone()
    where = [] if cfg.root == Path("mlruns") else [f"root={cfg.root}"]
    print(f"restored into {root}: runs {runs}, versions {versions}. Next: make history{named(cfg.name, *where)}")
    asked_for = named(cfg.name, *where, "version=N")
    print(f"Bentos are not in an archive: make package{asked_for} builds one again")


if __name__ == "__main__":
    main(command)
