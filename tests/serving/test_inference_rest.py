"""The Open Inference Protocol over REST, by hand: in this process, with a model that the test steers."""

from __future__ import annotations

import json
from typing import Any

import pytest

from serving.slot import SlotDescription
from tests.serving.test_limits import Client, Steered, run

INFER = "/v2/models/apidocs/infer"


@pytest.fixture
def model() -> Steered:
    ready = Steered()
    ready.go.set()
    return ready


def body(**more: Any) -> dict[str, Any]:
    return {"inputs": [{"name": "text", "datatype": "BYTES", "shape": [1], "data": ["a"], **more}]}


RAW = {"data": None, "parameters": {"binary_data_size": 5}}
HEAD = json.dumps(body(**RAW)).encode()
NUMBER = {"Inference-Header-Content-Length": str(len(HEAD))}
BODIES: dict[str, tuple[bytes, dict[str, str], int]] = {
    "not JSON": (b"zanzibar", {}, 400),
    "nothing": (b"", {}, 400),
    "nested deeply": (b"[" * 100_000, {}, 400),
    "lone surrogate": (rb'{"id": "\ud800", "inputs": []}', {}, 400),
    "a list": (b"[]", {}, 422),
    "no input": (b'{"inputs": []}', {}, 422),
    "unknown field": (b'{"zanzibar": 1, "inputs": []}', {}, 422),
    "numbers as texts": (json.dumps(body(data=[1])).encode(), {}, 422),
    "no data": (json.dumps(body(data=None)).encode(), {}, 422),
    "shared memory": (json.dumps(body(parameters={"shared_memory_region": "r"})).encode(), {}, 422),
    "raw": (HEAD + b"\1\0\0\0a", NUMBER, 200),
    "raw, cut off": (HEAD + b"\1\0\0\0", NUMBER, 422),
    "raw, an element cut off": (HEAD + b"\2\0\0\0a", NUMBER, 422),
    "raw, a length cut off": (json.dumps(body(**{**RAW, "parameters": {"binary_data_size": 2}})).encode(), {}, 422),
    "raw and more": (HEAD + b"\1\0\0\0ab", NUMBER, 422),
    "a header that is no number": (HEAD, {"Inference-Header-Content-Length": "9" * 5000}, 400),
    "a negative header": (HEAD, {"Inference-Header-Content-Length": "-1"}, 400),
    "a header beyond the body": (HEAD, {"Inference-Header-Content-Length": "999"}, 400),
    "compressed": (b"\x1f\x8b", {"Content-Encoding": "gzip"}, 415),
    "a form": (b"a=b", {"Content-Type": "application/x-www-form-urlencoded"}, 415),
}


@pytest.mark.parametrize(("content", "headers", "status"), BODIES.values(), ids=BODIES)
def test_bodies(
    model: Steered, description: SlotDescription, content: bytes, headers: dict[str, str], status: int
) -> None:
    async def test(client: Client) -> None:
        answer = await client.post(INFER, content=content, headers={"Content-Type": "application/json", **headers})
        assert answer.status_code == status, answer.text
        if status != 200:
            assert list(answer.json()) == ["error"]
            assert answer.json()["error"]

    run(model, description, test)


def test_an_answer(model: Steered, description: SlotDescription) -> None:
    async def test(client: Client) -> None:
        asked = {"id": "mine", **body(shape=[2, 1], data=[["one"], ["three"]])}
        answer = await client.post(INFER, json={**asked, "outputs": [{"name": "score"}, {"name": "label"}]})
        assert answer.headers["X-Model-Version"] == "apidocs:7"
        assert answer.json() == {
            "model_name": "apidocs",
            "model_version": "7",
            "id": "mine",
            "parameters": {"tokens": 8, "truncated": "[]"},
            "outputs": [
                {"name": "score", "datatype": "FP64", "shape": [2], "data": [3, 5]},
                {"name": "label", "datatype": "BYTES", "shape": [2], "data": ["one", "three"]},
            ],
        }

    run(model, description, test)


def test_raw_outputs_of_choice(model: Steered, description: SlotDescription) -> None:
    """The request's wish holds for all outputs but those that have one of their own."""

    async def test(client: Client) -> None:
        wanted = [{"name": "label", "parameters": {"binary_data": False}}, {"name": "abstained"}]
        asked = {**body(), "parameters": {"binary_data_output": True}, "outputs": wanted}
        answer = await client.post(INFER, json=asked)
        length = int(answer.headers["Inference-Header-Content-Length"])
        label, abstained = json.loads(answer.content[:length])["outputs"]
        assert (label["data"], abstained["parameters"]) == (["a"], {"binary_data_size": 1})
        assert answer.content[length:] == b"\0"

    run(model, description, test)


def test_look_ups(model: Steered, description: SlotDescription) -> None:
    async def test(client: Client) -> None:
        for path in ("", "@champion", ":7", "/versions/7"):
            ready = await client.get(f"/v2/models/apidocs{path}/ready")
            assert (ready.status_code, ready.json()) == (200, {"name": "apidocs", "ready": True})
        assert (await client.get("/v2/health/live")).json() == {"live": True}
        for path in ("/v2/nothing", "/v2/models/other", "/v2/models/apidocs/versions/8/ready"):
            missing = await client.get(path)
            assert (missing.status_code, list(missing.json())) == (404, ["error"])

    run(model, description, test)
