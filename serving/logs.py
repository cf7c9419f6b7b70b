"""Who asked what, as one line of JSON a request: never what was asked."""

from __future__ import annotations

import json
import logging
import re
import sys
import time
import uuid

from sluice.inference.settings import Logged

GIVEN = re.compile(r"[A-Za-z0-9._:-]{1,128}")
"""What a caller may call his request; anything else could forge a line of the log."""
FAILURES = ("429", "RESOURCE_EXHAUSTED", "DEADLINE_EXCEEDED", "INTERNAL")
"""Statuses that are the service's, beside those of HTTP from 500 on."""
log = logging.getLogger("sluice.requests")


def start(which: Logged) -> None:
    """Write lines to standard output, of all requests or of those that failed."""
    if log.handlers:
        return
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(logging.Formatter("%(message)s"))
    log.addHandler(handler)
    log.propagate = False
    log.setLevel({"none": logging.CRITICAL, "failed": logging.WARNING, "all": logging.INFO}[which])


def request_id(given: str | None) -> str:
    """What a request is called: as the caller calls it, or by a name that no other has."""
    return given if given and GIVEN.fullmatch(given) else uuid.uuid4().hex


def failed(status: str) -> bool:
    """Whether the service failed a request, or turned it away, by its status over HTTP or gRPC."""
    return status in FAILURES or (status.isdigit() and int(status) >= 500)


def note(
    request: str, route: str, status: str, model: str, seconds: float, failed: bool, trace: str | None = None
) -> None:
    """A request that has come to its end."""
    level = logging.WARNING if failed else logging.INFO
    if log.isEnabledFor(level):
        moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime()) + f".{time.time_ns() // 1_000_000 % 1000:03d}Z"
        told = {"time": moment, "request": request, "route": route, "status": status, "model": model}
        told |= {"trace": trace} if trace else {}
        log.log(level, json.dumps({**told, "seconds": round(seconds, 6)}))
