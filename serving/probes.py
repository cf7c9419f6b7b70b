"""`/readyz`: whether this worker answers, from which versions, and whether it still hears from the registry."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from typing import Any

from fastapi import APIRouter
from starlette.responses import JSONResponse, Response

from serving.core import Core

READY = "/readyz"
SECRET = re.compile(r"(\w+://)[^\s/@]+@")
PLACE = re.compile(r"(?<![\w:/.])/(?:[^\s/:'\"]+/)+")
"""The folders of an absolute path; what an address has after its host is none."""
SILENT_S = 60.0
"""A registry that nobody has asked for so long counts as not followed any more."""


def router(core: Core) -> APIRouter:
    """The probe that is not BentoML's."""
    routes = APIRouter(include_in_schema=False)

    @routes.get(READY)
    async def ready() -> Response:
        alive = core.alive()
        told = {
            "ready": alive,
            "models": [slot.description.id for slot in core.table.slots],
            "failed": {model: public(told) for model, told in core.failures.items()},
            "registry": _registry(core.state),
        }
        return JSONResponse(told, status_code=200 if alive else 503)

    return routes


def _registry(state: Path | None) -> dict[str, Any] | None:
    """What the registry's follower last said; None for a service that follows none."""
    if state is None or not state.exists():
        return None
    found = json.loads(state.read_text(encoding="utf-8"))
    age = time.time() - found["asked"]
    complaint = found["complaint"] or (f"not asked for {age:.0f} s" if age > SILENT_S else None)
    told = public(complaint) if complaint else None
    return {"answers": complaint is None, "asked_seconds_ago": round(age, 1), "complaint": told}


def public(told: str) -> str:
    """An error as anybody may read it: without a password in an address, without where files lie; the log has all."""
    return PLACE.sub("", SECRET.sub(r"\1", told))
