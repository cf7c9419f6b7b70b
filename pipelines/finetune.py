"""A model that learns from the prepared rows, as a bundle."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from pipelines import preprocess
from pipelines.entry import main
from pipelines.session import Session
from sluice.config import Config
from sluice.registry.runs import Run
from sluice.training.bundle import CHECKPOINTS
from sluice.workspace import Output


def run(session: Session, prepared: Output) -> Output:
    """The fine-tuned bundle (in `bundle/`), and the record of its training."""
    cfg = session.cfg
    key = session.stage_key(
        (cfg.task, cfg.model, cfg.train),
        ("sluice.training.bundle",),
        cfg.seed,
        cfg.model.fingerprint(),
        prepared.record["data"],
        prepared.record["split"],
    )

    def build(folder: Path, child: Run) -> dict[str, Any]:
        from sluice.inference.bundle import Lineage
        from sluice.registry.guard import Figures
        from sluice.training.bundle import train_bundle

        lineage = Lineage(data=prepared.record["data"], split=prepared.record["split"], config=key, git=session.git)
        child.dataset(cfg.data.name, prepared.record["data"], str(prepared.folder), "training")
        child.params(params(cfg))
        log = Figures(child)
        record = train_bundle(prepared.folder, folder, cfg.task, cfg.model, cfg.train, lineage, seed=cfg.seed, log=log)
        log.send()
        child.metrics({"train/steps": record["steps"], "model/parameters": record["parameters"]})
        shutil.rmtree(folder / CHECKPOINTS)  # the last thing: until here a repeated command goes on from them
        return record

    return session.stage("finetune", key, build)


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
        "seed": cfg.seed,
    }
    return {**kinds, "max_length": cfg.task.max_length, **train}


def command(cfg: Config) -> None:
    """`make finetune`."""
    with Session(cfg) as session:
        run(session, preprocess.run(session))


if __name__ == "__main__":
    main(command)
