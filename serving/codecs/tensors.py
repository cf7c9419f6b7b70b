"""Texts and results as the tensors of the Open Inference Protocol: what its REST and its gRPC share."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, get_origin

import numpy as np
from pydantic import BaseModel, ValidationError
from pydantic_core import to_json

from serving.core import Answer, Core, Request
from serving.refusals import UnreadableError
from serving.slot import Slot

INPUT = "text"
"""The one input: a text an element."""
PLAIN = {str: "BYTES", float: "FP64", int: "INT64", bool: "BOOL", list[float]: "FP32"}
"""Datatype by the type of a result's field; fields of any other type are JSON in BYTES."""
NUMBERS = {"FP64": "<f8", "FP32": "<f4", "INT64": "<i8", "BOOL": "?"}
"""How numpy writes the elements of a datatype that is not BYTES."""
SCHEDULING = frozenset({"binary_data_output", "priority", "timeout"})
"""Parameters of requests that say nothing to a task. Clients set them unasked; answers do not depend on them."""
SERVER = {"name": "sluice", "version": "1", "extensions": ["binary_tensor_data"]}
"""What the protocol tells of a server."""


@dataclass(frozen=True)
class Tensor:
    """One field of all results; BYTES are bytes."""

    name: str
    datatype: str
    shape: list[int]
    values: list[Any]
    """Flat, the last dimension running fastest."""

    def packed(self) -> bytes:
        """The values as the protocol's raw bytes: little-endian, every element of BYTES after its length."""
        if self.datatype == "BYTES":
            return b"".join(part for one in self.values for part in (struct.pack("<I", len(one)), one))
        return np.asarray(self.values, NUMBERS[self.datatype]).tobytes()


def unpacked(raw: bytes) -> list[bytes]:
    """The elements of a BYTES tensor. Raises UnreadableError."""
    elements: list[bytes] = []
    at = 0
    while at < len(raw):
        start = at + 4
        at = start + int.from_bytes(raw[at:start], "little")
        if at > len(raw):
            raise UnreadableError(f"{INPUT}: the raw data ends within element {len(elements) + 1}")
        elements.append(raw[start:at])
    return elements


def texts_of(name: str, datatype: str, shape: Iterable[int], elements: Sequence[Any]) -> list[str]:
    """The texts of the input tensor, one an element. Raises UnreadableError."""
    if name != INPUT:
        raise UnreadableError(f"there is no input '{name}': the only one is '{INPUT}'")
    if datatype != "BYTES":
        raise UnreadableError(f"{INPUT}: its datatype is '{datatype}', expected BYTES")
    count, shape = len(elements), list(shape)
    if not count or shape not in ([count], [count, 1]):
        raise UnreadableError(f"{INPUT}: its shape is {shape} with {count} texts, expected [n] or [n, 1] with n texts")
    return [_text(at, element) for at, element in enumerate(elements, start=1)]


def _text(at: int, element: Any) -> str:
    if isinstance(element, list) and len(element) == 1:
        (element,) = element
    if isinstance(element, bytes):
        try:
            element = element.decode()
        except UnicodeDecodeError:
            raise UnreadableError(f"{INPUT}: element {at} is not UTF-8") from None
    if not isinstance(element, str) or not element:
        raise UnreadableError(f"{INPUT}: element {at} is not a text of one character or more")
    return element


def options_of(options: type[BaseModel], parameters: Mapping[str, Any]) -> BaseModel:
    """The task's options, as the request's parameters give them. Raises UnreadableError."""
    given = {name: value for name, value in parameters.items() if name not in SCHEDULING}
    for name, value in given.items():
        field = options.model_fields.get(name)
        # gRPC's parameters cannot hold a list: there, it is JSON.
        if field and get_origin(field.annotation) is list and isinstance(value, str):
            given[name] = _json(value)
    try:
        return options.model_validate(given)
    except ValidationError as error:
        raise UnreadableError(told(error, "parameters")) from None


def _json(value: str) -> Any:
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        return value


def told(error: ValidationError, *within: str) -> str:
    """The first fault and its place, in one line."""
    first = error.errors(include_url=False, include_input=False)[0]
    where = ".".join(map(str, (*within, *first["loc"])))
    return f"{where}: {first['msg'].removeprefix('Value error, ')}" if where else first["msg"]


async def infer(
    core: Core, slot: Slot, texts: list[str], parameters: Mapping[str, Any], wanted: Sequence[str]
) -> tuple[Answer, list[Tensor]]:
    """The results as tensors, a field each: those that are wanted, or all. Raises RefusalError."""
    task = slot.texts.task
    fields = task.Result.model_fields
    for name in wanted:
        if name not in fields:
            raise UnreadableError(f"there is no output '{name}': there are {', '.join(fields)}")
    options = options_of(task.Options, parameters)
    answer = await core.answer_from(slot, Request(task.verb, texts, options))
    return answer, [_tensor(name, fields[name].annotation, answer.results) for name in wanted or fields]


def _tensor(name: str, annotation: Any, results: Sequence[BaseModel]) -> Tensor:
    datatype, shape = _datatype(annotation), [len(results)]
    values = [getattr(one, name) for one in results]
    if datatype == "FP32":
        (width,) = {len(value) for value in values}
        return Tensor(name, datatype, [*shape, width], list(chain.from_iterable(values)))
    if datatype == "BYTES":
        values = [value.encode() if annotation is str else to_json(value) for value in values]
    return Tensor(name, datatype, shape, values)


def _datatype(annotation: Any) -> str:
    return PLAIN.get(annotation, "BYTES")


async def metadata(core: Core, slot: Slot) -> dict[str, Any]:
    """What the protocol tells of a model."""
    task, name = slot.texts.task, slot.description.name
    datatypes = {field: _datatype(info.annotation) for field, info in task.Result.model_fields.items()}
    widths: dict[str, list[int]] = {}
    if vectors := [field for field, datatype in datatypes.items() if datatype == "FP32"]:
        # Only an answer tells how many numbers a vector has.
        _, found = await infer(core, slot, [task.example], {}, vectors)
        widths = {one.name: one.shape[1:] for one in found}
    outputs = [
        {"name": field, "datatype": datatype, "shape": [-1, *widths.get(field, [])]}
        for field, datatype in datatypes.items()
    ]
    return {
        "name": name,
        "versions": [str(one.description.version) for one in core.table.slots if one.description.name == name],
        "platform": slot.engine,
        "inputs": [{"name": INPUT, "datatype": "BYTES", "shape": [-1]}],
        "outputs": outputs,
    }


def usage(answer: Answer) -> dict[str, Any]:
    """What was read, as parameters of the answer, which hold plain values only: the list of places is JSON."""
    return {"tokens": answer.tokens, "truncated": json.dumps(answer.truncated)}
