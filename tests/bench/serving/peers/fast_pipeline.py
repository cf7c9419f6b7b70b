"""FastAPI around transformers' pipeline in torch's float32, as tutorials have it."""

from __future__ import annotations

import torch
from fastapi import FastAPI
from pydantic import BaseModel
from transformers import pipeline

from tests.bench.serving.peers import settings
from tests.bench.serving.peers.engine import Answer

torch.set_num_threads(settings.number(settings.THREADS))
classifier = pipeline("text-classification", model=str(settings.bundle()))
app = FastAPI()


class Asked(BaseModel):
    """The request's body."""

    input: str


@app.get("/ready")
def ready() -> str:
    """Say that the model is loaded."""
    return "ok"


@app.post("/classify")
def classify(asked: Asked) -> Answer:
    """The label of a text."""
    answer: Answer = classifier(asked.input, truncation=True)[0]
    return answer
