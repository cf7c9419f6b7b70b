"""Files written in one step, folders linked, contents hashed."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from sluice.part import digest


def write_json(path: Path, value: Any) -> None:
    """Write JSON so that a reader sees the old file or the new one, never a part of it."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False, sort_keys=True) + "\n")


def write_text(path: Path, text: str) -> None:
    """Write a text file in one step: a temporary file beside it, flushed to disk, then renamed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    with temporary.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def link_tree(source: Path, target: Path) -> None:
    """Copy a folder's files by hard link where the file system can, else by content."""

    def link(one: str, other: str) -> None:
        Path(other).unlink(missing_ok=True)
        try:
            os.link(one, other)
        except OSError:
            shutil.copy2(one, other)

    shutil.copytree(source, target, copy_function=link, dirs_exist_ok=True)


def folder_digest(folder: Path, leave_out: Iterable[str] = ()) -> str:
    """SHA-256 over the relative names and contents of all files in a folder."""
    skip = set(leave_out)
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name not in skip)
    return digest({path.relative_to(folder).as_posix(): file_digest(path) for path in files})


def file_digest(path: Path) -> str:
    """SHA-256 (hex) of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
