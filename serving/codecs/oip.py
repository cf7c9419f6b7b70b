"""The messages of `oip.proto`.

They are made from its description, in a pool of descriptors of their own. Generated code would put them into the one
pool that a process has for everybody, under the protocol's fixed names: whoever imports a client of the protocol beside
it, as our tests do, would be told that the names are taken. It would also ask for the protobuf that generated it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from google.protobuf.descriptor_pb2 import FileDescriptorSet
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass

SERVICE = "inference.GRPCInferenceService"


@dataclass(frozen=True)
class Call:
    """What a call takes and what it answers, as classes of messages."""

    request: Any
    reply: Any


def calls() -> dict[str, Call]:
    """The calls of the service by name."""
    pool = DescriptorPool()
    for file in FileDescriptorSet.FromString(Path(__file__).with_name("oip.binpb").read_bytes()).file:
        pool.Add(file)
    methods = pool.FindServiceByName(SERVICE).methods
    return {one.name: Call(GetMessageClass(one.input_type), GetMessageClass(one.output_type)) for one in methods}
