"""When the model is slow or fails: in this process, with a model that the test steers."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import httpx
import pytest

from serving.app import build
from serving.batcher import Batcher
from serving.core import Core
from serving.middleware import guarded
from serving.slot import Slot, SlotDescription
from serving.table import Table
from sluice.inference.engines.torch import TorchEngine
from sluice.inference.settings import Serve
from sluice.tasks.classification import Classification, ClassificationResult
from sluice.tasks.encoding import Encoded
from sluice.tasks.pair_classification import PairClassification

ROUTE = "/v1/classify"
Client = httpx.AsyncClient
LONGEST = 40
"""Characters that the model below reads of a text."""


class Steered:
    """A predictor that waits for the test, and fails when told to."""

    def __init__(self) -> None:
        self.task = Classification()
        self.bundle = SimpleNamespace(labels=("a",))
        self.together = 32
        self.go = threading.Event()
        self.fails = ""
        self.seen: list[str] = []

    def encode(self, texts: Sequence[str]) -> list[Spelt]:
        return [Spelt(list(text[:LONGEST].encode()), cut=len(text) > LONGEST, text=text) for text in texts]

    def compute(self, encoded: Sequence[Spelt], options: Any = None) -> list[float]:
        assert self.go.wait(10)
        self.seen += [one.text for one in encoded]
        if self.fails and any(self.fails in one.text for one in encoded):
            raise ValueError(f"cannot read {encoded}")
        return [float(len(one.text)) for one in encoded]

    def decode(self, texts: Sequence[str], outputs: Sequence[float], options: Any = None) -> list[ClassificationResult]:
        return [
            ClassificationResult(label=text, score=output, scores={})
            for text, output in zip(texts, outputs, strict=True)
        ]


@dataclass(frozen=True)
class Spelt(Encoded):
    text: str = ""


@pytest.fixture
def model() -> Steered:
    return Steered()


def run(model: Steered, description: SlotDescription, test: Callable[[Client], Awaitable[None]], **limits: Any) -> None:
    settings = Serve(engine=TorchEngine(), **limits)
    batcher = Batcher("steered:1", model, settings.batch, settings.max_waiting)  # type: ignore[arg-type]
    core = Core(Table([Slot(description, model, batcher, "steered")]), settings)  # type: ignore[arg-type]
    app = guarded(build(core), settings)

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

    run(model, description, test, max_waiting=1, batch=1)
    assert sorted(model.seen) == ["a", "b", "d"]


def test_callers_in_one_batch_get_their_own_answers(model: Steered, description: SlotDescription) -> None:
    """And a text that the engine fails on fails alone."""

    async def test(client: Client) -> None:
        texts = [f"text {number}" for number in range(7)] + ["bad 7"]
        first = asyncio.create_task(ask(client, "first"))
        await asyncio.sleep(0.1)
        waiting = [asyncio.create_task(ask(client, text)) for text in texts]
        await asyncio.sleep(0.1)
        model.go.set()
        answers = await asyncio.gather(*waiting)
        assert [answer.status_code for answer in answers] == [200] * 7 + [500]
        assert [answer.json()["results"][0]["label"] for answer in answers[:7]] == texts[:7]
        assert answers[7].json()["error"]["type"] == "internal_error"
        assert (await first).status_code == 200

    model.fails = "bad"
    run(model, description, test)


def test_one_bad_text_of_a_request_does_not_stop_the_engine(model: Steered, description: SlotDescription) -> None:
    async def test(client: Client) -> None:
        answer = await client.post(ROUTE, json={"input": ["one", "bad", "two"]})
        assert answer.status_code == 500
        assert (await ask(client, "three")).status_code == 200

    model.fails = "bad"
    model.go.set()
    run(model, description, test)


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


@pytest.mark.parametrize("policy", ["truncate", "refuse"])
def test_a_text_that_is_too_long_is_cut_and_said_so_or_refused(
    model: Steered, description: SlotDescription, policy: str
) -> None:
    async def test(client: Client) -> None:
        answer = await client.post(ROUTE, json={"input": ["short", "long " * 20]})
        if policy == "truncate":
            assert (answer.status_code, answer.json()["usage"]["truncated"]) == (200, [1])
        else:
            assert (answer.status_code, answer.json()["error"]["param"]) == (422, "input")
            assert answer.json()["error"]["message"].startswith("text 2 has more tokens than apidocs:7 reads")
        assert (await ask(client, "short")).json()["usage"]["truncated"] == []

    model.go.set()
    run(model, description, test, too_long=policy)


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
    model.fails = "zanzibar"
    model.go.set()

    async def test(client: Client) -> None:
        answer = await ask(client, "zanzibar")
        assert (answer.status_code, answer.json()["error"]["type"]) == (500, "internal_error")
        assert (await ask(client, "b")).status_code == 200

    caplog.set_level(logging.DEBUG, "bentoml")
    logging.getLogger("bentoml").addHandler(caplog.handler)
    try:
        run(model, description, test)
    finally:
        logging.getLogger("bentoml").removeHandler(caplog.handler)
    assert "ValueError" in caplog.text
    assert "in compute" in caplog.text
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
