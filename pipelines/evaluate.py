"""What the fine-tuned model is worth on the test rows, beside the baselines."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pipelines import finetune, preprocess
from pipelines.shared.entry import main
from pipelines.shared.session import Session
from sluice.config import Config
from sluice.inference.engines.torch import reference
from sluice.registry.runs import Run
from sluice.workspace import Output

TEST = "test"
"""Artifact folder of the test rows and what the baselines say of them: the gate re-scores from it."""


def check(session: Session, prepared: Output) -> None:
    """Raise UserError for settings that do not fit the rows, before anything is trained."""
    from sluice.data.prepare import ROWS
    from sluice.errors import UserError
    from sluice.evaluation.casefile import nearest
    from sluice.evaluation.slices import check_columns

    settings, labels = session.cfg.evaluate, list(prepared.record["labels"].get("train", ()))
    if (settings.abstain or settings.out_of_scope) and not session.cfg.task.abstains:
        name = "abstain" if settings.abstain else "out_of_scope"
        raise UserError(
            f"evaluate.{name}: task={session.cfg.task.name} gives no answer that a threshold could hold back"
        )
    settings.read_cases().check(session.cfg.task, labels)
    if settings.out_of_scope is not None and settings.out_of_scope not in labels:
        told = f"evaluate.out_of_scope={settings.out_of_scope} is no label of the training rows."
        raise UserError(f"{told} {nearest(settings.out_of_scope, labels)}")
    described = prepared.folder / ROWS / "test" / "dataset_info.json"
    check_columns(settings.slices or (), list(json.loads(described.read_text(encoding="utf-8"))["features"]))


def run(session: Session, prepared: Output, fitted: Output, quiet: bool = False) -> Output:
    """The evaluation's record; its folder holds tables, plots and, in `test/`, what the gate will need."""
    cfg = session.cfg
    settings = cfg.evaluate.model_copy(update={"folds": None})  # cross-validation changes nothing here
    key = session.stage_key(
        (settings, reference(cfg.serve.engine), cfg.task),
        ("sluice.evaluation.measure",),
        cfg.seed,
        cfg.keep_texts,
        settings.fingerprint(),
        fitted.record["digest"],
        prepared.record["split"],
    )

    def build(folder: Path, child: Run) -> dict[str, Any]:
        from sluice.data.prepare import load
        from sluice.evaluation.measure import measure
        from sluice.evaluation.report import markdown, table
        from sluice.evaluation.testset import write_testset
        from sluice.inference.predictor import Predictor

        test = write_testset(prepared.folder, folder / TEST, cfg.task, settings.read_cases())
        validation = load(prepared.folder)["validation"].to_dict() if settings.abstain else None
        predictor = Predictor(fitted.folder / "bundle", reference(cfg.serve.engine))
        record = measure(predictor, test, validation, settings, seed=cfg.seed, folder=folder, keep_texts=cfg.keep_texts)
        child.files(folder)
        child.dataset(cfg.data.name, prepared.record["split"], str(prepared.folder), "test")
        figures = {f"test/{name}": value for name, value in record["metrics"].items()}
        figures |= {f"behaviour/{kind}": share for kind, share in record["behaviour"]["shares"].items()}
        for run in (child, session.parent):
            run.metrics(figures)
        if not quiet:
            print(table(record), flush=True)
        child.text(markdown(record), "results.md")
        return record

    return session.stage("evaluate", key, build)


def command(cfg: Config) -> None:
    """`make evaluate`."""
    from pipelines import compare, crossvalidate

    with Session(cfg) as session:
        prepared = preprocess.run(session)
        check(session, prepared)
        crossvalidate.divide(session, prepared)  # its errors come before anything is trained
        fitted = finetune.run(session, prepared)
        evaluated = run(session, prepared, fitted)
        crossvalidate.run(session, prepared)
        compare.run(session, fitted, evaluated)


if __name__ == "__main__":
    main(command)
