"""Where a stage's output lives: a folder named by its key, written beside, renamed when whole."""

from __future__ import annotations

import ast
import fcntl
import hashlib
import importlib.metadata
import json
import os
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, TextIO

from filelock import FileLock, Timeout

from sluice.errors import UserError
from sluice.files import write_json
from sluice.part import digest

MANIFEST = "manifest.json"
PACKAGE = Path(__file__).parent


class Abandoned(Exception):  # noqa: N818 (no error, as StopIteration is none)
    """Raised by a build that nobody wants any more: its folder goes, and the run that recorded it ends as killed."""


@dataclass(frozen=True)
class Output:
    """A finished stage: its folder, what it recorded, and whether this call made it."""

    folder: Path
    key: str
    record: dict[str, Any]
    fresh: bool
    held: TextIO | None = field(default=None, repr=False, compare=False)
    """The manifest, locked against removal for as long as this object lives."""


class Workspace:
    """The folder `mlruns/work`: one folder a stage, one keyed folder in it for each distinct input."""

    def __init__(self, root: Path) -> None:
        self.root = root.absolute()
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            probe = self.root / f".probe-{os.getpid()}"
            probe.touch()
            probe.unlink()
        except OSError as error:
            raise UserError(
                f"cannot write to {self.root}: {error.strerror}. Free it or name another folder: root=/some/folder"
            ) from error

    def run(self, stage: str, key: str, build: Callable[[Path], dict[str, Any]]) -> Output:
        """Return the finished folder for `key`, building it first where there is none.

        `build(folder)` fills a folder that keeps its content across a kill, so that it can go on where it was,
        and returns a JSON record. Others that want the same key wait, then find it done.
        """
        final = self.root / stage / key[:16]
        partial = final.with_suffix(".partial")
        final.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(final.with_suffix(".lock")):
            if (final / MANIFEST).exists():
                record = json.loads((final / MANIFEST).read_text())["record"]
                os.utime(final / MANIFEST)  # the last use: `make gc` goes by it
                return Output(final, key, record, fresh=False, held=_hold(final))
            partial.mkdir(exist_ok=True)
            try:
                record = build(partial)
            except Abandoned:
                shutil.rmtree(partial)
                raise
            write_json(partial / MANIFEST, {"stage": stage, "key": key, "record": record})
            partial.rename(final)
            held = _hold(final)
        return Output(final, key, record, fresh=True, held=held)

    def forget(self, output: Output) -> None:
        """Remove a finished stage, so that it runs again."""
        shutil.rmtree(output.folder)

    @contextmanager
    def turn(self, name: str, waiting: str) -> Iterator[None]:
        """One process at a time; who has to wait says so. The system frees the turn when its holder dies."""
        with self.turn_if_free(name) as free:
            if free:
                yield
                return
        print(waiting, flush=True)
        with self._turns(name):
            yield

    @contextmanager
    def turn_if_free(self, name: str) -> Iterator[bool]:
        """The same for who does not wait: whether it is his turn."""
        lock = self._turns(name)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            yield False
            return
        try:
            yield True
        finally:
            lock.release()

    def _turns(self, name: str) -> FileLock:
        (self.root / "locks").mkdir(exist_ok=True)
        return FileLock(self.root / "locks" / f"{name}.lock")


def _hold(folder: Path) -> TextIO:
    manifest = (folder / MANIFEST).open(encoding="utf-8")
    fcntl.flock(manifest, fcntl.LOCK_SH)
    return manifest


def in_use(folder: Path) -> bool:
    """Whether any process has a finished stage's `Output` in its hands."""
    try:
        with (folder / MANIFEST).open(encoding="utf-8") as manifest:
            fcntl.flock(manifest, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except OSError:
        return True
    return False


def stage_key(*values: Any, sources: Iterable[str], libraries: Iterable[str] = ()) -> str:
    """The key of a stage: its configuration and inputs, the code it reaches, the libraries that matter."""
    versions = {name: importlib.metadata.version(name) for name in sorted(libraries)}
    return digest({"values": list(values), "source": source_digest(tuple(sorted(set(sources)))), "versions": versions})


@cache
def source_digest(modules: tuple[str, ...]) -> str:
    """SHA-256 over the files of these modules and of every sluice module that they import, however deep."""
    found: dict[str, str] = {}
    waiting = list(modules)
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        source = _source(name)
        if source is None:
            continue
        found[name] = hashlib.sha256(source).hexdigest()
        waiting += _imports(source)
    return digest(found)


@cache
def _source(name: str) -> bytes | None:
    """A module's text, found without importing anything; None for a name inside a module."""
    loaded = sys.modules.get(name)
    if loaded is not None and loaded.__file__:
        return Path(loaded.__file__).read_bytes()
    place = PACKAGE.parent.joinpath(*name.split("."))
    for path in (place.with_suffix(".py"), place / "__init__.py"):
        if path.exists():
            return path.read_bytes()
    return None


def _imports(source: bytes) -> list[str]:
    names: list[str] = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    return [name for name in names if name.split(".")[0] == "sluice"]
