"""Cross-validation: the same recipe fine-tuned and measured once a fold, for the spread of its figures."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any

from pipelines import evaluate, finetune, preprocess
from pipelines.shared.entry import main
from pipelines.shared.session import Session
from sluice.config import Config
from sluice.errors import UserError
from sluice.part import digest
from sluice.registry.runs import Run, open_run
from sluice.workspace import Output


class FoldSession(Session):
    """One fold at work: its stages are those of a training, its runs stand under a run of the fold."""

    def __init__(self, whole: Session, fold: int) -> None:
        self.cfg, self.workspace, self.store, self.git = whole.cfg, whole.workspace, whole.store, whole.git
        self.whole = whole
        self.above, self.job, self.choices, self.outputs = None, None, {}, {}
        self.name = f"fold {fold}"

    @cached_property
    def key(self) -> str:
        """The whole training and the fold."""
        return digest([self.whole.key, self.name])

    @cached_property
    def parent(self) -> Run:
        """The fold's own run, under the training's."""
        return open_run(self.store, self.cfg.name, self.name, self.key, self.whole.parent)


def divide(session: Session, prepared: Output) -> list[Output]:
    """The rows of each fold, none where no folds are asked for. What no fold could learn is a UserError."""
    cfg, folds = session.cfg, session.cfg.evaluate.folds

    def divided(fold: int) -> Output:
        place = {"fold": fold, "folds": folds or 0, "seed": cfg.data.split.seed, "data": prepared.record["data"]}
        key = session.stage_key((), ("sluice.evaluation.folds",), prepared.key, place)

        def build(folder: Path) -> dict[str, Any]:
            from sluice.evaluation.folds import divide

            return divide(prepared.folder, folder, task=cfg.task, **place)

        return session.workspace.run("fold", key, build)

    return [divided(fold) for fold in range(1, (folds or 0) + 1)]


def run(session: Session, prepared: Output) -> Output | None:
    """What the folds' figures have in common; None where no folds are asked for.

    Every fold is made of keyed stages like the training itself: one that is finished is not repeated.
    """
    parts = divide(session, prepared)
    if not parts:
        return None
    modules = ("sluice.training.bundle", "sluice.evaluation.measure", "sluice.evaluation.folds")
    key = session.stage_key((), modules, session.key, prepared.key)

    def build(_: Path, child: Run) -> dict[str, Any]:
        from sluice.evaluation.folds import margins, summary
        from sluice.evaluation.report import markdown_of_folds, table_of_folds

        records = [_measure(session, part, fold, len(parts)) for fold, part in enumerate(parts, 1)]
        record: dict[str, Any] = {
            "headline": list(records[0]["intervals"]),
            "metrics": summary(records),
            "margins": margins(records),
        }
        for one in (child, session.parent):
            for metric, figures in record["metrics"].items():
                one.metrics({f"cv/{metric}_mean": figures["mean"], f"cv/{metric}_std": figures["std"]})
        for fold, own in enumerate(records, 1):
            child.metrics({f"cv/{metric}": own["metrics"][metric] for metric in record["metrics"]}, fold)
        print(table_of_folds(record), flush=True)
        child.text(markdown_of_folds(record), "folds.md")
        return record

    return session.stage("crossvalidate", key, build)


def _measure(session: Session, part: Output, fold: int, folds: int) -> dict[str, Any]:
    """One fold's evaluation."""
    print(f"fold {fold} of {folds}", flush=True)
    with FoldSession(session, fold) as own:
        return evaluate.run(own, part, finetune.run(own, part), quiet=True).record


def command(cfg: Config) -> None:
    """`make crossvalidate`."""
    if cfg.evaluate.folds is None:
        raise UserError('how many folds? make crossvalidate ARGS="evaluate.folds=5"')
    with Session(cfg) as session:
        prepared = preprocess.run(session)
        evaluate.check(session, prepared)
        run(session, prepared)


if __name__ == "__main__":
    main(command)
