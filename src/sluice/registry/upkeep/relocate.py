"""A checkout that was moved or copied: the absolute paths that MLflow and half-done stages keep, made right again."""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from sluice.files import write_json, write_text

Rename = Callable[[str], str]


@dataclass(frozen=True)
class Change:
    """Values of one column, or one file, that name the old place."""

    place: str
    count: int
    before: str
    after: str


def renamer(moves: dict[Path, Path]) -> Rename:
    """A function that replaces each old folder in a text by its new one, as a plain path and as a file URI.

    Only whole folder names at the start of a text or after a quote, a space or a URI's scheme count:
    `/a/mlruns` stands neither in `/a/mlruns2` nor in `/data/a/mlruns`.
    """
    pairs = [(f"file://{old.as_uri()[7:]}", new.as_uri()) for old, new in moves.items()]
    pairs += [(str(old), str(new)) for old, new in moves.items()]
    forms = dict(pairs)
    # The longest first, and all in one pass: what has been replaced is not looked at again.
    known = "|".join(re.escape(old) for old in sorted(forms, key=len, reverse=True))
    pattern = re.compile(rf"""(^|["'\s]|sqlite:///)({known})(?=[/"'\s]|$)""")
    return lambda text: pattern.sub(lambda found: found[1] + forms[found[2]], text)


def planned(connection: sqlite3.Connection, rename: Rename, moves: dict[Path, Path]) -> list[Change]:
    """The database columns that name an old place."""
    _teach(connection, rename)
    changes = []
    for table, column in _columns(connection):
        where, values = _where(column, moves)
        query = f'SELECT count(*), min("{column}") FROM "{table}" WHERE {where}'  # noqa: S608 - names from sqlite
        count, example = connection.execute(query, values).fetchone()
        if count:
            changes.append(Change(f"{table}.{column}", count, example, rename(example)))
    return changes


def apply(connection: sqlite3.Connection, rename: Rename, moves: dict[Path, Path]) -> None:
    """Rewrite the columns in one transaction: after a kill all of them are old or all are new."""
    _teach(connection, rename)
    connection.execute("BEGIN IMMEDIATE")
    for table, column in _columns(connection):
        where, values = _where(column, moves)
        statement = f'UPDATE "{table}" SET "{column}" = renamed("{column}") WHERE {where}'  # noqa: S608
        connection.execute(statement, values)
    connection.execute("COMMIT")


def files(work: Path, rename: Rename) -> Iterator[tuple[Change, Callable[[], None]]]:
    """Files that are read again and name an old place: what the service was promoted with, stages half done.

    Finished stages hold no paths; Hydra's folders are history and stay as they were. Each comes with the function
    that rewrites it.
    """
    half_done = [path for kind in ("json", "yaml") for path in work.glob(f"*/*.partial/**/*.{kind}")]
    served = [path for kind in ("json", "yaml") for path in work.glob(f"serve/*.{kind}")]
    for path in sorted([*half_done, *served]):
        text = path.read_text(encoding="utf-8")
        try:
            value = _read(path, text)
        except ValueError:  # cut off by a kill: whoever wrote it writes it anew
            continue
        seen: list[tuple[str, str]] = []
        new = _deep(value, rename, seen)
        if seen:
            yield Change(str(path), len(seen), *seen[0]), partial(_write, path, new)


def _teach(connection: sqlite3.Connection, rename: Rename) -> None:
    connection.create_function("renamed", 1, lambda value: rename(value) if isinstance(value, str) else value)


def _columns(connection: sqlite3.Connection) -> list[tuple[str, str]]:
    tables = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name").fetchall()
    return [
        (table, column)
        for (table,) in tables
        for _, column, kind, *_ in connection.execute(f"PRAGMA table_info('{table}')")
        if any(sign in kind.upper() for sign in ("CHAR", "TEXT", "JSON"))
    ]


def _where(column: str, moves: dict[Path, Path]) -> tuple[str, list[str]]:
    forms = [form for old in moves for form in dict.fromkeys([str(old), old.as_uri()[7:]])]
    named = " OR ".join(f'instr("{column}", ?) > 0' for _ in forms)
    return f'({named}) AND renamed("{column}") <> "{column}"', forms


def _deep(value: Any, rename: Rename, seen: list[tuple[str, str]]) -> Any:
    if isinstance(value, dict):
        return {key: _deep(item, rename, seen) for key, item in value.items()}
    if isinstance(value, list):
        return [_deep(item, rename, seen) for item in value]
    if isinstance(value, str) and (new := rename(value)) != value:
        seen.append((value, new))
        return new
    return value


def _read(path: Path, text: str) -> Any:
    if path.suffix == ".json":
        return json.loads(text)
    from omegaconf import OmegaConf

    return OmegaConf.to_container(OmegaConf.create(text))


def _write(path: Path, value: Any) -> None:
    if path.suffix == ".json":
        write_json(path, value)
        return
    from omegaconf import OmegaConf

    write_text(path, OmegaConf.to_yaml(OmegaConf.create(value)))
