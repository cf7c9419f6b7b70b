"""A team's MLflow server: the whole way through it, and what happens when it goes away."""

import json
import signal
import time

import httpx
import pytest

from sluice.registry.guard import REST_SECONDS, AwayError, Figures
from sluice.registry.runs import open_run
from sluice.registry.store import Store
from tests.e2e.conftest import House
from tests.e2e.servers import mlflow_server, postgres, s3
from tests.e2e.test_house import LONG, training, wait_for_checkpoint

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def on_sqlite(tmp_path_factory):
    folder = tmp_path_factory.mktemp("server")
    with mlflow_server(folder, f"sqlite:///{folder}/team.db", str(folder / "artifacts")) as server:
        yield server


@pytest.fixture(scope="module")
def on_postgres(tmp_path_factory):
    with (
        postgres() as database,
        s3() as environment,
        mlflow_server(tmp_path_factory.mktemp("server"), database, "s3://mlflow/team", **environment) as server,
    ):
        yield server


@pytest.fixture(scope="module", params=["on_sqlite", pytest.param("on_postgres", marks=pytest.mark.thorough)])
def team(request, house, tmp_path_factory):
    """A house whose runs and versions live on a server."""
    server = request.getfixturevalue(request.param)
    root = tmp_path_factory.mktemp("team") / "mlruns"
    return House(root, house.rows, house.forks, name=f"team-{request.param}", more={"MLFLOW_TRACKING_URI": server.url})


def test_the_whole_way_through_a_server(team):
    for version, steps in ((1, 60), (2, 1)):
        assert f"{team.name}:{version} is the challenger" in team("train", f"train.max_steps={steps}")
        told = team("promote", "gate.max_latency_ratio=null", *(["force=to have two"] if version == 2 else []))
        assert f"{('promoted', 'forced')[version - 1]}: {team.name}:{version} is the champion" in told
    assert f"{team.name}:1 is the champion" in team("rollback")
    told = team("history")
    states = [line.split()[6] for line in told.splitlines() if line.startswith("20")]
    assert states == ["done", "forced", "done"]
    assert f"champion: {team.name}:1" in told
    slot = json.loads(team("resolve").splitlines()[-1])[0]
    assert (slot["version"], slot["alias"]) == (1, "champion")
    told = team("train", "train.max_steps=60")
    assert "[register] unchanged" in told
    assert f"ok   champion   {team.name}:1, bundle" in team("doctor")
    assert "stay: its keeper removes them there" in team("gc")
    receipt = next((team.root / "work" / "receipts").glob("*-v1-promoted-*.json"))
    assert team("verify", f"receipt={receipt}").rstrip().endswith("\nverified")
    assert not (team.root / "mlflow.db").exists()
    assert not (team.root / "artifacts").exists()


def test_commands_about_the_local_database_say_that_there_is_none(team):
    for stage in ("relocate", "backup", "restore"):
        assert len(team(stage, "archive=x.tar", code=2).splitlines()) <= 2


@pytest.mark.parametrize("away", [signal.SIGKILL, signal.SIGSTOP], ids=["killed", "silent"])
def test_a_training_whose_server_goes_away_ends_and_goes_on(house, tmp_path, on_sqlite, away):
    more = {"MLFLOW_TRACKING_URI": on_sqlite.url, "MLFLOW_HTTP_REQUEST_TIMEOUT": "4"}
    own = House(tmp_path / "mlruns", house.rows, house.forks, f"away-{away.value}", more)
    with training(own, *LONG) as process:
        wait_for_checkpoint(own, process)
        on_sqlite.signal(away)
        gone = time.monotonic()
        try:
            _, told = process.communicate(timeout=120)
        finally:
            if away == signal.SIGKILL:
                on_sqlite.process.wait()
                on_sqlite.start()
            else:
                on_sqlite.signal(signal.SIGCONT)
    assert time.monotonic() - gone < 90
    assert process.returncode == 2, told
    assert "Traceback" not in told
    assert f"error: the MLflow server at {on_sqlite.url} has not answered since " in told
    assert told.count("the same command goes on from here") == 1
    assert not list(own.root.glob("work/finetune/*/manifest.json"))
    own("train", *LONG)
    (manifest,) = own.root.glob("work/finetune/*/manifest.json")
    assert json.loads(manifest.read_text())["record"]["resumed_from"]
    runs = runs_of(on_sqlite, own.name)
    assert sorted(run["info"]["run_name"].split("-")[0] for run in runs) == [
        "encoder",
        "evaluate",
        "finetune",
        "preprocess",
        "register",
    ]
    assert {run["info"]["status"] for run in runs} == {"FINISHED"}


def test_figures_outlast_a_short_absence(tmp_path, on_sqlite):
    store = Store(tmp_path / "mlruns", on_sqlite.url)
    with open_run(store, "shortly", "loop", "loop") as run:
        figures, hasty = Figures(run), Figures(run, patience_seconds=0)
        figures({"train/loss": 3.0}, 1)
        on_sqlite.stop(signal.SIGKILL)
        figures({"train/loss": 2.0}, 2)
        with pytest.raises(AwayError, match=f"{on_sqlite.url} has not answered since"):
            hasty({"train/loss": 9.0}, 9)
        with pytest.raises(AwayError):
            figures.send()
        on_sqlite.start()
        time.sleep(REST_SECONDS)
        figures({"train/loss": 1.0}, 3)
        found = store.client.get_metric_history(run.id, "train/loss")
        assert [(metric.step, metric.value) for metric in found] == [(1, 3.0), (2, 2.0), (3, 1.0)]


def runs_of(server, experiment):
    api = f"{server.url}/api/2.0/mlflow"
    found = httpx.get(f"{api}/experiments/get-by-name", params={"experiment_name": experiment}).json()
    answer = httpx.post(f"{api}/runs/search", json={"experiment_ids": [found["experiment"]["experiment_id"]]})
    return answer.json()["runs"]
