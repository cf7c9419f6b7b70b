"""BentoML's adaptive batching as its documentation has it: on torch's float32, and on the engine."""

from __future__ import annotations

import bentoml

from tests.bench.serving.peers import settings
from tests.bench.serving.peers.engine import Answer, Engine

service = bentoml.service(workers=settings.number(settings.WORKERS), traffic={"timeout": 60})
batching = bentoml.api(batchable=True, max_batch_size=settings.number(settings.BATCH))


@service
class OnTorch:
    """The pipeline of transformers, which takes lists."""

    def __init__(self) -> None:
        import torch
        from transformers import pipeline

        torch.set_num_threads(settings.number(settings.THREADS))
        self.classifier = pipeline("text-classification", model=str(settings.bundle()))

    @batching
    def classify(self, texts: list[str]) -> list[Answer]:
        """The label of each text."""
        return self.classifier(texts, truncation=True, batch_size=len(texts))


@service
class OnEngine:
    """onnxruntime."""

    def __init__(self) -> None:
        self.engine = Engine(settings.bundle())

    @batching
    def classify(self, texts: list[str]) -> list[Answer]:
        """The label of each text."""
        return self.engine(texts)
