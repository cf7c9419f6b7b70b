"""The Open Inference Protocol, version 2, over gRPC: beside HTTP, on a port of its own that all workers share."""

from __future__ import annotations

import asyncio
import logging
import traceback
from collections.abc import Awaitable, Callable
from typing import Any

import grpc
from google.protobuf.message import DecodeError

from serving import traces
from serving.callers import CALLER, Caller
from serving.codecs import oip, tensors
from serving.core import Core
from serving.metrics import Counted, counted
from serving.refusals import BrokenError, LateError, RefusalError, UnreadableError

log = logging.getLogger("bentoml.sluice")
CODES = {
    "model_not_found": grpc.StatusCode.NOT_FOUND,
    "invalid_request": grpc.StatusCode.INVALID_ARGUMENT,
    "too_large": grpc.StatusCode.INVALID_ARGUMENT,
    "no_index": grpc.StatusCode.FAILED_PRECONDITION,
    "overloaded": grpc.StatusCode.RESOURCE_EXHAUSTED,
    "timeout": grpc.StatusCode.DEADLINE_EXCEEDED,
    "internal_error": grpc.StatusCode.INTERNAL,
}
"""What gRPC calls each type of refusal."""
CONTENTS = {
    "BYTES": "bytes_contents",
    "FP64": "fp64_contents",
    "FP32": "fp32_contents",
    "INT64": "int64_contents",
    "BOOL": "bool_contents",
}
"""The field that holds the elements of each datatype."""
Answer = Callable[[Any, Counted], Awaitable[dict[str, Any]]]
"""From a request's message to the fields of its reply."""
LONGEST = 500
"""Characters of a message: it travels in a header, and clients refuse headers of more than 8 kB."""


async def start(core: Core, host: str, port: int) -> grpc.aio.Server:
    """Answer from a table of models; other processes may answer on the same port."""
    limit = core.settings.max_body_bytes
    server = grpc.aio.server(options=[("grpc.so_reuseport", 1), ("grpc.max_receive_message_length", limit)])
    calls, timeout_s = oip.calls(), core.settings.timeout_s
    handlers = {
        name: grpc.unary_unary_rpc_method_handler(_guarded(name, calls[name], answer, timeout_s))
        for name, answer in Answers(core).by_call().items()
    }
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(oip.SERVICE, handlers),))
    server.add_insecure_port(f"[{host}]:{port}" if ":" in host else f"{host}:{port}")
    await server.start()
    return server


async def stop(server: grpc.aio.Server, grace_s: float) -> None:
    """Take no more calls, and give those in flight their time."""
    await server.stop(grace_s)


class Answers:
    """What each call answers, as the fields of its reply. All raise RefusalError."""

    def __init__(self, core: Core) -> None:
        self.core = core

    def by_call(self) -> dict[str, Answer]:
        """All of them, by the names of the protocol."""
        return {
            "ServerLive": self.server_live,
            "ServerReady": self.server_ready,
            "ModelReady": self.model_ready,
            "ServerMetadata": self.server_metadata,
            "ModelMetadata": self.model_metadata,
            "ModelInfer": self.model_infer,
        }

    async def server_live(self, request: Any, counts: Counted) -> dict[str, Any]:
        """Whether the service works."""
        return {"live": self.core.alive()}

    async def server_ready(self, request: Any, counts: Counted) -> dict[str, Any]:
        """Whether every model answers."""
        return {"ready": self.core.alive()}

    async def model_ready(self, request: Any, counts: Counted) -> dict[str, Any]:
        """Whether the model answers."""
        return {"ready": self.core.table.named(request.name, request.version).runner.alive()}

    async def server_metadata(self, request: Any, counts: Counted) -> dict[str, Any]:
        """What this server is."""
        return tensors.SERVER

    async def model_metadata(self, request: Any, counts: Counted) -> dict[str, Any]:
        """The model's versions, inputs and outputs."""
        return await tensors.metadata(self.core, self.core.table.named(request.name, request.version))

    async def model_infer(self, request: Any, counts: Counted) -> dict[str, Any]:
        """The results as tensors, raw where the texts were raw."""
        slot = self.core.table.named(request.model_name, request.model_version)
        options, wanted = _parameters(request.parameters), [one.name for one in request.outputs]
        for output in request.outputs:
            _refuse_parameters(output)
        answer, found = await tensors.infer(self.core, slot, _texts(request), options, wanted)
        counts.model = answer.slot.id
        raw = bool(request.raw_input_contents)
        outputs: list[dict[str, Any]] = [
            {"name": one.name, "datatype": one.datatype, "shape": one.shape} for one in found
        ]
        if not raw:
            for output, one in zip(outputs, found, strict=True):
                output["contents"] = {CONTENTS[one.datatype]: one.values}
        tokens, truncated = tensors.usage(answer).values()
        return {
            "model_name": answer.slot.name,
            "model_version": str(answer.slot.version),
            "id": request.id,
            "parameters": {"tokens": {"int64_param": tokens}, "truncated": {"string_param": truncated}},
            "outputs": outputs,
            "raw_output_contents": [one.packed() for one in found] if raw else [],
        }


def _guarded(name: str, call: oip.Call, answer: Answer, timeout_s: float) -> Any:
    """What HTTP's middleware does: a deadline, a count, and no exception in a log with the caller's text in it.

    A call that the client gives up is cancelled by grpc, and the work with it.
    """

    async def handle(message: bytes, context: Any) -> bytes:
        left = context.time_remaining()
        limit = timeout_s if left is None else min(left, timeout_s)
        headers = dict(context.invocation_metadata())
        CALLER.set(Caller(headers.get, context.peer))
        with traces.request(name, headers), counted(f"grpc:{name}", headers.get("x-request-id")) as counts:
            try:
                async with asyncio.timeout(limit):
                    reply = call.reply(**await answer(call.request.FromString(message), counts))
                counts.status = "OK"
                return bytes(reply.SerializeToString())
            except RefusalError as error:
                refusal = error
            except DecodeError:
                refusal = UnreadableError(f"the message is no {call.request.DESCRIPTOR.name}")
            except TimeoutError:
                refusal = LateError(limit)
            except Exception as error:
                # The message may hold the caller's text: the log gets the places alone.
                log.error("%s\n%s", type(error).__name__, "".join(traceback.format_tb(error.__traceback__)))
                refusal = BrokenError()
            code = CODES[refusal.type]
            counts.status = code.name
            return await context.abort(code, refusal.message[:LONGEST])

    return handle


def _texts(request: Any) -> list[str]:
    if len(request.inputs) != 1:
        raise UnreadableError(f"{len(request.inputs)} inputs, expected one: '{tensors.INPUT}'")
    (given,), raw = request.inputs, request.raw_input_contents
    _refuse_parameters(given)
    if len(raw) > 1 or (raw and given.HasField("contents")):
        raise UnreadableError(f"{tensors.INPUT}: its elements are sent more than once")
    elements = tensors.unpacked(raw[0]) if raw else list(given.contents.bytes_contents)
    return tensors.texts_of(given.name, given.datatype, given.shape, elements)


def _parameters(parameters: Any) -> dict[str, Any]:
    return {
        name: getattr(value, value.WhichOneof("parameter_choice") or "", None) for name, value in parameters.items()
    }


def _refuse_parameters(tensor: Any) -> None:
    if tensor.parameters:
        raise UnreadableError(f"{tensor.name}: no parameter '{next(iter(tensor.parameters))}' of a tensor is known")
