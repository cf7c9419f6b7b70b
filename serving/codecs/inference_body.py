"""Bodies of the Open Inference Protocol over REST: JSON, behind which tensors may follow as raw bytes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError
from pydantic_core import to_json
from starlette.exceptions import HTTPException
from starlette.responses import Response

from serving.codecs.tensors import Tensor, texts_of, told, unpacked, usage
from serving.core import Answer
from serving.refusals import UnreadableError

LENGTH = "Inference-Header-Content-Length"
"""The header that says how many bytes are JSON; raw tensors follow them."""


class Strict(BaseModel):
    """Refuses what it does not know."""

    model_config = ConfigDict(extra="forbid")


class InputParameters(Strict):
    """How an input is sent."""

    binary_data_size: int | None = Field(None, description="Bytes of its raw data behind the JSON.")


class Input(Strict):
    """The tensor of texts."""

    name: str = Field(examples=["text"])
    datatype: str = Field(examples=["BYTES"])
    shape: list[int] = Field(description="[n] or [n, 1].", examples=[[1]])
    data: list[Any] | None = Field(None, description="The texts, each by itself or in a list of its own.")
    parameters: InputParameters = InputParameters(binary_data_size=None)


class OutputParameters(Strict):
    """How an output is sent."""

    binary_data: bool | None = Field(None, description="Whether as raw data behind the JSON.")


class Output(Strict):
    """A tensor that is asked for."""

    name: str
    parameters: OutputParameters = OutputParameters(binary_data=None)


class InferRequest(Strict):
    """Texts, and what is asked of them."""

    id: str | None = Field(None, description="Comes back with the answer.")
    parameters: dict[str, Any] = Field({}, description="The task's options; `binary_data_output` for raw outputs.")
    inputs: list[Input] = Field(min_length=1, max_length=1)
    outputs: list[Output] = Field([], description="Those that are wanted; none are all.")
    _raw: bytes = b""
    """What follows the JSON."""

    @classmethod
    def read(cls, body: bytes, length: str | None) -> InferRequest:
        """Take a body apart; `length` is the header's. Raises UnreadableError and, without JSON, HTTPException."""
        end = len(body) if length is None else int(length) if re.fullmatch("[0-9]{1,12}", length) else -1
        if not 0 <= end <= len(body):
            raise HTTPException(400, f"{LENGTH} is not a number of bytes in the body")
        try:
            found = ADAPTER.validate_json(body[:end])
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            if first["type"] == "json_invalid":
                raise HTTPException(400, f"the body is not JSON: {first['ctx']['error']}") from None
            raise UnreadableError(told(error)) from None
        found._raw = body[end:]
        return found

    def texts(self) -> list[str]:
        """The texts, in whichever way they were sent. Raises UnreadableError."""
        (given,) = self.inputs
        size = given.parameters.binary_data_size
        if (size is None) == (given.data is None):
            raise UnreadableError(f"{given.name}: expected either data, or binary_data_size in its parameters")
        if (size or 0) != len(self._raw):
            raise UnreadableError(f"{len(self._raw)} bytes follow the JSON, but binary_data_size is {size or 0}")
        elements = unpacked(self._raw) if given.data is None else given.data
        return texts_of(given.name, given.datatype, given.shape, elements)

    def answered(self, answer: Answer, tensors: Sequence[Tensor]) -> Response:
        """The answer, its tensors as JSON or raw as they are asked for."""
        default = self.parameters.get("binary_data_output") is True
        wishes = {one.name: one.parameters.binary_data for one in self.outputs}
        outputs, tail = [], []
        for one in tensors:
            output: dict[str, Any] = {"name": one.name, "datatype": one.datatype, "shape": one.shape}
            wish = wishes.get(one.name)
            if default if wish is None else wish:
                tail.append(one.packed())
                output["parameters"] = {"binary_data_size": len(tail[-1])}
            else:
                output["data"] = one.values
            outputs.append(output)
        told = {"model_name": answer.slot.name, "model_version": str(answer.slot.version)}
        if self.id is not None:
            told["id"] = self.id
        head = to_json({**told, "parameters": usage(answer), "outputs": outputs})
        headers = {"X-Model-Version": answer.slot.id}
        if not tail:
            return Response(head, headers=headers, media_type="application/json")
        headers[LENGTH] = str(len(head))
        return Response(b"".join((head, *tail)), headers=headers, media_type="application/octet-stream")


ADAPTER = TypeAdapter(InferRequest)
