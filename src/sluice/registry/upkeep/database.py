"""The sqlite file behind MLflow, read and copied without MLflow: also when it is broken, moved or locked."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import unquote, urlsplit

from sluice.errors import UserError

DATABASE = "mlflow.db"
KEPT = ".before-relocate-"
"""In the name of a copy that `make relocate` left."""
DAMAGED = "It is damaged: move the folder away, then `make restore` brings back what `make backup` saved"
WAIT_SECONDS = 30
"""How long another process may hold the database before it is reported."""


@contextmanager
def opened(database: Path, wait_seconds: float = WAIT_SECONDS) -> Iterator[sqlite3.Connection]:
    """A connection without implicit transactions; sqlite's errors come out in the user's words."""
    try:
        uri = f"{database.absolute().as_uri()}?mode=rw"
        with closing(sqlite3.connect(uri, uri=True, timeout=wait_seconds, isolation_level=None)) as connection:
            yield connection
    except sqlite3.Error as error:
        raise UserError(trouble(str(error), database)) from error


def trouble(message: str, database: object) -> str:
    """What sqlite's message means for the user, in two lines."""
    remedies = {
        "locked": "Another process holds it: wait for it or end it (a second `make ui`, a backup tool), then try again",
        "readonly": "It cannot be written: give yourself write access to the file and its folder",
        "full": "The disk is full: free some (`make gc ARGS=dry_run=true` lists what could go), then try again",
        "unable to open": "It is not there or may not be read: check the path and its permissions",
        "disk I/O error": "The disk refuses reads or writes: look at its free space and its health",
        "malformed": DAMAGED,
        "not a database": DAMAGED,
    }
    remedy = next((told for sign, told in remedies.items() if sign in message), "`make doctor` says more")
    return f"the MLflow database {database}: {message}\n{remedy}"


def roots(connection: sqlite3.Connection) -> set[Path]:
    """The `root` folders that the experiments were created under: one, unless the checkout was moved or copied."""
    if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'experiments'").fetchone():
        return set()
    found = set()
    for name, location in connection.execute("SELECT name, artifact_location FROM experiments"):
        place = urlsplit(location or "")
        path = Path(unquote(place.path))
        if place.scheme == "file" and path.name == name and path.parent.name == "artifacts":
            found.add(path.parents[1])
    return found


def elsewhere(connection: sqlite3.Connection, root: Path) -> list[Path]:
    """The recorded roots that are not `root`: empty unless the checkout was moved or copied."""
    return sorted(old for old in roots(connection) if not _same(old, root.absolute()))


def backup(database: Path, target: Path) -> None:
    """Copy a database that may be in use, by sqlite's own backup; `target` appears when it is whole."""
    beside = target.with_name(f".{target.name}.partial")
    beside.unlink(missing_ok=True)
    with opened(database) as source, closing(sqlite3.connect(beside)) as copy:
        source.backup(copy)
    beside.replace(target)


def _same(one: Path, other: Path) -> bool:
    try:
        return one == other or one.samefile(other)
    except OSError:
        return False
