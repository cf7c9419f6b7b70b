"""A request's name, the line that it leaves in the log, and answers that a proxy may keep."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from serving import logs
from serving.probes import public
from serving.slot import SlotDescription
from tests.serving.live import Server, start
from tests.serving.test_stress import with_

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def talkative(
    description: SlotDescription, config_file: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    """A service that logs every request, and lets one text wait."""
    folder = tmp_path_factory.mktemp("talkative")
    config = with_(config_file, folder, log_requests="all", workers=1)
    server = start(folder, description, SLUICE_CONFIG=str(config))
    yield server
    assert server.stop() == 0


def lines(server: Server) -> list[dict[str, Any]]:
    return [json.loads(line) for line in server.log.read_text().splitlines() if line.startswith('{"time"')]


def test_every_request_has_a_name_and_a_line_without_its_text(talkative: Server) -> None:
    with httpx.Client(base_url=talkative.url) as client:
        given = client.post("/v1/classify", json={"input": "zanzibar"}, headers={"X-Request-Id": "order-66"})
        made = client.post("/v1/classify", json={"input": ""})
        client.get("/v1/classify", params={"input": "zanzibar"})
        forged = client.get("/v1/models", headers={"X-Request-Id": 'a" b'})
    assert given.headers["X-Request-Id"] == "order-66"
    assert len(made.headers["X-Request-Id"]) == len(forged.headers["X-Request-Id"]) == 32
    found = {line["request"]: line for line in lines(talkative)}
    line = found["order-66"]
    assert (line["route"], line["status"], line["model"]) == ("/v1/classify", "200", "apidocs:7")
    assert 0 < line["seconds"] < 30
    assert found[made.headers["X-Request-Id"]]["status"] == "422"
    assert "zanzibar" not in talkative.log.read_text()


def test_only_failures_are_told_unless_more_is_wanted(server: Server, client: httpx.Client) -> None:
    client.post("/v1/classify", json={"input": "a file"}, headers={"X-Request-Id": "a-usual-one"})
    client.post("/v1/classify", json={"input": ""}, headers={"X-Request-Id": "a-callers-mistake"})
    assert not {"a-usual-one", "a-callers-mistake"} & {line["request"] for line in lines(server)}


@pytest.mark.parametrize(
    ("status", "told"),
    [("200", False), ("422", False), ("429", True), ("500", True), ("504", True), ("OK", False), ("INTERNAL", True)],
)
def test_what_counts_as_a_failure(status: str, told: bool) -> None:
    assert logs.failed(status) is told


@pytest.mark.parametrize(
    ("told", "shown"),
    [
        ("/data/team/7/bundle is not the promoted bundle", "bundle is not the promoted bundle"),
        ("[Errno 2] No such file: '/srv/models/model.onnx'", "[Errno 2] No such file: 'model.onnx'"),
        ("http://me:secret@host:5000/api/2.0 refused", "http://host:5000/api/2.0 refused"),
        ("postgresql://me:secret@host/mlflow went away", "postgresql://host/mlflow went away"),
        ("no slash / at all, 3/4 of it", "no slash / at all, 3/4 of it"),
    ],
)
def test_probes_tell_neither_passwords_nor_folders(told: str, shown: str) -> None:
    assert public(told) == shown


def test_a_proxy_may_keep_an_answer_and_ask_whether_it_holds(client: httpx.Client) -> None:
    given = {"input": "open a file & read"}
    first = client.get("/v1/classify", params=given)
    assert first.status_code == 200
    assert first.json()["results"] == client.post("/v1/classify", json=given).json()["results"]
    assert first.headers["Cache-Control"] == "no-cache"
    again = client.get("/v1/classify", params=given, headers={"If-None-Match": first.headers["ETag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["ETag"] == first.headers["ETag"]
    other = client.get("/v1/classify", params={"input": "parse"}, headers={"If-None-Match": first.headers["ETag"]})
    assert other.status_code == 200
    assert other.headers["ETag"] != first.headers["ETag"]
    assert client.get("/v1/classify").status_code == 422
    assert client.get("/v1/classify", params={**given, "model": "stranger"}).status_code == 404


def test_a_repeat_over_http_says_so_and_can_be_refused(client: httpx.Client) -> None:
    body, own = {"input": "this has not been asked before"}, {"X-Caller": "test"}
    # Two workers, each with what it has answered itself: three requests hit one of them twice.
    answers = [client.post("/v1/classify", json=body, headers=own) for _ in range(3)]
    assert "hit" in {answer.headers.get("X-Cache") for answer in answers}
    assert len({answer.text for answer in answers}) == 1
    fresh = client.post("/v1/classify", json=body, headers={**own, "Cache-Control": "no-cache"})
    assert "X-Cache" not in fresh.headers
