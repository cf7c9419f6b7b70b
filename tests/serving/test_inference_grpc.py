"""The Open Inference Protocol over gRPC where Triton's client does not lead: with a model that the test steers."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import grpc
import pytest
from tritonclient.grpc import service_pb2

from serving.batcher import Batcher
from serving.codecs import inference_grpc, oip
from serving.core import Core
from serving.metrics import REQUESTS
from serving.slot import Slot, SlotDescription
from serving.table import Table
from sluice.inference.engines.torch import TorchEngine
from sluice.inference.settings import Serve
from tests.serving.live import free_port
from tests.serving.test_limits import Steered

Infer = Callable[..., Any]


@pytest.fixture
def model() -> Steered:
    return Steered()


def run(
    model: Steered, description: SlotDescription, test: Callable[[Infer, Batcher, Any], Awaitable[None]], **limits: Any
) -> None:
    """Hand the test the call of the protocol that answers, and what is behind it."""
    settings = Serve(engine=TorchEngine(), **limits)
    batcher = Batcher("steered:1", model, settings.batch, settings.max_waiting)  # type: ignore[arg-type]
    core = Core(Table([Slot(description, model, batcher, "steered")]), settings)  # type: ignore[arg-type]
    port = free_port()

    async def session() -> None:
        server = await inference_grpc.start(core, "127.0.0.1", port)
        try:
            async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
                await test(channel.unary_unary(f"/{oip.SERVICE}/ModelInfer", serialized), batcher, server)
        finally:
            await inference_grpc.stop(server, 0)

    asyncio.run(session())
    model.go.set()


def serialized(message: Any) -> bytes:
    return message if isinstance(message, bytes) else message.SerializeToString()


def asking(*texts: str) -> Any:
    request = service_pb2.ModelInferRequest(model_name="apidocs")
    contents = request.inputs.add(name="text", datatype="BYTES", shape=[len(texts)]).contents
    contents.bytes_contents.extend(text.encode() for text in texts)
    return request


async def code(call: Awaitable[Any]) -> str:
    try:
        await call
    except grpc.aio.AioRpcError as error:
        return str(error.code().name)
    return "OK"


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not true():
            await asyncio.sleep(0.01)


def test_typed_contents_are_answered_by_typed_contents(model: Steered, description: SlotDescription) -> None:
    async def test(infer: Infer, *_: Any) -> None:
        answer = service_pb2.ModelInferResponse.FromString(await infer(asking("one", "three")))
        label, score, scores, abstained = (one.contents for one in answer.outputs)
        assert list(label.bytes_contents) == [b"one", b"three"]
        assert list(score.fp64_contents) == [3, 5]
        assert list(scores.bytes_contents) == [b"{}", b"{}"]
        assert list(abstained.bool_contents) == [False, False]
        assert list(answer.raw_output_contents) == []

    model.go.set()
    run(model, description, test)


def test_what_no_client_would_send(model: Steered, description: SlotDescription) -> None:
    twice, cut, odd, tagged = asking("a"), asking(), asking("a"), asking("a")
    twice.raw_input_contents.append(b"\1\0\0\0a")
    cut.inputs[0].ClearField("contents")
    cut.raw_input_contents.append(b"\2\0\0\0a")
    tagged.inputs[0].parameters["shared_memory_region"].string_param = "a"
    odd.parameters["top_k"].Clear()
    packed = service_pb2.ModelInferRequest(raw_input_contents=[b"a" * 20_000_000])

    async def test(infer: Infer, *_: Any) -> None:
        for message in (twice, cut, tagged, asking(), b"\xff\xff", b"\x0a\x01\xff"):
            assert await code(infer(message)) == "INVALID_ARGUMENT"
        assert await code(infer(odd)) == "OK"  # an option without a value is left to its default
        assert await code(infer(b"")) == "NOT_FOUND"
        assert await code(infer(packed, compression=grpc.Compression.Gzip)) == "RESOURCE_EXHAUSTED"

    model.go.set()
    run(model, description, test)


def test_who_gives_up_is_not_computed_and_who_is_one_too_many_is_told(
    model: Steered, description: SlotDescription
) -> None:
    def given_up() -> float:
        return float(REQUESTS.labels("", "oip-grpc", "grpc:ModelInfer", "CANCELLED")._value.get())

    async def test(infer: Infer, batcher: Batcher, _: Any) -> None:
        before = given_up()
        first = asyncio.ensure_future(code(infer(asking("first"))))
        await until(lambda: batcher.waiting == 1)
        cancelled = infer(asking("cancelled"))
        await until(lambda: batcher.waiting == 2)
        assert await code(infer(asking("one too many"))) == "RESOURCE_EXHAUSTED"
        cancelled.cancel()
        await until(lambda: given_up() == before + 1)
        model.go.set()
        assert await first == "OK"

    run(model, description, test, max_waiting=1, batch=1)
    assert model.seen == ["first"]


def test_deadlines_of_the_client_and_of_the_service(model: Steered, description: SlotDescription) -> None:
    async def test(infer: Infer, batcher: Batcher, _: Any) -> None:
        first = asyncio.ensure_future(code(infer(asking("first"))))
        await until(lambda: batcher.waiting == 1)
        assert await code(infer(asking("second"), timeout=0.1)) == "DEADLINE_EXCEEDED"
        assert await first == "DEADLINE_EXCEEDED"
        model.go.set()
        assert await code(infer(asking("third"))) == "OK"

    run(model, description, test, timeout_s=0.4)
    assert model.seen == ["first", "third"]


def test_a_failure_is_internal_and_its_log_holds_no_text(
    model: Steered, description: SlotDescription, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def decode(texts: Sequence[str], *_: Any) -> None:
        raise ValueError(texts[0])

    async def test(infer: Infer, *_: Any) -> None:
        assert await code(infer(asking("zanzibar"))) == "INTERNAL"
        monkeypatch.setattr(model, "decode", decode)
        assert await code(infer(asking("sansibar"))) == "INTERNAL"

    model.fails = "zanzibar"
    model.go.set()
    caplog.set_level(logging.DEBUG)
    logging.getLogger("bentoml").addHandler(caplog.handler)
    try:
        run(model, description, test)
    finally:
        logging.getLogger("bentoml").removeHandler(caplog.handler)
    assert "in compute" in caplog.text
    assert "in decode" in caplog.text
    assert "zanzibar" not in caplog.text.replace('"zanzibar"', "")
    assert "sansibar" not in caplog.text.replace('"sansibar"', "")


def test_calls_in_flight_are_answered_when_told_to_stop(model: Steered, description: SlotDescription) -> None:
    async def test(infer: Infer, batcher: Batcher, server: Any) -> None:
        held = asyncio.ensure_future(code(infer(asking("held"))))
        await until(lambda: batcher.waiting == 1)
        stopping = asyncio.ensure_future(inference_grpc.stop(server, 10))
        await asyncio.sleep(0.1)
        assert await code(infer(asking("too late"))) == "UNAVAILABLE"
        model.go.set()
        assert await held == "OK"
        await stopping

    run(model, description, test)
    assert model.seen == ["held"]


def test_the_description_is_the_clients_and_the_protos() -> None:
    """Every call and field has the name, number and type by which clients know it."""

    def fields(message: Any) -> dict[str, Any]:
        return {
            one.name: (one.number, one.type, one.is_repeated, fields(one.message_type) if one.message_type else None)
            for one in message.fields
        }

    theirs = {one.name: one for one in service_pb2.DESCRIPTOR.services_by_name["GRPCInferenceService"].methods}
    source = Path(oip.__file__).with_name("oip.proto").read_text()
    for name, call in oip.calls().items():
        assert f"rpc {name}(" in source
        for ours, client in ((call.request, theirs[name].input_type), (call.reply, theirs[name].output_type)):
            assert fields(ours.DESCRIPTOR) == fields(client)
            for field in ours.DESCRIPTOR.fields:
                assert re.search(rf" {field.name} = {field.number};", source)
