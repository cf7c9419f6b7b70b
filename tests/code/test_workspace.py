"""Stage folders: whole or not there, one builder at a time, keyed by everything that decides their content."""

import multiprocessing
import os
import signal
import time
from pathlib import Path

import pytest

from sluice.errors import UserError
from sluice.files import folder_digest, link_tree, write_json
from sluice.workspace import Workspace, source_digest, stage_key


def test_a_finished_stage_is_not_built_again(tmp_path: Path):
    workspace, built = Workspace(tmp_path), []

    def build(folder: Path) -> dict:
        built.append(folder)
        (folder / "made").write_text("x")
        return {"value": 1}

    first, again = workspace.run("stage", "k" * 64, build), workspace.run("stage", "k" * 64, build)
    assert (first.fresh, again.fresh, len(built)) == (True, False, 1)
    assert again.record == {"value": 1}
    assert (again.folder / "made").read_text() == "x"


def _slow(folder: Path) -> dict:
    with (folder / "starts").open("a") as file:
        file.write("x")
    time.sleep(0.3)
    return {"starts": len((folder / "starts").read_text())}


def _run(root: Path) -> None:
    Workspace(root).run("stage", "a" * 64, _slow)


def test_two_that_want_the_same_build_it_once(tmp_path: Path):
    workers = [multiprocessing.get_context("fork").Process(target=_run, args=(tmp_path,)) for _ in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(20)
    assert Workspace(tmp_path).run("stage", "a" * 64, _slow).record == {"starts": 1}


def test_a_killed_build_leaves_nothing_finished_and_goes_on(tmp_path: Path):
    worker = multiprocessing.get_context("fork").Process(target=_run, args=(tmp_path,))
    worker.start()
    while not [path for path in tmp_path.glob("stage/*.partial/starts") if path.stat().st_size]:
        time.sleep(0.01)
    os.kill(worker.pid, signal.SIGKILL)
    worker.join(10)
    assert not list(tmp_path.glob("stage/*/manifest.json"))
    assert Workspace(tmp_path).run("stage", "a" * 64, _slow).record == {"starts": 2}


def test_an_error_leaves_nothing_finished(tmp_path: Path):
    def fail(folder: Path) -> dict:
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        Workspace(tmp_path).run("stage", "b" * 64, fail)
    assert Workspace(tmp_path).run("stage", "b" * 64, lambda folder: {}).fresh


def test_an_unwritable_root_is_one_clear_line(tmp_path: Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot write to .*root="):
        Workspace(tmp_path / "file")


def test_keys_follow_values_and_code(tmp_path: Path):
    one = stage_key("a", sources=["sluice.gate"])
    assert one == stage_key("a", sources=["sluice.gate"])
    assert one != stage_key("b", sources=["sluice.gate"])
    assert one != stage_key("a", sources=["sluice.files"])
    assert one != stage_key("a", sources=["sluice.gate"], libraries=["numpy"])


def test_the_source_digest_reaches_what_a_module_imports_but_not_what_imports_it():
    from sluice import workspace

    def reached(module: str) -> set[str]:
        seen, waiting = set(), [module]
        while waiting:
            name = waiting.pop()
            source = workspace._source(name)
            if source is not None and name not in seen:
                seen.add(name)
                waiting += workspace._imports(source)
        return seen

    assert "sluice.part" in reached("sluice.gate")
    assert "sluice.gate" not in reached("sluice.part")
    assert source_digest(("sluice.gate",)) != source_digest(("sluice.part",))


def test_a_linked_folder_is_equal_and_its_rewrites_stay_apart(tmp_path: Path):
    write_json(tmp_path / "one" / "value.json", {"a": 1})
    before = folder_digest(tmp_path / "one")
    for _ in range(2):
        link_tree(tmp_path / "one", tmp_path / "two")
    assert folder_digest(tmp_path / "two") == before
    write_json(tmp_path / "two" / "value.json", {"a": 2})
    assert folder_digest(tmp_path / "one") == before != folder_digest(tmp_path / "two")
