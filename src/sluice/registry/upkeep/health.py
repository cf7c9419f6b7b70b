"""The state of the local database, of the server and of the champion, told without opening a store."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import re
import sqlite3
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import unquote, urlsplit

from sluice.errors import UserError
from sluice.files import folder_digest
from sluice.registry.runs import KEY
from sluice.registry.upkeep.database import DATABASE, elsewhere, opened
from sluice.registry.versions import CHAMPION, DIGEST

PATIENCE_SECONDS = 3
Level = Literal["ok", "warn", "fail"]


@dataclass(frozen=True)
class Finding:
    """One line of a check-up."""

    level: Level
    """fail: would stop a training."""
    name: str
    found: str
    remedy: str = ""


def database(root: Path, name: str, busy: bool) -> Iterator[Finding]:
    """The sqlite file in `root` and the champion in it; `busy` says whether a command is at work."""
    path = root.absolute() / DATABASE
    if not path.exists():
        yield Finding("ok", "database", "none yet: the first command makes it")
        return
    try:
        with opened(path, wait_seconds=PATIENCE_SECONDS) as connection:
            yield from _database(connection, path, busy)
            yield _champion(connection, name)
    except UserError as error:
        found, _, remedy = str(error).partition("\n")
        yield Finding("fail", "database", found, remedy)


def _database(connection: sqlite3.Connection, path: Path, busy: bool) -> Iterator[Finding]:
    connection.execute("BEGIN IMMEDIATE")  # locked by another, read-only or full: told by the caller
    connection.execute("ROLLBACK")
    (sound,) = connection.execute("PRAGMA integrity_check(1)").fetchone()
    (version,) = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    if sound != "ok":
        yield Finding("fail", "database", f"{path}: {sound}", "bring back an archive: make restore")
    elif version != (wanted := schema()):
        remedy = f"make backup, then: python -m mlflow db upgrade sqlite:///{path}"
        yield Finding("fail", "database", f"schema {version}, this MLflow has {wanted}", remedy)
    else:
        yield Finding("ok", "database", f"{path}, {path.stat().st_size / 2**20:,.1f} MiB, sound, schema {version}")
    if old := elsewhere(connection, path.parent):
        yield Finding("fail", "paths", f"the database says {old[0]}: it was moved or copied", "make relocate")
    (running,) = connection.execute(
        "SELECT count(*) FROM runs JOIN tags USING (run_uuid) WHERE status = 'RUNNING' AND key = ?", [KEY]
    ).fetchone()
    if running and not busy:
        remedy = "type the command that was cut off again; after some days make gc ends them"
        yield Finding("warn", "runs", f"{running} stand as running, and nothing is at work", remedy)
    else:
        yield Finding("ok", "runs", f"{running} running")


def schema() -> str:
    """The newest database version that the installed MLflow knows, read from its migrations without importing it."""
    spec = importlib.util.find_spec("mlflow")
    folders = spec.submodule_search_locations if spec and spec.submodule_search_locations else []
    made, followed = set(), set()
    for path in Path(folders[0]).glob("store/db_migrations/versions/*.py"):
        text = path.read_text(encoding="utf-8")
        made |= set(re.findall(r"^revision = ['\"](\w+)", text, re.MULTILINE))
        followed |= set(re.findall(r"^down_revision = ['\"](\w+)", text, re.MULTILINE))
    return ",".join(sorted(made - followed))


def _champion(connection: sqlite3.Connection, name: str) -> Finding:
    found = connection.execute(
        "SELECT v.version, v.storage_location, t.value FROM registered_model_aliases a "
        "JOIN model_versions v ON v.name = a.name AND v.version = a.version "
        "LEFT JOIN model_version_tags t ON t.name = v.name AND t.version = v.version AND t.key = ? "
        "WHERE a.name = ? AND a.alias = ?",
        [DIGEST, name, CHAMPION],
    ).fetchone()
    if found is None:
        return Finding("ok", "champion", f"{name} has none yet")
    version, location, digest = found
    folder = Path(unquote(urlsplit(location).path)) / "artifacts" / "bundle"
    if folder.is_dir() and folder_digest(folder) == digest:
        return Finding("ok", "champion", f"{name}:{version}, bundle {digest[:12]} intact")
    state = "is not what was registered" if folder.is_dir() else "is not there"
    return Finding(
        "warn",
        "champion",
        f"{name}:{version}: {folder} {state}",
        "make rollback, or bring the files back from a backup",
    )


def server(uri: str) -> Finding:
    """A team's MLflow server."""
    ours = importlib.metadata.version("mlflow")
    try:
        with urllib.request.urlopen(f"{uri.rstrip('/')}/version", timeout=PATIENCE_SECONDS) as answer:  # noqa: S310
            theirs = answer.read(100).decode(errors="replace").strip()
    except (OSError, ValueError, urllib.error.HTTPError) as error:
        remedy = "start it, or unset MLFLOW_TRACKING_URI and tracking_uri= to use the local database"
        return Finding("fail", "MLflow", f"no answer from {uri}: {error}", remedy)
    if theirs.split(".")[:2] != ours.split(".")[:2]:
        return Finding("warn", "MLflow", f"{uri} is version {theirs}, here it is {ours}", "use the same minor version")
    return Finding("ok", "MLflow", f"{uri} answers, version {theirs}")


def served_champion(root: Path, uri: str, name: str) -> Finding:
    """The champion on a server, its files fetched and compared."""
    from sluice.registry.store import Store
    from sluice.registry.versions import intact, lookup

    try:
        store = Store(root, uri)
        version = lookup(store, name, CHAMPION)
        if version is None:
            return Finding("ok", "champion", f"{name} has none yet")
        intact(store, version)
    except UserError as error:
        return Finding("warn", "champion", str(error).replace("\n", " "), "make rollback, or ask the server's keeper")
    return Finding("ok", "champion", f"{version}, bundle {version.digest[:12]} intact")


def receipts(folder: Path) -> Finding:
    """Whether each receipt can be read: `make verify` and `make gc` need them."""
    broken = []
    paths = sorted(folder.glob("*.json"))
    for path in paths:
        try:
            json.loads(path.read_text(encoding="utf-8"))["challenger"]["version"]
        except (OSError, ValueError, KeyError, TypeError):
            broken.append(path.name)
    if broken:
        return Finding("warn", "receipts", f"cannot be read: {', '.join(broken)}", "bring them back from a backup")
    return Finding("ok", "receipts", str(len(paths)))
