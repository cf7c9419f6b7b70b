"""Versions in flight: aliases move while callers ask, and the registry goes away and comes back."""

import itertools
import json
import shutil
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass

import httpx
import pytest

from pipelines.shared import watch
from pipelines.shared.flight import stop
from sluice.config import load_file, to_yaml
from sluice.files import folder_digest
from sluice.inference.predictor import Texts
from sluice.registry.runs import Run
from sluice.registry.store import Store
from sluice.registry.versions import CHAMPION, fetch, find, move_alias, register
from sluice.workspace import Workspace
from tests.e2e.servers import mlflow_server
from tests.e2e.test_way import serving

pytestmark = pytest.mark.slow
MOVES = 50
BOUNDS = ("share=0.5", "min_answers=30", "window_s=30", "max_slower=4")
SETTINGS = ("serve.workers=2", "serve.poll_s=0.2", *(f"serve.canary.{one}" for one in BOUNDS))


@dataclass(frozen=True)
class Answered:
    """What a caller got."""

    begun: float
    ended: float
    status: int
    version: str


@contextmanager
def callers(url, count=4):
    """Callers who never pause; what they were answered."""
    answers, ended, numbers = [], threading.Event(), itertools.count()

    def call():
        with httpx.Client(base_url=url, timeout=30) as client:
            while not ended.is_set():
                begun = time.monotonic()
                texts = [f"the iron gate of {next(numbers)}", "the apple"]  # a repeat alone would not be computed
                answer = client.post("/v1/classify", json={"input": texts})
                version = answer.headers.get("X-Model-Version", "")
                answers.append(Answered(begun, time.monotonic(), answer.status_code, version))

    threads = [threading.Thread(target=call) for _ in range(count)]
    for thread in threads:
        thread.start()
    try:
        yield answers
    finally:
        ended.set()
        for thread in threads:
            thread.join()


def ready(client):
    """What a worker says of itself; on a new connection each time, so that every worker is asked."""
    return httpx.get(f"{client.base_url}/readyz", timeout=30).json()


def until(what, seconds=40):
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def answers_everywhere(client, version):
    return all(ready(client)["models"] == [version] for _ in range(8))


@pytest.fixture(scope="module")
def flying(house):
    """A house whose service asks its registry often; demo:1 is the champion."""
    house("promote", "version=1", *SETTINGS)
    return house


def configuration(house):
    return {"SLUICE_CONFIG": str(house.root / "work" / "serve" / "config.yaml")}


def test_fifty_moves_of_the_alias_lose_no_request(flying):
    store = Store(flying.root, None)
    with serving(flying, configuration(flying), "serving.service:Sluice") as client:
        until(lambda: answers_everywhere(client, "demo:1"))
        moves = [("demo:1", 0.0, 0.0)]
        with callers(str(client.base_url)) as answers:
            for move in range(MOVES):
                number, moved = 2 - move % 2, time.monotonic()
                move_alias(store, "demo", CHAMPION, number)
                until(lambda wanted=f"demo:{number}": answers_everywhere(client, wanted))
                moves.append((f"demo:{number}", moved, time.monotonic()))
        assert {answer.status for answer in answers} == {200}
        assert len(answers) > 10 * MOVES
        # A version may answer from the move of its alias until all workers have the one after it.
        ends = [seen for _, _, seen in moves[1:]] + [time.monotonic()]
        spans = [(version, moved, end) for (version, moved, _), end in zip(moves, ends, strict=True)]
        for answer in answers:
            assert any(
                version == answer.version and moved <= answer.ended and answer.begun <= end
                for version, moved, end in spans
            )
        move_alias(store, "demo", CHAMPION, 1)


def test_the_registry_goes_away_and_comes_back(flying, tmp_path):
    with mlflow_server(
        tmp_path / "server", f"sqlite:///{flying.root / 'mlflow.db'}", str(tmp_path / "artifacts")
    ) as registry:
        config = load_file(flying.root / "work" / "serve" / "config.yaml")
        file = tmp_path / "config.yaml"
        file.write_text(to_yaml(config.model_copy(update={"tracking_uri": registry.url})))
        environment = {"SLUICE_CONFIG": str(file)}
        with serving(flying, environment, "serving.service:Sluice") as client:
            assert ready(client)["registry"]["answers"]
            registry.stop()
            until(lambda: not ready(client)["registry"]["answers"])
            assert "MLflow server" in ready(client)["registry"]["complaint"]
            assert client.post("/v1/classify", json={"input": "iron"}).headers["X-Model-Version"] == "demo:1"
        with serving(flying, environment, "serving.service:Sluice") as client:
            assert ready(client)["models"] == ["demo:1"]
            assert not ready(client)["registry"]["answers"]
            registry.start()
            move_alias(Store(flying.root, registry.url), "demo", CHAMPION, 2)
            until(lambda: answers_everywhere(client, "demo:2"))
            assert ready(client)["registry"]["answers"]
            move_alias(Store(flying.root, registry.url), "demo", CHAMPION, 1)
            until(lambda: answers_everywhere(client, "demo:1"))


def test_callers_of_our_own_print_what_they_got(flying):
    assert "no service answers at http://127.0.0.1:9" in flying("load", "load.url=http://127.0.0.1:9", code=2)
    with serving(flying, configuration(flying), "serving.service:Sluice") as client:
        told = flying("load", f"load.url={client.base_url}", "load.seconds=2", "load.callers=4", "load.repeats=0.5")
    head, row = told.splitlines()[-2:]
    assert head.split("  ")[0] == "requests/s"
    assert "HTTP Request" not in told
    assert int(row.split()[0]) > 10
    assert "200 x " in row
    assert 25 < int(row.split()[5].rstrip("%")) < 60
    assert "demo:1 x " in row


def test_what_is_followed_is_written_in_one_piece(flying):
    """The file is read by workers at any time: as JSON, and with a folder that holds the bundle."""
    (slot,) = json.loads((flying.root / "work" / "serve" / "demo.json").read_text())
    assert slot["alias"] == "champion"


def stopped(house):
    """Why canaries were stopped, as the history tells it."""
    lines = house("history").splitlines()
    return [lines[at + 1].strip() for at, line in enumerate(lines) if "  stop  " in line]


def test_a_shadow_promotion_and_rollback_under_load_lose_no_request(flying):
    with (
        serving(flying, configuration(flying), "serving.service:Sluice") as client,
        callers(str(client.base_url)) as given,
    ):
        flying("shadow", "version=2")
        until(lambda: all(ready(client)["models"] == ["demo:1", "demo:2"] for _ in range(8)))
        until(lambda: figures(client)["demo:2"].compared > 50)
        flying("promote", "version=2", *SETTINGS, "gate.max_latency_ratio=null", "force=under load")
        until(lambda: answers_everywhere(client, "demo:2"))
        flying("rollback")
        until(lambda: answers_everywhere(client, "demo:1"))
    assert {answer.status for answer in given} == {200}
    assert {answer.version for answer in given} == {"demo:1", "demo:2"}
    assert "shadow: none" in flying("history")


def figures(client):
    return watch.read(f"{client.base_url}/metrics")


def registered_broken(house):
    """demo:1 once more, but that words which the example of its task does not have are no numbers."""
    from safetensors.numpy import load_file, save_file

    store = Store(house.root, None)
    version = find(store, "demo", 1)
    folder = house.root.parent / "broken" / "bundle"
    shutil.copytree(fetch(store, version), folder)
    texts, weights = Texts(folder), load_file(folder / "model.safetensors")
    (name,) = [name for name in weights if "tok_embeddings" in name]
    (known,) = texts.encode([texts.task.example])
    weights[name][[row for row in range(len(weights[name])) if row not in known.ids]] = float("nan")
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    run, digest = Run(store, version.run_id), folder_digest(folder)
    return register(store, run, "demo", folder, key="broken", digest=digest, card="broken").number


def test_canaries_that_are_wrong_slow_or_broken_stop_by_themselves(flying):
    """demo:2 hardly learnt; demo:3 has many more layers, which hardly learnt; demo:4 cannot compute most texts."""
    flying("train", "train.max_steps=1", "model.layers=24")
    assert registered_broken(flying) == 4
    with serving(flying, configuration(flying), "serving.service:Sluice") as client:
        for version, reason in (
            (2, "of its answers are not the champion's"),
            (3, "times as long as with the champion"),
            (4, "of its answers failed"),
        ):
            before = len(stopped(flying))
            told = flying("canary", f"version={version}")
            assert f"demo:{version} flies beside demo:1 as canary" in told
            with callers(str(client.base_url)) as answers:
                until(lambda wanted=f"demo:{version}": wanted in ready(client)["models"])
                until(lambda: ready(client)["models"] == ["demo:1"], 60)
            assert {answer.status for answer in answers} == {200}
            assert {answer.version for answer in answers} <= {"demo:1", f"demo:{version}"}
            reasons = stopped(flying)
            assert len(reasons) == before + 1
            assert reason in reasons[-1]
    assert "canary: none" in flying("history")


def test_a_canary_is_not_stopped_for_another_one_nor_while_somebody_decides(flying):
    store = Store(flying.root, None)
    flying("canary", "version=2")
    meant = find(store, "demo", 2)
    with Workspace(flying.root / "work").turn("promote", ""):
        assert stop(store, meant, ["too slow"]) is None
    assert stop(store, find(store, "demo", 1), ["too slow"]) is None
    assert stop(store, meant, ["too slow"]) == meant
    assert stop(store, meant, ["too slow"]) is None


def test_an_alias_that_leads_nowhere_keeps_nothing_else_from_being_served(flying):
    def served(*models):
        told = flying("resolve", f"serve.models=[{','.join(models)}]").splitlines()[-1]
        return [(slot["version"], slot["alias"]) for slot in json.loads(told)]

    assert served("demo", "demo@canary") == [(1, "champion")]
    assert "the registry has no demo@canary" in flying("resolve", "serve.models=[demo@canary]", code=2)
    flying("canary", "version=2")
    assert served("demo", "demo@canary") == [(1, "champion"), (2, "canary")]
    assert served("demo@canary") == [(2, "canary")]
    flying("canary", "stop=true")


def test_a_canary_that_is_promoted_is_the_champion_and_no_canary_any_more(flying):
    flying("canary", "version=2")
    told = flying("canary", "version=1", code=2)
    assert "demo:1 is the champion" in told
    flying("promote", "version=2", "gate.max_latency_ratio=null", "force=it flew well")
    told = flying("history")
    assert "champion: demo:2" in told
    assert "canary: none" in told
    assert "demo has no canary" in flying("canary", "stop=true", code=2)
    assert "demo:1 is the champion, demo:2 is not" in flying("rollback")
    flying("shadow", "version=2")
    assert "demo:2 is no shadow any more" in flying("shadow", "stop=true")
