"""What of `root` cannot be computed again, in one tar file: the database, the artifacts, the receipts."""

from __future__ import annotations

import hashlib
import io
import shutil
import tarfile
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO

from sluice.errors import UserError
from sluice.files import file_digest
from sluice.registry.upkeep.database import DATABASE, backup, opened
from sluice.registry.upkeep.retention import GONE

PARTS = ("artifacts", "work/receipts", "work/serve", DATABASE)
"""In the order in which they are put back: the database last, because where it is, a restore is whole."""
SUMS = "SHA256SUMS"
"""SHA-256 of every file in an archive, as `sha256sum` writes them."""
STAGED = ".restore"
WHOLE = ".restore-whole"


def write(root: Path, archive: Path) -> None:
    """Write an archive, also while trainings run; `archive` appears when it is whole.

    The database is copied first: what it names is there already, and what comes later is not in it.
    """
    beside = partial(archive)
    with tempfile.TemporaryDirectory(prefix=f"{GONE}backup-", dir=root) as folder:
        copy = Path(folder) / DATABASE
        backup(root / DATABASE, copy)
        with tarfile.open(beside, "w") as tar:
            sums = dict(_add(tar, copy, DATABASE))
            for part in PARTS:
                if part != DATABASE and (root / part).exists():
                    sums.update(_add(tar, root / part, part))
            _add_sums(tar, sums)
    check(beside)
    beside.rename(archive)


def check(archive: Path) -> None:
    """Refuse a file that is no archive of ours, or not all of one."""
    try:
        with tarfile.open(archive) as tar:
            names = tar.getnames()
    except (OSError, tarfile.TarError) as error:
        raise UserError(f"archive={archive} cannot be read as an archive: {str(error).splitlines()[0]}") from error
    if not {DATABASE, SUMS} <= {*names}:
        raise UserError(f"archive={archive} is not what `make backup` writes")


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
        _compare(staged, archive)
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


def partial(archive: Path) -> Path:
    """Where an archive stands until it is whole."""
    return archive.with_name(f".{archive.name}.partial")


def _add(tar: tarfile.TarFile, path: Path, name: str) -> Iterator[tuple[str, str]]:
    """Add a file, or a folder with all in it; name and SHA-256 of every file's bytes as they went in."""
    info = tar.gettarinfo(path, name)
    if path.is_dir():
        tar.addfile(info)
        for child in sorted(path.iterdir()):
            yield from _add(tar, child, f"{name}/{child.name}")
        return
    info.type, info.linkname, info.size = tarfile.REGTYPE, "", path.stat().st_size  # a second link is a file, too
    with path.open("rb") as file:
        reader = _Reader(file)
        tar.addfile(info, reader)
    yield name, reader.sum.hexdigest()


class _Reader:
    """A file that counts what is read of it into a SHA-256."""

    def __init__(self, file: IO[bytes]) -> None:
        self.file, self.sum = file, hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        """The next bytes."""
        data = self.file.read(size)
        self.sum.update(data)
        return data


def _add_sums(tar: tarfile.TarFile, sums: Mapping[str, str]) -> None:
    data = "".join(f"{value}  {name}\n" for name, value in sums.items()).encode()
    info = tarfile.TarInfo(SUMS)
    info.size = len(data)
    tar.addfile(info, io.BytesIO(data))


def _compare(staged: Path, archive: Path) -> None:
    """Refuse files that are not what was written."""
    for line in (staged / SUMS).read_text(encoding="utf-8").splitlines():
        value, _, name = line.partition("  ")
        if not (staged / name).is_file() or file_digest(staged / name) != value:
            raise UserError(f"archive={archive} is damaged: {name} in it is not what was written. Take another copy")


def _holds(path: Path) -> bool:
    return any(path.iterdir()) if path.is_dir() else path.exists()


def _sound(database: Path) -> None:
    with opened(database) as connection:
        (found,) = connection.execute("PRAGMA integrity_check").fetchone()
    if found != "ok":
        raise UserError(f"the database in the archive is damaged: {found}")
