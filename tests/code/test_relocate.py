"""A moved or copied root: what names the old place is found, rewritten in one step, and nothing else is."""

import json
import multiprocessing
import shutil
import sqlite3
import time
from pathlib import Path

import pytest
import yaml

from pipelines.relocate import move
from sluice.errors import UserError
from sluice.registry.store import Store
from sluice.registry.upkeep import database
from sluice.registry.upkeep.database import DATABASE, KEPT
from sluice.registry.upkeep.relocate import renamer

OLD, NEW = Path("/a b/mlruns"), Path("/new/mlruns")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("/a b/mlruns", "/new/mlruns"),
        ("/a b/mlruns/work", "/new/mlruns/work"),
        ("file:///a%20b/mlruns/artifacts/demo", "file:///new/mlruns/artifacts/demo"),
        ('{"uri": "/a b/mlruns/x", "n": 1}', '{"uri": "/new/mlruns/x", "n": 1}'),
        ("sqlite:////a b/mlruns/mlflow.db", "sqlite:////new/mlruns/mlflow.db"),
        ("/a b/mlruns2/work", "/a b/mlruns2/work"),
        ("/data/a b/mlruns/work", "/data/a b/mlruns/work"),
        ("s3://bucket/a b/mlruns", "s3://bucket/a b/mlruns"),
    ],
)
def test_only_whole_folders_at_the_start_of_a_path_are_renamed(before: str, after: str):
    assert renamer({OLD: NEW})(before) == after


def test_a_move_into_a_folder_below_is_done_once():
    below = Path("/a b/mlruns/deeper")
    assert renamer({OLD: below})("/a b/mlruns/work") == "/a b/mlruns/deeper/work"


def _fill(root: Path) -> str:
    """A store with a run, its artifact, and what a killed training and a promotion leave. Returns the run's id."""
    store = Store(root, None)
    run_id = store.client.create_run(store.experiment("demo")).info.run_id
    store.client.log_text(run_id, "here", "text.txt")
    state = root / "work/finetune/0123456789abcdef.partial/checkpoints/checkpoint-1/trainer_state.json"
    state.parent.mkdir(parents=True)
    state.write_text(json.dumps({"best_model_checkpoint": str(state.parent), "step": 1}))
    (root / "work/serve").mkdir()
    (root / "work/serve/config.yaml").write_text(f"root: {root}\nname: demo\nrate: 7.0e-4\n")
    return run_id


def _in_fork(work, *arguments) -> int:
    """MLflow keeps connections for the life of a process: each use gets a process of its own."""
    process = multiprocessing.get_context("fork").Process(target=work, args=arguments)
    process.start()
    process.join(60)
    return process.exitcode


def _read(root: Path, run_id: str) -> None:
    store = Store(root, None)
    from sluice.registry.versions import run_file

    found = run_file(store, run_id, "text.txt")
    assert found.read_text() == "here"
    assert found.is_relative_to(root)


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    folder = tmp_path_factory.mktemp("filled")
    queue = multiprocessing.get_context("fork").Queue()
    assert _in_fork(lambda: queue.put(_fill(folder / "mlruns"))) == 0
    return folder, queue.get(timeout=10)


@pytest.fixture
def moved(filled: tuple[Path, str], tmp_path: Path) -> tuple[Path, str]:
    """A copy of the filled root in a place of its own."""
    folder, run_id = filled
    shutil.copytree(folder, tmp_path / "über da")
    return tmp_path / "über da" / "mlruns", run_id


def test_a_copied_root_is_refused_then_relocated(moved: tuple[Path, str], filled: tuple[Path, str], capsys):
    root, run_id = moved
    with pytest.raises(UserError, match=r"was moved or copied(.|\n)*make relocate"):
        Store(root, None)
    before = (root / DATABASE).read_bytes()
    planned = move(root, dry_run=True)
    assert (root / DATABASE).read_bytes() == before
    assert {change.place for change in planned} >= {
        "experiments.artifact_location",
        "runs.artifact_uri",
        str(root / "work/serve/config.yaml"),
    }
    assert move(root) == planned
    assert "the database as it was" in capsys.readouterr().out
    (kept,) = root.glob(f"{DATABASE}{KEPT}*")
    assert sqlite3.connect(kept).execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert move(root) == []
    assert _in_fork(_read, root, run_id) == 0
    (state,) = root.glob("work/finetune/*/checkpoints/checkpoint-1/trainer_state.json")
    assert json.loads(state.read_text()) == {"best_model_checkpoint": str(state.parent), "step": 1}
    served = yaml.safe_load((root / "work/serve/config.yaml").read_text())
    assert served == {"root": str(root), "name": "demo", "rate": 0.0007}
    left = [path for path in root.rglob("*") if path.is_file() and KEPT not in path.name]
    assert not [path for path in left if str(filled[0]).encode() in path.read_bytes() and path.name != DATABASE]


def test_the_old_root_can_be_given(moved: tuple[Path, str], filled: tuple[Path, str]):
    root, _ = moved
    assert move(root, Path("/never/there")) == []
    assert move(root, filled[0] / "mlruns")


def test_a_relocation_killed_anywhere_is_finished_by_the_next(filled: tuple[Path, str], tmp_path: Path):
    folder, run_id = filled
    killed = 0
    for trial in range(12):
        root = tmp_path / str(trial) / "mlruns"
        shutil.copytree(folder / "mlruns", root)
        process = multiprocessing.get_context("fork").Process(target=move, args=(root,))
        process.start()
        time.sleep(0.002 * trial)
        process.kill()
        process.join()
        killed += process.exitcode != 0
        with database.opened(root / DATABASE) as connection:
            unfinished = bool(database.elsewhere(connection, root))
        assert bool(move(root)) == unfinished
        assert _in_fork(_read, root, run_id) == 0
        assert json.loads(next(root.glob("work/**/trainer_state.json")).read_text())["step"] == 1
    assert killed


def test_a_root_behind_a_link_has_not_moved(filled: tuple[Path, str], tmp_path: Path):
    (tmp_path / "link").symlink_to(filled[0])
    with database.opened(tmp_path / "link" / "mlruns" / DATABASE) as connection:
        assert database.elsewhere(connection, tmp_path / "link" / "mlruns") == []


def test_a_held_or_broken_database_is_two_lines(filled: tuple[Path, str], tmp_path: Path):
    path = tmp_path / DATABASE
    shutil.copy(filled[0] / "mlruns" / DATABASE, path)
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")
    with pytest.raises(UserError, match="locked\nAnother process holds it"), database.opened(path, 0.05) as connection:
        database.roots(connection)
    holder.close()
    path.write_bytes(b"something else" * 100)
    with pytest.raises(UserError, match="not a database\nIt is damaged"), database.opened(path) as connection:
        database.roots(connection)
    path.unlink()
    with pytest.raises(UserError, match="unable to open"), database.opened(path) as connection:
        database.roots(connection)
