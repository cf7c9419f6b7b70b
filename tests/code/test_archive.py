"""Back-up and restore: all of it or nothing, wherever a kill falls."""

import multiprocessing
import os
import signal
import sqlite3
import sys
from pathlib import Path

import pytest

from sluice.errors import UserError
from sluice.files import folder_digest
from sluice.registry.upkeep import archive
from sluice.registry.upkeep.database import DATABASE


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A small database, artifacts, a receipt, and a stage folder that can be computed again."""
    root = tmp_path / "mlruns"
    for path in ("artifacts/demo/1/rows", "work/receipts/one.json", "work/preprocess/0123456789abcdef/rows"):
        (root / path).parent.mkdir(parents=True)
        (root / path).write_text(path)
    connection = sqlite3.connect(root / DATABASE)
    connection.execute("CREATE TABLE runs (name TEXT)")
    connection.execute("INSERT INTO runs VALUES ('first')")
    connection.commit()
    connection.close()
    return root


def names(root: Path) -> list[str]:
    return sorted(path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file())


KEPT = ["artifacts/demo/1/rows", DATABASE, "work/receipts/one.json"]


def test_what_cannot_be_computed_again_comes_back(root: Path, tmp_path: Path):
    archive.write(root, tmp_path / "x.tar")
    (tmp_path / "other").mkdir()
    archive.restore(tmp_path / "other", tmp_path / "x.tar")
    assert names(tmp_path / "other") == KEPT
    assert folder_digest(tmp_path / "other" / "artifacts") == folder_digest(root / "artifacts")
    rows = sqlite3.connect(tmp_path / "other" / DATABASE).execute("SELECT name FROM runs").fetchall()
    assert rows == [("first",)]


def test_a_database_in_the_middle_of_a_write_is_copied_as_it_was_before(root: Path, tmp_path: Path):
    writer = sqlite3.connect(root / DATABASE, isolation_level=None)
    writer.execute("BEGIN IMMEDIATE")
    writer.execute("INSERT INTO runs VALUES ('half')")
    archive.write(root, tmp_path / "x.tar")
    writer.execute("ROLLBACK")
    (tmp_path / "other").mkdir()
    archive.restore(tmp_path / "other", tmp_path / "x.tar")
    rows = sqlite3.connect(tmp_path / "other" / DATABASE).execute("SELECT name FROM runs").fetchall()
    assert rows == [("first",)]


@pytest.mark.parametrize("part", ["mlflow.db", "artifacts/demo/other", "work/receipts/other.json"])
def test_nothing_is_overwritten(root: Path, tmp_path: Path, part: str):
    archive.write(root, tmp_path / "x.tar")
    target = tmp_path / "other"
    (target / part).parent.mkdir(parents=True)
    (target / part).write_text("mine")
    with pytest.raises(UserError, match="nothing is overwritten"):
        archive.restore(target, tmp_path / "x.tar")
    assert names(target) == [part]


@pytest.mark.parametrize("content", [b"", b"no tar", None])
def test_what_is_no_archive_is_refused(root: Path, tmp_path: Path, content: bytes | None):
    archive.write(root, tmp_path / "x.tar")
    whole = (tmp_path / "x.tar").read_bytes()
    (tmp_path / "bad.tar").write_bytes(whole[: len(whole) // 3] if content is None else content)
    (tmp_path / "other").mkdir()
    with pytest.raises(UserError, match="archive="):
        archive.restore(tmp_path / "other", tmp_path / "bad.tar")
    assert names(tmp_path / "other") == []


def _dying(steps: int, work, *arguments) -> None:
    """Do the work, and die just before the `steps`-th renaming or making of a folder."""
    seen = 0

    def count(event: str, values: tuple) -> None:
        nonlocal seen
        seen += event in ("os.rename", "os.mkdir", "os.rmdir")
        if seen == steps:
            os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(count)
    work(*arguments)


def test_a_restore_killed_anywhere_is_finished_by_the_next(root: Path, tmp_path: Path):
    archive.write(root, tmp_path / "x.tar")
    steps, code = 0, -signal.SIGKILL
    while code:
        steps += 1
        target = tmp_path / f"other-{steps}"
        target.mkdir()
        child = multiprocessing.get_context("fork").Process(
            target=_dying, args=(steps, archive.restore, target, tmp_path / "x.tar")
        )
        child.start()
        child.join(30)
        code = child.exitcode
        if code:
            archive.restore(target, tmp_path / "x.tar")
        assert names(target) == KEPT
        assert not (target / archive.WHOLE).exists()
    assert steps > 8


def test_a_backup_killed_anywhere_leaves_no_archive_or_a_whole_one(root: Path, tmp_path: Path):
    steps, code = 0, -signal.SIGKILL
    while code:
        steps += 1
        target = tmp_path / f"{steps}.tar"
        child = multiprocessing.get_context("fork").Process(target=_dying, args=(steps, archive.write, root, target))
        child.start()
        child.join(30)
        code = child.exitcode
        assert target.exists() == (code == 0)
    assert steps > 1


def test_a_damaged_archive_is_refused_and_named(root: Path, tmp_path: Path):
    good = tmp_path / "x.tar"
    archive.write(root, good)
    content = good.read_bytes()
    for part in (b"artifacts/demo/1/rows", b"SQLite format 3"):
        place = content.rindex(part) if part[:1] == b"S" else content.index(part, content.index(part) + 512)
        (tmp_path / "bad.tar").write_bytes(content[:place] + b"XXXX" + content[place + 4 :])
        (tmp_path / "other").mkdir(exist_ok=True)
        with pytest.raises(UserError, match="is damaged: .* is not what was written"):
            archive.restore(tmp_path / "other", tmp_path / "bad.tar")
        assert [name for name in names(tmp_path / "other") if not name.startswith(archive.STAGED)] == []


def test_a_second_link_to_a_file_is_a_file(root: Path, tmp_path: Path):
    os.link(root / "artifacts/demo/1/rows", root / "artifacts/demo/1/again")
    archive.write(root, tmp_path / "x.tar")
    (tmp_path / "other").mkdir()
    archive.restore(tmp_path / "other", tmp_path / "x.tar")
    assert (tmp_path / "other/artifacts/demo/1/again").read_text() == "artifacts/demo/1/rows"
