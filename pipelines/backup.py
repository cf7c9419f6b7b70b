"""All that cannot be computed again in one file: runs, versions, artifacts, receipts."""

from __future__ import annotations

from pathlib import Path

from pipelines.shared.entry import main
from sluice.config import Config
from sluice.errors import UserError
from sluice.registry.upkeep import archive
from sluice.registry.upkeep.database import DATABASE, elsewhere, opened
from sluice.workspace import Workspace


def command(cfg: Config) -> None:
    """`make backup ARGS="archive=/safe/place/mlruns.tar"`: also while trainings and the service run."""
    root, target = cfg.root.absolute(), asked(cfg, "backup")
    if not (root / DATABASE).exists():
        raise UserError(f"{root} holds no {DATABASE}: nothing was recorded there yet")
    if target.exists():
        raise UserError(f"archive={target} is there already, and nothing is overwritten: name another file")
    with opened(root / DATABASE) as connection:
        if elsewhere(connection, root):
            raise UserError(f"{root} was moved or copied: run make relocate first")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        archive.partial(target).touch()
    except (FileNotFoundError, FileExistsError, NotADirectoryError) as error:
        raise UserError(f"archive={target} cannot be written: {error.strerror}. Name another place") from error
    with Workspace(root / "work").turn("promote", "a promotion, rollback or clean-up is at work; waiting for it"):
        archive.write(root, target)
    print(f"{target}: {target.stat().st_size / 2**20:,.1f} MiB")


def asked(cfg: Config, name: str) -> Path:
    """The archive that the command is about."""
    if cfg.tracking_uri:
        raise UserError(f"runs and versions are kept by {cfg.tracking_uri}: back up its database and artifacts there")
    if cfg.archive is None:
        raise UserError(f'which file? make {name} ARGS="archive=/safe/place/mlruns.tar"')
    return cfg.archive.absolute()


if __name__ == "__main__":
    main(command)
