"""FastAPI around the engine, one uvicorn worker a core, no batching. Both kinds of route that FastAPI has."""

from __future__ import annotations

from fastapi import FastAPI
from pydantic import BaseModel

from tests.bench.serving.peers import settings
from tests.bench.serving.peers.engine import Answer, Engine

engine = Engine(settings.bundle())
app = FastAPI()


class Asked(BaseModel):
    """The request's body."""

    input: str


@app.get("/ready")
async def ready() -> str:
    """Say that the model is loaded."""
    return "ok"


@app.post("/inline")
async def inline(asked: Asked) -> Answer:
    """The label of a text, computed on the event loop: nothing is handed over, but nobody else is heard meanwhile."""
    return engine([asked.input])[0]


@app.post("/threaded")
def threaded(asked: Asked) -> Answer:
    """The label of a text, computed in a thread of FastAPI's pool."""
    return engine([asked.input])[0]
