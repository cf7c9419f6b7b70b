"""From prepared rows to a bundle: tokenizer, model, training, the folder that is registered and served."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sluice.data.inspection.settings import ONLY_REPORT, Checks
from sluice.files import folder_digest
from sluice.models.spec import ModelSpec
from sluice.tasks.task import Task
from sluice.training.fit import fit
from sluice.training.processes import spread
from sluice.training.reporter import Log
from sluice.training.rows import Rows
from sluice.training.settings import Train

if TYPE_CHECKING:
    from sluice.inference.bundle import Lineage
    from sluice.training.distillation import Teacher

BUNDLE = "bundle"
SHARD = "2GB"
"""Weights of larger models are saved in files of at most so much."""
CHECKPOINTS = "checkpoints"
"""What a training that is cut off goes on from; whoever called removes it when all is recorded."""


@dataclass(frozen=True)
class Job:
    """One training, in a form that another process can be handed."""

    prepared: Path
    folder: Path
    task: Task
    spec: ModelSpec
    settings: Train
    seed: int
    checkpoint: Path | None
    checks: Checks
    teacher: Teacher | None


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
    checks: Checks = ONLY_REPORT,
    teacher: Teacher | None = None,
) -> dict[str, Any]:
    """Fine-tune on the rows in `prepared`; `folder` gets `checkpoints/` on the way and `bundle/` at the end."""
    import numpy as np

    from sluice.data.prepare import load
    from sluice.data.rows import row_hashes
    from sluice.inference.bundle import TRAIN_ROWS, Bundle
    from sluice.training.checkpoints import newest_whole

    shutil.rmtree(folder / BUNDLE, ignore_errors=True)
    job = Job(prepared, folder, task, spec, settings, seed, newest_whole(folder / CHECKPOINTS), checks, teacher)
    alone = settings.processes == 1
    record = learn(job, log) if alone else spread(partial(learn, job), settings.processes, folder, log)
    rows = load(prepared)["train"].to_dict()
    bundle = folder / BUNDLE
    np.save(bundle / TRAIN_ROWS, row_hashes(task.texts(rows)), allow_pickle=False)
    fields = task.model_dump(mode="json")
    Bundle(task=task.name, fields=fields, labels=tuple(task.labels(rows)), lineage=lineage).write(bundle)
    return {**record, "digest": folder_digest(bundle)}


def learn(job: Job, log: Log) -> dict[str, Any]:
    """Tokenize, train, save model and tokenizer into `bundle/`; returns what the training took."""
    from transformers import set_seed

    from sluice.data.inspection.lengths import check_lengths, limit_of, token_lengths
    from sluice.data.prepare import load
    from sluice.training.arguments import check_choices
    from sluice.training.memory import WORTH_TELLING, check_memory

    check_choices(job.settings)
    task, spec = job.task, job.spec
    rows = load(job.prepared)
    train, validation = rows["train"].to_dict(), rows["validation"].to_dict()
    labels = task.labels(train)
    tokenizer = spec.tokenizer(task.corpus(train), task.max_length)
    known, unseen = (Rows.of(task, tokenizer, side, labels) for side in (train, validation))
    sides = {"train": train, "validation": validation, "test": rows["test"].to_dict()}
    lengths = token_lengths(tokenizer, task, sides, {"train": known.encoded, "validation": unseen.encoded})
    read = check_lengths(lengths, limit_of(tokenizer, task), job.checks, job.folder)
    need = check_memory(spec, task, labels, tokenizer, known, job.settings)
    if need.total > WORTH_TELLING and os.environ.get("RANK", "0") == "0":
        print(f"memory  {need}", flush=True)
    set_seed(job.seed)
    model = spec.model(task.model_class(), task.head(labels), tokenizer, known.ids)
    task.begin(model, train)
    fitted = fit(
        model,
        tokenizer,
        task,
        known,
        unseen,
        labels,
        job.settings,
        seed=job.seed,
        folder=job.folder / CHECKPOINTS,
        checkpoint=job.checkpoint,
        log=log,
        teacher=job.teacher,
    )
    if os.environ.get("RANK", "0") == "0":
        task.finish(fitted.model)
        fitted.model.save_pretrained(job.folder / BUNDLE, max_shard_size=SHARD)
        tokenizer.save_pretrained(job.folder / BUNDLE)
        task.export(job.folder / BUNDLE)
    return {
        "steps": fitted.steps,
        "best_validation": fitted.best,
        "resumed_from": fitted.resumed_from,
        "lengths": read,
        "parameters": sum(parameter.numel() for parameter in fitted.model.parameters()),
    }
