"""A toy pretraining, and how it is made and opened."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np

from sluice.data.sources.corpus import Corpus
from sluice.models.encoder import Encoder
from sluice.training.pretraining.pretrain import MODEL, pretrain
from sluice.training.pretraining.settings import Pretrain
from tests.conftest import make_rows

SPEC = Encoder(vocabulary=400, hidden=32, layers=2, heads=2, feed_forward=48)
LENGTH = 32
TEXTS = [text for text, _ in make_rows(300)]
SETTINGS = {
    "max_steps": 30,
    "batch_size": 8,
    "sequence_length": LENGTH,
    "learning_rate": 1e-2,
    "precision": "fp32",
    "evaluations": 2,
}


def listed(*shards: list[str]) -> Corpus:
    """A corpus of shards that are just listed."""
    return Corpus(digest="listed", shards=[lambda left_out, texts=texts: iter(texts) for texts in shards])


def made(folder: Path, corpus: Corpus | None = None, spec=SPEC, log=lambda values, step: None, **changes):
    """A pretraining on the toy texts; returns its record."""
    settings = Pretrain.model_validate({**SETTINGS, **changes})
    return pretrain(corpus or listed(TEXTS), spec.backbone(), settings, max_length=LENGTH, folder=folder, log=log)


def opened(folder: Path):
    from transformers import AutoModelForMaskedLM

    return AutoModelForMaskedLM.from_pretrained(folder / MODEL)


def weights(model) -> np.ndarray:
    return np.concatenate([parameter.detach().cpu().numpy().ravel() for parameter in model.parameters()])


KILLED = {"max_steps": 60, "evaluations": 12}


def slowly(values: dict[str, float], step: int) -> None:
    """A log that takes its time, so that the process is killed in the middle."""
    time.sleep(0.05)
