"""Two versions of a model at once: who gets which, what is compared, and what stops one of them."""

from __future__ import annotations

import asyncio
import dataclasses
import signal
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from prometheus_client import REGISTRY
from pydantic import BaseModel

from pipelines.shared import watch
from serving.app import build
from serving.batcher import Batcher
from serving.callers import CALLER, Caller
from serving.core import Core, Request
from serving.refusals import BrokenError
from serving.rivals import WAITING
from serving.slot import Slot, SlotDescription, write_descriptions
from serving.streams import Streams
from serving.table import Table
from sluice.flight import Canary, Counts, objections
from sluice.inference.engine import Step
from sluice.inference.engines.torch import TorchEngine
from sluice.inference.predictor import Predictor, Texts
from sluice.inference.settings import Serve
from sluice.registry.versions import Version
from sluice.tasks.chat import Chat
from sluice.tasks.embedding import Embedding
from sluice.tasks.encoding import Encoded
from sluice.tasks.regression import Regression
from tests.serving.conftest import described
from tests.serving.live import start

HANGING_S = 1.0


def other(description: SlotDescription, version: int, alias: str | None) -> SlotDescription:
    return description.model_copy(update={"version": version, "alias": alias})


def figure(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0.0


class Failing(Predictor):
    """An engine that breaks on every text."""

    def compute(self, encoded: Sequence[Encoded], options: BaseModel | None = None) -> list[Any]:
        raise RuntimeError("no such operation")


class Hanging(Predictor):
    """An engine that takes far too long."""

    def compute(self, encoded: Sequence[Encoded], options: BaseModel | None = None) -> list[Any]:
        time.sleep(HANGING_S)
        return super().compute(encoded, options)


class Unreadable(Predictor):
    """A model whose outputs nobody can read."""

    def decode(
        self, inputs: Sequence[Any], outputs: Sequence[Any], options: BaseModel | None = None
    ) -> list[BaseModel]:
        raise KeyError("no such label")


class Wrong(Predictor):
    """A model that has every label the wrong way round."""

    def compute(self, encoded: Sequence[Encoded], options: BaseModel | None = None) -> list[Any]:
        return [-one for one in super().compute(encoded, options)]


def slot(description: SlotDescription, kind: type[Predictor] = Predictor, waiting: int = 512) -> Slot:
    predictor = kind(description.folder, TorchEngine(threads=1))
    return Slot(description, predictor, Batcher(description.id, predictor, 8, waiting), "torch")


def settings(share: float = 0.3) -> Serve:
    return Serve(engine=TorchEngine(threads=1), canary=Canary(share=share), cache_answers=0)


def core(*slots: Slot, share: float = 0.3) -> Core:
    return Core(Table(slots, share), settings(share))


async def settled(name: str, wanted: float, **labels: str) -> float:
    """A figure that is counted in the background, once it is there."""
    for _ in range(200):
        if figure(name, **labels) >= wanted:
            break
        await asyncio.sleep(0.02)
    return figure(name, **labels)


def test_a_share_of_the_callers_gets_the_canary_and_stays_with_it(description: SlotDescription) -> None:
    table = Table([slot(description), slot(other(description, 8, "canary"))], 0.3)

    def asked(caller: str, model: str | None = None) -> str:
        CALLER.set(Caller(lambda name: None, lambda: caller))
        return table.asked("classify", model).description.id

    callers = [f"caller {number}" for number in range(400)]
    found = Counter(asked(caller) for caller in callers)
    assert 80 < found["apidocs:8"] < 160
    assert [asked(caller) for caller in callers] == [asked(caller, "apidocs") for caller in callers]
    # Who says which version gets that one.
    for model, version in (("apidocs:7", 7), ("apidocs@champion", 7), ("apidocs:8", 8), ("apidocs@canary", 8)):
        assert {asked(caller, model) for caller in callers} == {f"apidocs:{version}"}


def test_a_canary_that_fails_costs_no_caller_his_answer(description: SlotDescription) -> None:
    both = core(slot(description), slot(other(description, 28, "canary"), Failing), share=1.0)

    async def session() -> None:
        answer = await both.answer(Request("classify", ["open a file"]))
        assert answer.slot.id == "apidocs:7"
        assert figure("sluice_answers_total", model="apidocs:28", outcome="failed") == 1

    asyncio.run(session())


@pytest.mark.parametrize(
    ("kind", "version", "waiting"), [(Hanging, 128, 512), (Unreadable, 129, 512), (Hanging, 130, 0)]
)
def test_a_canary_that_is_late_overrun_or_unreadable_costs_nobody_his_answer_and_is_counted(
    description: SlotDescription, kind: type[Predictor], version: int, waiting: int
) -> None:
    canary = slot(other(description, version, "canary"), kind, waiting)
    both = Core(Table([slot(description), canary], 1.0), settings(1.0).model_copy(update={"timeout_s": 0.6}))

    async def session() -> None:
        asked = [both.answer(Request("classify", [f"open file {number}"] * 9)) for number in range(2)]
        answers = await asyncio.gather(*asked)
        assert {answer.slot.id for answer in answers} == {"apidocs:7"}
        assert figure("sluice_answers_total", model=f"apidocs:{version}", outcome="failed") >= (2 if waiting else 1)
        await asyncio.sleep(HANGING_S)  # its engine ends with what it is at

    asyncio.run(session())


def test_a_deadline_that_passes_is_a_failure_and_a_caller_who_leaves_is_none(description: SlotDescription) -> None:
    alone = Core(
        Table([slot(other(description, 138, "champion"), Hanging)], 0), settings().model_copy(update={"timeout_s": 1.0})
    )

    async def session() -> None:
        for seconds in (0.05, 0.95):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(seconds):
                    await alone.answer(Request("classify", [f"open {seconds}"]))
        assert figure("sluice_answers_total", model="apidocs:138", outcome="failed") == 1
        await asyncio.sleep(HANGING_S)

    asyncio.run(session())


def test_versions_of_numbers_are_unlike_by_their_share_and_of_vectors_not_at_all() -> None:
    ours, theirs = [np.array([70.0]), np.array([-2.0])], [np.array([70.5]), np.array([2.0])]
    assert Regression().unlike(ours, theirs, []) == pytest.approx(0.5 / 140.5 + 1.0)
    assert Regression().unlike([np.array([0.0])], [np.array([0.0])], []) == 0
    assert Regression().comparable
    assert not Embedding().comparable
    assert not Chat().comparable


@pytest.mark.parametrize(("kind", "disagreed"), [(Predictor, 0), (Wrong, 5)])
def test_what_a_shadow_says_otherwise_is_counted_and_heard_by_nobody(
    description: SlotDescription, kind: type[Predictor], disagreed: int
) -> None:
    version = 38 + disagreed
    both = core(slot(description), slot(other(description, version, "shadow"), kind))
    texts = ["open a file", "parse a date", "sum over an axis", "nodes", "split"]

    async def session() -> None:
        answer = await both.answer(Request("classify", texts))
        assert answer.slot.id == "apidocs:7"
        assert await settled("sluice_compared_texts_total", 5, model=f"apidocs:{version}") == 5
        assert figure("sluice_disagreed_texts_total", model=f"apidocs:{version}") == disagreed

    asyncio.run(session())


def test_a_canary_is_held_against_its_champion(description: SlotDescription) -> None:
    both = core(slot(description), slot(other(description, 48, "canary"), Wrong), share=1.0)

    async def session() -> None:
        assert (await both.answer(Request("classify", ["open a file"]))).slot.id == "apidocs:48"
        assert await settled("sluice_disagreed_texts_total", 1, model="apidocs:48") == 1

    asyncio.run(session())


def test_what_cannot_be_compared_in_time_is_dropped_and_counted(description: SlotDescription) -> None:
    both = core(slot(description), slot(other(description, 58, "shadow")))
    many = 3 * WAITING

    async def session() -> None:
        await asyncio.gather(*[both.answer(Request("classify", ["open a file"])) for _ in range(many)])
        lost = figure("sluice_dropped_texts_total", model="apidocs:58")
        assert lost > 0
        assert await settled("sluice_compared_texts_total", many - lost, model="apidocs:58") == many - lost

    asyncio.run(session())


def test_a_shadow_that_fails_is_nobody_s_loss(description: SlotDescription) -> None:
    both = core(slot(description), slot(other(description, 68, "shadow"), Failing))

    async def session() -> None:
        for _ in range(3):
            await both.answer(Request("classify", ["open a file"]))
        assert await settled("sluice_answers_total", 3, model="apidocs:68", outcome="failed") == 3

    asyncio.run(session())


@pytest.mark.slow
def test_callers_are_told_apart_and_figures_are_read_back(
    description: SlotDescription, config_file: Path, tmp_path: Path
) -> None:
    pair = [description, other(description, 8, "canary")]
    server = start(tmp_path, *pair, SLUICE_CONFIG=str(config_file))
    found: dict[str, set[str]] = {}
    with httpx.Client(base_url=server.url, timeout=60) as client:
        for number in range(300):
            caller = f"caller {number % 100}"
            answer = client.post("/v1/classify", json={"input": f"open {number}"}, headers={"X-Caller": caller})
            found.setdefault(caller, set()).add(answer.headers["X-Model-Version"])
        assert all(len(versions) == 1 for versions in found.values())
        share = sum(versions == {"apidocs:8"} for versions in found.values())
        assert 2 <= share <= 25  # of 100, where 10 are meant
        assert {model["id"] for model in client.get("/v1/models").json()["data"]} == {"apidocs:7", "apidocs:8"}
    deadline = time.monotonic() + 20
    while True:
        figures = watch.read(f"{server.url}/metrics")
        canary, champion = figures.get("apidocs:8", Counts()), figures["apidocs:7"]
        if canary.compared == 3 * share or time.monotonic() > deadline:
            break
        time.sleep(0.1)
    assert canary.answered == canary.compared == 3 * share
    assert champion.answered >= 300 - 3 * share
    warmed = 2  # once in each worker
    assert sum(size * one.count for size, one in canary.passes.items()) == 3 * share + warmed
    assert sum(one.seconds for one in canary.passes.values()) > 0
    assert not objections(canary, champion, Canary(max_slower=100))
    assert objections(canary, champion, Canary(max_slower=0.01, min_answers=3))
    write_descriptions(tmp_path / "slots.json", [description])
    assert server.stop() == 0


@pytest.mark.parametrize("stream", [True, False])
def test_a_chat_canary_that_fails_costs_no_caller_his_answer(chat_bundle: Path, stream: bool) -> None:
    version = 158 + stream
    champion = described(chat_bundle, "apichat", "chat")
    canary = slot(other(champion, version, "canary"), Failing)
    app = build(Core(Table([slot(champion), canary], 1.0), settings(1.0)))
    body = {"model": "apichat", "messages": [{"role": "user", "content": "hello"}], "max_tokens": 4, "stream": stream}

    async def session() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://here") as client:
            return await client.post("/v1/chat/completions", json=body)

    answer = asyncio.run(session())
    assert (answer.status_code, answer.headers["X-Model-Version"]) == (200, "apichat:1")
    assert figure("sluice_answers_total", model=f"apichat:{version}", outcome="failed") == 1


def test_nobody_is_sent_to_search_where_a_canary_has_no_index(embed_bundle: Path) -> None:
    champion = described(embed_bundle, "found", "embedding")
    searching = dataclasses.replace(slot(champion), searcher=object())
    table = Table([searching, slot(other(champion, 2, "canary"))], 1.0)
    assert table.asked("search", None).description.id == "found:1"
    assert table.asked("embed", None).description.id == "found:2"


def test_a_canary_whose_figures_cannot_be_read_is_told_of_once(capsys: pytest.CaptureFixture[str]) -> None:
    champion, canary = (Version("demo", number, "run", "digest", 0) for number in (1, 2))
    watching = watch.Watch("http://127.0.0.1:9/metrics", Canary())
    for _ in range(3 * watch.LOOKS):
        watching(None, [(champion, "champion", None), (canary, "canary", None)])  # type: ignore[arg-type]
    assert capsys.readouterr().err.count("nobody watches demo:2") == 1


class Dead:
    """A runner that works no more."""

    def alive(self) -> bool:
        return False


@pytest.mark.parametrize(("alias", "alive"), [("champion", False), ("canary", True), ("shadow", True)])
def test_a_service_is_alive_without_what_flies_beside_its_champion(
    description: SlotDescription, alias: str, alive: bool
) -> None:
    dead = Slot(other(description, 148, alias), Predictor(description.folder, TorchEngine()), Dead(), "dead")  # type: ignore[arg-type]
    assert core(slot(other(description, 149, "champion")), dead).alive() is alive


@pytest.mark.parametrize(("needed", "ended"), [(True, [signal.SIGTERM]), (False, [])])
def test_a_dead_writer_ends_a_worker_that_is_of_no_use_without_it(
    chat_bundle: Path, monkeypatch: pytest.MonkeyPatch, needed: bool, ended: list[int]
) -> None:
    found: list[int] = []
    monkeypatch.setattr("serving.streams.os.kill", lambda process, number: found.append(number))

    class Broken(Dead):
        def start(self, ids: Any, wish: Any, emit: Callable[[Step], None]) -> Callable[[], None]:
            emit(Step(error="out of memory"))
            return lambda: None

        def end(self) -> None:
            pass

    texts = Texts(chat_bundle)
    streams = Streams("apichat:1", texts, Broken(), 8, needed)

    async def session() -> None:
        with pytest.raises(BrokenError):
            await streams.compute(texts.encode(["open a file"]), texts.task.Options())

    asyncio.run(session())
    assert found == ended
