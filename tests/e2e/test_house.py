"""The house itself: moved, cleaned, backed up, restored, examined, and on a disk that is full. In this order."""

import json
import os
import shutil
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.code.test_retention import age
from tests.conftest import REPOSITORY
from tests.e2e.conftest import House

pytestmark = pytest.mark.slow
LONG = ["train.max_steps=400", "train.evaluations=20"]
EAGER = ["retention.keep_versions=0", "retention.keep_days=0", "retention.leftover_days=0"]


@pytest.fixture(scope="module")
def moved(house, tmp_path_factory):
    """A copy of the house with two decisions, relocated once, then moved: its old place is gone."""
    folder = tmp_path_factory.mktemp("moved")
    first = House(folder / "first" / "mlruns", house.rows, house.forks)
    shutil.copytree(house.root, first.root)
    first("relocate")
    first("promote", "version=1")
    first("promote", "version=2", "force=to have two", "gate.max_latency_ratio=null")
    (folder / "first").rename(folder / "second place")
    return House(folder / "second place" / "mlruns", house.rows, house.forks)


@pytest.mark.parametrize("stage", ["train", "promote", "rollback", "history", "resolve", "backup"])
def test_a_moved_house_says_what_to_do(moved, stage, tmp_path):
    told = moved(stage, f"archive={tmp_path}/x.tar", code=2)
    assert "was moved or copied" in told
    assert "make relocate" in told
    assert len(told.splitlines()) <= 2


def test_a_relocated_house_works_as_before(moved):
    before = (moved.root / "mlflow.db").read_bytes()
    planned = moved("relocate", "dry_run=true")
    assert "values would change" in planned
    assert (moved.root / "mlflow.db").read_bytes() == before
    told = moved("relocate")
    assert "the database as it was: " in told
    assert planned.splitlines()[:-1] == [line for line in told.splitlines()[:-1] if "as it was" not in line]
    assert moved("relocate") == "nothing to relocate\n"
    states = [line.split()[6] for line in moved("history").splitlines() if line.startswith("20")]
    assert states == ["done", "forced"]
    told = moved("train", "train.max_steps=60")
    assert told.count("unchanged: ") == 4
    assert "demo:1 was registered before; the challenger is demo:2" in told
    folder = json.loads(moved("resolve").splitlines()[-1])[0]["folder"]
    assert folder.startswith(str(moved.root))
    for path in (moved.root / "work" / "receipts").glob("*-v1-promoted-*.json"):
        assert moved("verify", f"receipt={path}").endswith("\nverified\n")
    moved("promote", "version=1", "force=there and back")


def test_a_clean_up_keeps_what_decisions_rest_on(moved):
    for steps in (2, 3):
        moved("train", f"train.max_steps={steps}")
    age(moved.root / "work", 40)
    planned = moved("gc", "dry_run=true", *EAGER)
    assert "demo:3 " in planned
    assert moved("gc", "dry_run=true", *EAGER).splitlines()[:-3] == planned.splitlines()[:-3]
    told = moved("gc", *EAGER)
    assert "MiB freed" in told
    assert "version 3" in moved("promote", "version=3", code=2)
    again = moved("train", "train.max_steps=3")
    assert [stage for stage in ("preprocess", "finetune", "evaluate") if f"[{stage}] done" in again] == []
    for path in (moved.root / "work" / "receipts").glob("*.json"):
        assert moved("verify", f"receipt={path}").endswith("\nverified\n")
    assert "demo:2 is the champion, demo:1 is not" in moved("rollback")
    again = moved("train", "train.max_steps=2")
    assert "demo:5 is the challenger" in again
    assert "[finetune] done" in again


@pytest.mark.thorough
def test_a_clean_up_and_a_backup_beside_a_training_harm_neither(moved, tmp_path):
    moved("relocate")  # where only thorough tests run, nobody has
    with training(moved, *LONG) as process:
        wait_for_checkpoint(moved, process)
        age(moved.root / "work", 40)
        moved("gc", *EAGER)
        assert "x.tar: " in moved("backup", f"archive={tmp_path}/x.tar")
        out, told = process.communicate(timeout=200)
    assert process.returncode == 0, told
    assert "is the challenger" in out
    restored = House(tmp_path / "restored" / "mlruns", moved.rows, moved.forks)
    assert "restored" in restored("restore", f"archive={tmp_path}/x.tar")
    now, then = (set(house("history").splitlines()) for house in (moved, restored))
    assert all(line.startswith("challenger: ") for line in now ^ then)
    slot = json.loads(restored("resolve").splitlines()[-1])[0]
    assert slot["folder"].startswith(str(restored.root))
    for path in (restored.root / "work" / "receipts").glob("*-v1-promoted-*.json"):
        assert restored("verify", f"receipt={path}").endswith("\nverified\n")
    assert "nothing is overwritten" in restored("restore", f"archive={tmp_path}/x.tar", code=2)
    assert "nothing is overwritten" in restored("backup", f"archive={tmp_path}/x.tar", code=2)
    (tmp_path / "cut.tar").write_bytes((tmp_path / "x.tar").read_bytes()[:5000])
    empty = House(tmp_path / "empty" / "mlruns", moved.rows, moved.forks)
    assert "cut.tar" in empty("restore", f"archive={tmp_path}/cut.tar", code=2)
    assert "restored" in empty("restore", f"archive={tmp_path}/x.tar")


@pytest.mark.thorough
def test_clean_ups_killed_anywhere_leave_every_version_whole(house, tmp_path):
    (bundle, *_) = sorted(house.root.glob("work/finetune/*/bundle"))
    (test, *_) = sorted(house.root.glob("work/evaluate/*/test"))
    command = [sys.executable, "-m", "tests.e2e.collecting", str(tmp_path / "mlruns"), str(bundle), str(test), "7"]
    done = subprocess.run(
        command, cwd=REPOSITORY, env=house.environment, capture_output=True, text=True, timeout=280, check=False
    )
    assert done.returncode == 0, done.stderr
    *rounds, last = [json.loads(line) for line in done.stdout.splitlines()]
    assert {one["code"] for one in rounds} == {0, -9}
    assert not any("Traceback" in one["told"] for one in rounds)
    assert last["told"] == "nothing to remove\n"
    assert last["models"] == len(last["left"]) <= len(last["wanted"]) + 1
    assert len(last["left"]) < 14


def test_the_doctor_names_what_is_wrong_and_what_to_do(moved, tmp_path):
    assert "ok   champion   demo:" in moved("doctor")
    root = House(tmp_path / "mlruns", moved.rows, moved.forks)
    assert "none yet" in root("doctor")
    shutil.copytree(moved.root, root.root, dirs_exist_ok=True)
    told = root("doctor", code=1)
    assert "fail paths" in told
    assert "-> make relocate" in told
    (root.root / "mlflow.db").write_bytes(b"broken" * 1000)
    told = root("doctor", code=1)
    assert "fail database" in told
    assert "make restore" in told
    assert "fail MLflow" in root("doctor", "tracking_uri=http://127.0.0.1:9", code=1)


def test_the_doctor_says_that_the_database_is_held(moved):
    import sqlite3

    holder = sqlite3.connect(moved.root / "mlflow.db", isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")
    told = moved("doctor", code=1)
    holder.close()
    assert "database is locked" in told
    assert "Another process holds it" in told


@pytest.fixture
def small_disk(tmp_path):
    """A disk of 16 MiB."""
    if os.getuid() != 0:
        assert "CI" not in os.environ, "CI runs as root"
        pytest.skip("only root can mount a small disk")
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", str(disk)], check=True)
    yield disk
    subprocess.run(["umount", "-l", str(disk)], check=True)


def leave(disk: Path, size: int) -> None:
    """Fill a disk up to so many bytes."""
    filler = disk / "filler"
    filler.unlink(missing_ok=True)
    filler.write_bytes(b"x" * (shutil.disk_usage(disk).free - size))


def test_a_full_disk_is_two_lines_at_every_stage_and_nothing_is_lost(house, small_disk):
    own = House(small_disk / "mlruns", house.rows, house.forks)
    for size in (100_000, 1_500_000):
        leave(small_disk, size)
        told = own("train", *LONG, code=2)
        assert_full(told)
        assert not list(own.root.glob("work/finetune/*/manifest.json"))
    assert "fail disk" in own("doctor", code=1)
    age(own.root / "work", 40)
    leave(small_disk, 0)
    command = [sys.executable, "-m", "pipelines.gc", *own.choices]
    done = subprocess.run(command, cwd=REPOSITORY, env=own.environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "MiB freed" in done.stdout
    (small_disk / "filler").unlink()
    with training(own, *LONG) as process:
        wait_for_checkpoint(own, process)
        leave(small_disk, 50_000)
        _, told = process.communicate(timeout=200)
    assert process.returncode == 2, told
    assert "Traceback" not in told
    assert_full(told[told.index("error: ") :])
    (small_disk / "filler").unlink()
    own("train", *LONG)
    (manifest,) = own.root.glob("work/finetune/*/manifest.json")
    assert json.loads(manifest.read_text())["record"]["resumed_from"]
    leave(small_disk, 20_000)
    assert_full(own("promote", code=2))
    (small_disk / "filler").unlink()
    assert "promoted: demo:1" in own("promote")


def assert_full(told: str) -> None:
    lines = [line for line in told[told.index("error: ") :].replace("\r", "\n").splitlines() if line.strip()]
    assert "no space left on the disk" in lines[0]
    assert "MiB are free for /" in lines[0]
    assert "the same command goes on from here" in lines[1]


@contextmanager
def training(house: House, *arguments: str):
    """A training as a process of its own that can be watched."""
    command = [sys.executable, "-m", "pipelines.train", *house.choices, *arguments]
    process = subprocess.Popen(
        command, cwd=REPOSITORY, env=house.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def wait_for_checkpoint(house: House, process: subprocess.Popen) -> None:
    deadline = time.monotonic() + 120
    while not list(house.root.glob("work/finetune/*/checkpoints/checkpoint-*/trainer_state.json")):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.05)
