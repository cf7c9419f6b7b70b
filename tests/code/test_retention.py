"""What `make gc` takes from the work folder, and what it leaves because somebody is at it."""

import json
import multiprocessing
import os
import time
from pathlib import Path

import pytest
from filelock import FileLock

from sluice.errors import UserError
from sluice.registry.upkeep.folders import at_work, plan
from sluice.registry.upkeep.old_versions import receipts
from sluice.registry.upkeep.retention import DAY, GONE, Item, Retention, discard
from sluice.workspace import Workspace, in_use

EAGER = Retention(keep_versions=0, keep_days=0, leftover_days=0)


def age(folder: Path, days: float) -> None:
    """Make everything in a folder look as if it was last touched so many days ago."""
    then = time.time() - days * DAY
    for path in [folder, *folder.rglob("*")]:
        os.utime(path, (then, then))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """One finished stage, one that was cut off, a lock of nothing, two of Hydra's records."""
    workspace = Workspace(tmp_path / "work")

    def build(folder: Path) -> dict:
        (folder / "rows").write_text("x" * 1000)
        return {}

    workspace.run("preprocess", "a" * 64, build)
    with pytest.raises(ValueError, match="cut"):
        workspace.run("finetune", "b" * 64, lambda folder: (build(folder), int("cut")))
    (tmp_path / "work/finetune" / f"{'c' * 16}.lock").touch()
    (tmp_path / "work/hydra/2020-01-01/00-00-00").mkdir(parents=True)
    (tmp_path / "work/hydra/2020-01-02/00-00-00").mkdir(parents=True)
    (tmp_path / "work/receipts").mkdir()
    (tmp_path / "work/receipts/old.json").write_text("{}")
    return tmp_path


def names(items: list[Item]) -> list[str]:
    return [f"{item.kind} {Path(item.what).name}" for item in items]


def test_what_is_recent_stays_whatever_the_settings_say(root: Path):
    assert names(plan(root, EAGER, set())) == [f"lock {'c' * 16}.lock"]


def test_copies_of_bundles_that_no_service_names_go(root: Path):
    serve = root / "work/serve"
    for name in ("named", "fallback", "left"):
        (serve / "bundles" / name).mkdir(parents=True)
    (serve / "demo.json").write_text(json.dumps([{"folder": str(serve / "bundles/named")}]))
    (serve / "demo.good.json").write_text(json.dumps([{"folder": str(serve / "bundles/fallback")}]))
    (serve / "demo.state.json").write_text(json.dumps({"asked": 0, "complaint": None}))
    assert not [item for item in plan(root, EAGER, set()) if item.kind == "served copy"]
    age(serve, 40)
    (item,) = [item for item in plan(root, Retention(), set()) if item.kind == "served copy"]
    assert item.remove()
    assert sorted(path.name for path in (serve / "bundles").iterdir()) == ["fallback", "named"]


def test_what_is_old_goes_and_receipts_stay(root: Path):
    age(root, 40)
    items = plan(root, Retention(), set())
    assert names(items) == [
        f"leftover {'b' * 16}.partial",
        f"lock {'c' * 16}.lock",
        f"stage folder {'a' * 16}",
        "record 00-00-00",
        "record 00-00-00",
    ]
    assert [item.size >= 1000 for item in items] == [True, False, True, False, False]
    assert all(item.remove() for item in items)
    left = sorted(path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file())
    assert left == ["work/receipts/old.json"]
    assert plan(root, Retention(), set()) == []


@pytest.mark.parametrize(("days", "goes"), [(29, False), (31, True)])
def test_days_count_from_the_last_use(root: Path, days: float, goes: bool):
    age(root, days)
    assert (f"stage folder {'a' * 16}" in names(plan(root, Retention(), set()))) == goes
    Workspace(root / "work").run("preprocess", "a" * 64, lambda folder: {})
    assert f"stage folder {'a' * 16}" not in names(plan(root, Retention(), set()))


def test_stages_of_a_version_with_an_alias_stay(root: Path):
    age(root, 400)
    assert f"stage folder {'a' * 16}" not in names(plan(root, Retention(), {"a" * 64}))


def test_an_output_in_somebody_s_hands_stays(root: Path):
    output = Workspace(root / "work").run("preprocess", "a" * 64, lambda folder: {})
    age(root, 40)
    (item,) = [one for one in plan(root, EAGER, set()) if one.kind == "stage folder"]
    assert at_work(root / "work")
    assert not item.remove()
    assert (output.folder / "rows").exists()
    del output
    assert not at_work(root / "work")
    assert item.remove()


def test_a_stage_that_is_being_built_stays(root: Path):
    age(root, 40)
    items = plan(root, EAGER, set())
    with FileLock(root / "work/finetune" / f"{'b' * 16}.lock"):
        (item,) = [one for one in items if one.kind == "leftover"]
        assert at_work(root / "work")
        assert not item.remove()
        assert Path(item.what).exists()
    assert item.remove()


def _collect(root: Path) -> None:
    for item in plan(root, EAGER, set()):
        item.remove()


def test_a_removal_killed_anywhere_leaves_no_half_stage(tmp_path: Path):
    workspace = Workspace(tmp_path / "work")

    def build(folder: Path) -> dict:
        for number in range(200):
            (folder / f"{number}").touch()
        return {}

    for trial in range(10):
        for letter in "0123456789":
            workspace.run("evaluate", letter * 64, build)
        age(tmp_path, 40)
        process = multiprocessing.get_context("fork").Process(target=_collect, args=(tmp_path,))
        process.start()
        time.sleep(0.004 * trial)
        process.kill()
        process.join()
        for folder in (tmp_path / "work/evaluate").iterdir():
            if folder.is_dir() and not folder.name.startswith(GONE):
                assert len(list(folder.iterdir())) == 201
    age(tmp_path, 40)
    _collect(tmp_path)
    assert list((tmp_path / "work/evaluate").iterdir()) == []


def test_a_folder_is_out_of_sight_before_its_files_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "folder").mkdir()
    seen = []
    monkeypatch.setattr("shutil.rmtree", lambda path: seen.append(path.name))
    discard(tmp_path / "folder")
    assert seen[0].startswith(f"{GONE}folder")
    assert not (tmp_path / "folder").exists()


def test_a_folder_without_a_manifest_is_in_nobody_s_use(tmp_path: Path):
    assert not in_use(tmp_path)


def test_a_receipt_that_cannot_be_read_stops_the_clean_up(tmp_path: Path):
    (tmp_path / "one.json").write_text('{"name": "demo", "challenger": {"version": 3}, "champion": {"version": 2}}')
    (tmp_path / "two.json").write_text('{"name": "demo", "challenger": {"version": 4}, "champion": null}')
    assert receipts(tmp_path) == {"demo": {2, 3, 4}}
    (tmp_path / "three.json").write_text("{")
    with pytest.raises(UserError, match=r"three\.json cannot be read"):
        receipts(tmp_path)
