"""`Serve`: how users reach models. The service reads it; nothing in here knows a protocol."""

from __future__ import annotations

import os
import re
from typing import Annotated, Literal, Self

from pydantic import Field, SerializeAsAny, StringConstraints, field_validator, model_validator

from sluice.flight import Canary
from sluice.inference.engine import Engine, gpus
from sluice.part import Part

Reference = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_.-]*(@[A-Za-z0-9_-]+|:[1-9][0-9]*)?$")]
"""`name`, which is its champion, `name@alias` or `name:version`."""

Logged = Literal["none", "failed", "all"]
"""Requests that are told in the log: those that the service failed or turned away, or all."""


class Load(Part):
    """Callers that `make load` lets loose on a running service."""

    url: str | None = None
    """Where the service is, without a path; none is the port that is configured, on this machine."""
    callers: int = Field(8, ge=1, le=1000)
    """Callers, each of whom asks again as soon as he has his answer."""
    seconds: float = Field(10.0, gt=0, le=3600)
    """For how long."""
    repeats: float = Field(0.0, ge=0, lt=1)
    """Share of requests whose text its caller has asked before: a service may know the answer."""

    @field_validator("url")
    @classmethod
    def _plain(cls, url: str | None) -> str | None:
        if url is not None and not re.fullmatch(r"https?://[^/?#]+/?", url):
            raise ValueError("expected an address without a path, such as http://127.0.0.1:3000")
        return url


class Traces(Part):
    """Traces of requests for an OpenTelemetry collector."""

    share: float = Field(0.0, ge=0, le=1)
    """Requests that are traced; 0 traces none. A request that belongs to its caller's trace follows that."""
    url: str = Field("http://127.0.0.1:4318/v1/traces", pattern=r"^https?://")
    """Where they are sent, by OTLP over HTTP."""


class Serve(Part):
    """Where the service listens and what it accepts. Limits hold for each worker process."""

    models: tuple[Reference, ...] = ()
    """Registered models that are served, the first of a task being its default; empty is the champion of `name`."""
    engine: SerializeAsAny[Engine]
    """What computes."""
    engines: dict[str, SerializeAsAny[Engine]] = {}
    """Models, by name, that are run by another engine."""
    host: str = "127.0.0.1"
    """Address to listen on; 0.0.0.0 lets other machines in."""
    port: int = Field(3000, ge=1, le=65535)
    """Of HTTP."""
    grpc_port: int | None = Field(8001, ge=1, le=65535)
    """Of gRPC; none does without."""
    workers: int | None = Field(None, ge=1)
    """Processes that each hold the models; none is one a core, and on a GPU one."""
    batch: int = Field(8, ge=1)
    """Texts in one forward pass, at most. They are taken as they wait: nothing waits for a batch to fill."""
    too_long: Literal["truncate", "refuse"] = "truncate"
    """What becomes of a text with more tokens than its model reads: its answer says that it was cut, or is refused."""
    max_texts: int = Field(64, ge=1)
    """Texts in one request."""
    max_characters: int = Field(20_000, ge=1)
    """Characters in one text."""
    max_body_bytes: int = Field(1_048_576, ge=1024)
    """Bytes in the body of one request."""
    max_waiting: int = Field(512, ge=0)
    """Texts that may wait for a model; the next request is turned away."""
    log_requests: Logged = "failed"
    """Requests of which the log has a line of JSON."""
    traces: Traces = Traces()
    """Requests whose time is traced."""
    cache_answers: int = Field(4096, ge=0)
    """Answers that are kept to be given again to exact repeats; 0 keeps none."""
    canary: Canary = Canary()
    """What a version gets to answer that has the alias `canary`."""
    poll_s: float | None = Field(2.0, ge=0.1)
    """Seconds between two questions to the registry, whose aliases a running service follows; None: it does not."""
    timeout_s: float = Field(30.0, gt=0)
    """Seconds from the first byte of a request to the first byte of its answer."""
    grace_s: float = Field(30.0, gt=0)
    """Seconds that requests in flight have to finish once the service is told to stop."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        names = [name_of(reference) for reference in self.models]
        if names and (strangers := set(self.engines) - set(names)):
            raise ValueError(f"engines: {', '.join(sorted(strangers))} not in models={list(self.models)}")
        return self

    def processes(self) -> int:
        """How many workers there are on this machine."""
        if self.workers:
            return self.workers
        return len(gpus()) or len(os.sched_getaffinity(0))

    def threads(self) -> int:
        """Threads of a worker's engine, where the engine leaves them open: its share of the cores."""
        return max(1, len(os.sched_getaffinity(0)) // self.processes())

    def engine_of(self, name: str) -> Engine:
        """What runs a model."""
        return self.engines.get(name, self.engine)


def name_of(reference: str) -> str:
    """The model's name in `name`, `name@alias` or `name:version`."""
    return reference.partition("@")[0].partition(":")[0]
