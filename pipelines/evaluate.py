"""What the fine-tuned model is worth on the test rows, beside the baselines."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pipelines import finetune, preprocess
from pipelines.entry import main
from pipelines.session import Session
from sluice.config import Config
from sluice.registry.runs import Run
from sluice.workspace import Output

TEST = "test"
"""Artifact folder of the test rows and what the baselines say of them: the gate re-scores from it."""


def run(session: Session, prepared: Output, fitted: Output) -> Output:
    """The evaluation's record; its folder holds tables, plots and, in `test/`, what the gate will need."""
    cfg = session.cfg
    key = session.stage_key(
        (cfg.evaluate, cfg.serve.engine, cfg.task),
        ("sluice.evaluation.measure",),
        cfg.seed,
        cfg.keep_texts,
        fitted.record["digest"],
        prepared.record["split"],
    )

    def build(folder: Path, child: Run) -> dict[str, Any]:
        from sluice.evaluation.measure import measure
        from sluice.evaluation.report import markdown, table
        from sluice.evaluation.testset import write_testset
        from sluice.inference.predictor import Predictor

        test, baselines = write_testset(prepared.folder, folder / TEST, cfg.task)
        predictor = Predictor(fitted.folder / "bundle", cfg.serve.engine)
        record = measure(
            predictor, test, baselines, cfg.evaluate, seed=cfg.seed, folder=folder, keep_texts=cfg.keep_texts
        )
        child.files(folder)
        child.dataset(cfg.data.name, prepared.record["split"], str(prepared.folder), "test")
        figures = {f"test/{name}": value for name, value in record["metrics"].items()}
        for run in (child, session.parent):
            run.metrics(figures)
        print(table(record), flush=True)
        child.text(markdown(record), "results.md")
        return record

    return session.stage("evaluate", key, build)


def command(cfg: Config) -> None:
    """`make evaluate`."""
    with Session(cfg) as session:
        prepared = preprocess.run(session)
        run(session, prepared, finetune.run(session, prepared))


if __name__ == "__main__":
    main(command)
