"""`Serve`: how users reach a model. The service reads it; nothing in here knows a protocol."""

from __future__ import annotations

from pydantic import Field, SerializeAsAny

from sluice.inference.engine import Engine
from sluice.part import Part


class Serve(Part):
    """Where the service listens and what it accepts. Limits hold for each worker process."""

    engine: SerializeAsAny[Engine]
    """What computes the logits."""
    host: str = "127.0.0.1"
    """Address to listen on; 0.0.0.0 lets other machines in."""
    port: int = Field(3000, ge=1, le=65535)
    workers: int = Field(1, ge=1)
    """Processes that each hold the model: one a core, with `engine.threads=1`, answers the most requests."""
    max_texts: int = Field(64, ge=1)
    """Texts in one request."""
    max_characters: int = Field(20_000, ge=1)
    """Characters in one text."""
    max_body_bytes: int = Field(1_048_576, ge=1024)
    """Bytes in the body of one request."""
    max_waiting: int = Field(32, ge=0)
    """Requests that may wait while another is computed; the next one is turned away."""
    timeout_s: float = Field(30.0, gt=0)
    """Seconds from the first byte of a request to the first byte of its answer."""
    grace_s: float = Field(30.0, gt=0)
    """Seconds that requests in flight have to finish once the service is told to stop."""
