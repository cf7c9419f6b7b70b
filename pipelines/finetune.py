"""A model that learns from the prepared rows, as a bundle."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines import preprocess, pretrain
from pipelines.shared.entry import main
from pipelines.shared.session import Session
from sluice.config import Config
from sluice.data.inspection.lengths import PLOT, refuse_truncated
from sluice.registry.runs import Run
from sluice.training.bundle import CHECKPOINTS
from sluice.training.pretraining.pretrain import MODEL
from sluice.training.reporter import Log
from sluice.workspace import Output

if TYPE_CHECKING:
    from sluice.models.spec import ModelSpec
    from sluice.training.distillation import Teacher


def run(session: Session, prepared: Output, watch: Log | None = None) -> Output:
    """The fine-tuned bundle (in `bundle/`), and the record of its training.

    `watch` is told what the log is told, and may end the training by raising `Abandoned`.
    """
    cfg = session.cfg
    pretrained = pretrain.run(session, prepared)
    pretraining = pretrained.record["digest"] if pretrained else None
    key = session.stage_key(
        (cfg.task, cfg.model, cfg.train),
        ("sluice.training.bundle",),
        cfg.seed,
        cfg.model.fingerprint(),
        prepared.record["data"],
        prepared.record["split"],
        pretraining,
    )

    spec = cfg.model.pretrained(pretrained.folder / MODEL) if pretrained else cfg.model
    return learn(session, "finetune", key, prepared, spec, {"pretraining": pretraining}, watch=watch)


def learn(
    session: Session,
    name: str,
    key: str,
    prepared: Output,
    spec: ModelSpec,
    origin: dict[str, str | None],
    teacher: Teacher | None = None,
    watch: Log | None = None,
) -> Output:
    """The stage in which a model of a recipe learns; `origin` is what its lineage says beside rows, recipe and code."""
    cfg = session.cfg

    def build(folder: Path, child: Run) -> dict[str, Any]:
        from sluice.inference.bundle import Lineage
        from sluice.registry.guard import Figures
        from sluice.training.bundle import train_bundle

        lineage = Lineage(
            data=prepared.record["data"], split=prepared.record["split"], config=key, git=session.git, **origin
        )
        child.tags({"sluice.pretraining": lineage.pretraining or "none"})
        child.dataset(cfg.data.name, prepared.record["data"], str(prepared.folder), "training")
        child.params(params(cfg))
        figures = Figures(child)

        def log(values: dict[str, float], step: int) -> None:
            figures(values, step)
            if watch:
                watch(values, step)

        parts = (cfg.task, spec, cfg.train, lineage)
        try:
            record = train_bundle(
                prepared.folder, folder, *parts, seed=cfg.seed, log=log, checks=cfg.checks, teacher=teacher
            )
        finally:  # texts that are cut too much stop the training: then the plot is what helps
            if (folder / PLOT).exists():
                child.file(folder / PLOT)
        figures.send()
        sides = record["lengths"]["sides"]
        child.metrics({f"tokens/{side}_{name}": sides[side][name] for side in sides for name in sides[side]})
        child.metrics({"train/steps": record["steps"], "model/parameters": record["parameters"]})
        return record

    output = session.stage(name, key, build)
    shutil.rmtree(output.folder / CHECKPOINTS, ignore_errors=True)  # not before the stage is known to be done
    refuse_truncated(output.record["lengths"], cfg.checks, output.folder)
    return output


def params(cfg: Config) -> dict[str, Any]:
    """The few choices that people compare runs by."""
    train = cfg.train.model_dump(
        include={
            "max_steps",
            "epochs",
            "batch_size",
            "accumulation",
            "learning_rate",
            "weight_decay",
            "label_smoothing",
        }
    )
    kinds = {
        "data": cfg.data.name,
        "task": cfg.task.name,
        "model": type(cfg.model).__name__,
        "pretrain": cfg.pretrain.length(),
        "seed": cfg.seed,
    }
    return {**kinds, "max_length": cfg.task.max_length, **train}


def command(cfg: Config) -> None:
    """`make finetune`."""
    with Session(cfg) as session:
        run(session, preprocess.run(session))


if __name__ == "__main__":
    main(command)
