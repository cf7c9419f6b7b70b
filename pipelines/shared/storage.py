"""Errors of the disk, the database and the MLflow server in the user's words."""

from __future__ import annotations

import errno
import re
import shutil
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from sluice.registry.guard import away, is_away
from sluice.registry.upkeep.database import DATABASE, trouble

FULL = ("No space left on device", "os error 28", "database or disk is full", "Disk quota exceeded")
"""What libraries say that do not raise an OSError with its number."""
SHORT = re.compile(r"\d+ requested and \d+ written|unexpected pos \d+|PytorchStreamWriter failed")
"""What numpy and torch say when a file ended up shorter than what they wrote."""
LITTLE = 16 * 2**20


def explain(error: BaseException) -> str | None:
    """Two lines for what went wrong outside of Sluice, or None."""
    chain = list(_chain(error))
    for one in chain:
        if _is_full(one):
            return _full(one)
    for one in chain:
        if is_away(one):
            found = re.search(r"API request to (https?://[^/\s]+)", str(one))
            return away(found.group(1) if found else "?", time.time())
        if found := re.search(r"sqlite3\.\w+\) ([^\n]+)", str(one)):
            return trouble(found.group(1), root() / DATABASE)
        if "out-of-date database schema" in str(one):
            return (
                "the MLflow database was made by another version of MLflow\n"
                f"`make backup`, then: python -m mlflow db upgrade sqlite:///{root().absolute() / DATABASE}"
            )
    if isinstance(error, OSError) and error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return f"{error.filename}: {error.strerror}\nGive yourself access, or name another folder: root=/some/folder"
    return None


def root() -> Path:
    """The folder of everything generated, by the command line: the configuration may be what failed."""
    given = [argument.partition("=")[2] for argument in sys.argv[1:] if argument.startswith("root=")]
    return Path(given[-1].strip("'\"") if given else "mlruns")


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__


def _is_full(error: BaseException) -> bool:
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return True
    text = str(error)
    if any(sign in text for sign in FULL):
        return True
    return bool(SHORT.search(text)) and _free(root()) < LITTLE


def _full(error: BaseException) -> str:
    named = error.filename if isinstance(error, OSError) else None
    path = Path(named) if isinstance(named, str) else root().absolute()
    return (
        f"no space left on the disk: {_free(path) / 2**20:,.0f} MiB are free for {path}\n"
        'Free some (`make gc ARGS="dry_run=true"` lists what could go); then the same command goes on from here'
    )


def _free(path: Path) -> int:
    path = path.absolute()
    while not path.exists():
        path = path.parent
    return shutil.disk_usage(path).free
