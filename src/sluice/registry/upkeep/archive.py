"""What of `root` cannot be computed again, in one tar file: the database, the artifacts, the receipts."""

from __future__ import annotations

import shutil
import tarfile
import tempfile
from pathlib import Path

from sluice.errors import UserError
from sluice.registry.upkeep.database import DATABASE, backup, opened
from sluice.registry.upkeep.retention import GONE

PARTS = ("artifacts", "work/receipts", "work/serve", DATABASE)
"""In the order in which they are put back: the database last, because where it is, a restore is whole."""
STAGED = ".restore"
WHOLE = ".restore-whole"


def write(root: Path, archive: Path) -> None:
    """Write an archive, also while trainings run; `archive` appears when it is whole.

    The database is copied first: what it names is there already, and what comes later is not in it.
    """
    beside = archive.with_name(f".{archive.name}.partial")
    with tempfile.TemporaryDirectory(prefix=f"{GONE}backup-", dir=root) as folder:
        copy = Path(folder) / DATABASE
        backup(root / DATABASE, copy)
        with tarfile.open(beside, "w") as tar:
            tar.add(copy, DATABASE)
            for part in PARTS:
                if part != DATABASE and (root / part).exists():
                    tar.add(root / part, part)
    check(beside)
    beside.rename(archive)


def check(archive: Path) -> None:
    """Refuse a file that is no archive of ours, or not all of one."""
    try:
        with tarfile.open(archive) as tar:
            names = tar.getnames()
    except (OSError, tarfile.TarError) as error:
        raise UserError(f"archive={archive} cannot be read: {error}") from error
    if DATABASE not in names:
        raise UserError(f"archive={archive} holds no {DATABASE}: it is not what `make backup` writes")


def restore(root: Path, archive: Path) -> None:
    """Put an archive's content into a `root` without a database; cut off by a kill, the same call goes on."""
    whole = root / WHOLE
    taken = [part for part in PARTS if _holds(root / part) and (_holds(whole / part) or not whole.exists())]
    if taken:
        raise UserError(
            f"{root} holds {taken[-1]} already, and nothing is overwritten. "
            "Restore into another folder, root=/some/folder, or move this one away first"
        )
    if not whole.exists():
        check(archive)
        staged = root / STAGED
        shutil.rmtree(staged, ignore_errors=True)
        with tarfile.open(archive) as tar:
            tar.extractall(staged, filter="data")
        _sound(staged / DATABASE)
        staged.rename(whole)
    for part in PARTS:
        source, target = whole / part, root / part
        if source.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            if target.is_dir():
                target.rmdir()
            source.rename(target)
    shutil.rmtree(whole)


def _holds(path: Path) -> bool:
    return any(path.iterdir()) if path.is_dir() else path.exists()


def _sound(database: Path) -> None:
    with opened(database) as connection:
        (found,) = connection.execute("PRAGMA integrity_check").fetchone()
    if found != "ok":
        raise UserError(f"the database in the archive is damaged: {found}")
