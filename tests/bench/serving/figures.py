"""What a stretch of load on one server gives."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Figures:
    """Of requests that are answered at once, or of answers that are written token by token."""

    count: int
    """Good answers (2xx), or tokens."""
    seconds: float
    cpu_s: float
    """Of the server and all its processes."""
    pss_bytes: int
    """Of the same, at the end."""
    p50_ms: float | None = None
    """Until the answer, or until the first token."""
    p99_ms: float | None = None
    errors: int = 0
    """Other answers, connections that broke, requests without an answer."""
    load_cpu_s: float = 0.0
    """Of whoever asks."""

    @property
    def rate(self) -> float:
        """How many a second."""
        return self.count / self.seconds

    @property
    def cpu_ms(self) -> float:
        """CPU milliseconds of the server for one."""
        return 1000 * self.cpu_s / self.count if self.count else math.nan
