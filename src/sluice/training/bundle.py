"""From prepared rows to a bundle: tokenizer, model, training, the folder that is registered and served."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from sluice.files import folder_digest
from sluice.models.spec import ModelSpec
from sluice.tasks.task import Task
from sluice.training.fit import Rows, fit
from sluice.training.reporter import Log
from sluice.training.settings import Train

if TYPE_CHECKING:
    from sluice.inference.bundle import Lineage


CHECKPOINTS = "checkpoints"
"""What a training that is cut off goes on from; whoever called removes it when all is recorded."""


def train_bundle(
    prepared: Path,
    folder: Path,
    task: Task,
    spec: ModelSpec,
    settings: Train,
    lineage: Lineage,
    *,
    seed: int,
    log: Log,
) -> dict[str, Any]:
    """Fine-tune on the rows in `prepared`; `folder` gets `checkpoints/` and, at the end, `bundle/`."""
    import shutil

    import numpy as np
    from transformers import set_seed

    from sluice.data.prepare import load
    from sluice.data.rows import row_hashes
    from sluice.inference.bundle import TRAIN_ROWS, Bundle

    rows = load(prepared)
    train, validation = rows["train"].to_dict(), rows["validation"].to_dict()
    labels = task.labels(train)
    tokenizer = spec.tokenizer(train["text"], task.max_length)
    encoded = [
        Rows(task.encode(tokenizer, side["text"]), task.references(side, labels)) for side in (train, validation)
    ]
    set_seed(seed)
    model = spec.model(task.model_class(), labels, tokenizer, encoded[0].ids)
    checkpoints = folder / CHECKPOINTS
    fitted = fit(model, tokenizer, task, encoded[0], encoded[1], settings, seed=seed, folder=checkpoints, log=log)
    bundle = folder / "bundle"
    shutil.rmtree(bundle, ignore_errors=True)
    fitted.model.save_pretrained(bundle)
    tokenizer.save_pretrained(bundle)
    np.save(bundle / TRAIN_ROWS, row_hashes(train["text"]), allow_pickle=False)
    Bundle(task=task.name, fields=task.model_dump(mode="json"), labels=labels, lineage=lineage).write(bundle)
    return {
        "steps": fitted.steps,
        "best_validation": fitted.best,
        "resumed_from": fitted.resumed_from,
        "parameters": sum(parameter.numel() for parameter in fitted.model.parameters()),
        "digest": folder_digest(bundle),
    }
