"""When the model is slow or fails: in this process, with a model that the test steers."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any

import httpx
import pytest

from serving.app import build
from serving.slot import Slot, SlotDescription
from sluice.inference.engine import TorchEngine
from sluice.inference.predictor import Prediction
from sluice.inference.settings import Serve
from sluice.tasks.classification import Classification, ClassificationResult
from sluice.tasks.pair_classification import PairClassification

ROUTE = "/v1/classify"
Client = httpx.AsyncClient


class Steered:
    """A predictor that waits for the test, and fails when told to."""

    def __init__(self) -> None:
        self.task = Classification()
        self.bundle = SimpleNamespace(labels=("a",))
        self.go = threading.Event()
        self.fails = False
        self.seen: list[str] = []

    def predict(self, texts: list[str], options: Any = None) -> Prediction:
        assert self.go.wait(10)
        self.seen += texts
        if self.fails:
            raise ValueError(f"cannot read {texts}")
        return Prediction([ClassificationResult(label="a", score=1.0, scores={"a": 1.0})] * len(texts), len(texts))


@pytest.fixture
def model() -> Steered:
    return Steered()


def run(model: Steered, description: SlotDescription, test: Callable[[Client], Awaitable[None]], **limits: Any) -> None:
    app = build(Slot(description, model), Serve(engine=TorchEngine(), **limits))  # type: ignore[arg-type]

    async def session() -> None:
        async with Client(transport=httpx.ASGITransport(app), base_url="http://test") as client:
            await test(client)

    asyncio.run(session())


async def ask(client: Client, text: str) -> httpx.Response:
    return await client.post(ROUTE, json={"input": text})


def test_who_finds_the_queue_full_is_turned_away(model: Steered, description: SlotDescription) -> None:
    async def test(client: Client) -> None:
        held = [asyncio.create_task(ask(client, text)) for text in "ab"]
        await asyncio.sleep(0.1)
        refused = await ask(client, "c")
        assert (refused.status_code, refused.json()["error"]["type"]) == (429, "overloaded")
        assert refused.headers["Retry-After"] == "1"
        model.go.set()
        assert [answer.status_code for answer in await asyncio.gather(*held)] == [200, 200]
        assert (await ask(client, "d")).status_code == 200

    run(model, description, test, max_waiting=1)
    assert sorted(model.seen) == ["a", "b", "d"]


def test_who_waits_too_long_is_told_and_never_computed(model: Steered, description: SlotDescription) -> None:
    async def test(client: Client) -> None:
        computed = asyncio.create_task(ask(client, "a"))
        await asyncio.sleep(0.1)
        late = await asyncio.gather(computed, ask(client, "b"))
        assert [answer.status_code for answer in late] == [504, 504]
        assert late[0].json()["error"]["type"] == "timeout"
        assert late[0].headers["X-Content-Type-Options"] == "nosniff"
        model.go.set()
        assert (await ask(client, "c")).status_code == 200

    run(model, description, test, timeout_s=0.3)
    assert model.seen == ["a", "c"]


def test_what_the_task_does_not_take_is_refused_before_the_model(model: Steered, description: SlotDescription) -> None:
    async def test(client: Client) -> None:
        for body in ({"input": "a text"}, {"input": ["one", "other"]}, {"input": ['["a", "b"]', "alone"]}):
            answer = await client.post("/v1/compare", json=body)
            assert answer.status_code == 422
            error = answer.json()["error"]
            assert (error["type"], error["param"]) == ("invalid_request", "input")
            assert error["message"].startswith("expected a pair as a JSON list of two texts")
        answer = await client.post("/v1/compare", json={"input": '["a", "b"]'})
        assert answer.status_code == 200

    model.task = PairClassification()
    model.go.set()
    run(model, description, test)
    assert model.seen == ['["a", "b"]']


def test_a_body_that_never_ends_is_cut_off(model: Steered, description: SlotDescription) -> None:
    async def drip() -> Any:
        yield b'{"input": '
        await asyncio.sleep(5)

    async def test(client: Client) -> None:
        answer = await client.post(ROUTE, content=drip(), headers={"Content-Type": "application/json"})
        assert answer.status_code == 504

    run(model, description, test, timeout_s=0.2)


def test_a_failure_is_typed_and_its_log_holds_no_text(
    model: Steered, description: SlotDescription, caplog: pytest.LogCaptureFixture
) -> None:
    model.fails = True
    model.go.set()

    async def test(client: Client) -> None:
        answer = await ask(client, "zanzibar")
        assert (answer.status_code, answer.json()["error"]["type"]) == (500, "internal_error")
        model.fails = False
        assert (await ask(client, "b")).status_code == 200

    caplog.set_level(logging.DEBUG, "bentoml")
    logging.getLogger("bentoml").addHandler(caplog.handler)
    try:
        run(model, description, test)
    finally:
        logging.getLogger("bentoml").removeHandler(caplog.handler)
    assert "ValueError" in caplog.text
    assert "in predict" in caplog.text
    assert "zanzibar" not in caplog.text.replace('"zanzibar"', "")


def test_the_event_loop_stays_free_while_the_model_works(model: Steered, description: SlotDescription) -> None:
    async def test(client: Client) -> None:
        held = asyncio.create_task(ask(client, "a"))
        await asyncio.sleep(0.05)
        async with asyncio.timeout(2):
            assert (await client.get("/")).status_code == 200
        model.go.set()
        await held

    run(model, description, test)
