"""A search for better settings: each trial is a fine-tuning, judged on the validation rows, never on the test rows."""

from __future__ import annotations

import math
import os
import time
import traceback
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from pipelines import finetune, preprocess
from pipelines.shared import sweep
from pipelines.shared.entry import main
from pipelines.shared.session import Session, shorten
from pipelines.shared.variants import ASIDE, Variant, made_here, variant, write_recipe
from pipelines.shared.wording import CONF, explain
from sluice.config import Config
from sluice.errors import UserError
from sluice.part import Part
from sluice.registry.runs import NOTE, Run, open_run
from sluice.registry.store import Store

if TYPE_CHECKING:
    from sluice.tuning.study import Study, Trial

FAILURES = 3
"""Trials that fail one after the other before the study stops: then it is not the settings."""
FIXED = {
    "data": "trials would be judged on different rows",
    "name": "it names the study",
    "keep_texts": "it changes no model",
    "experiment": "it may change the rows",
    "debug": "it changes the study itself",
}
"""What no trial may change, and why."""


def command(cfg: Config) -> None:
    """`make tune`: goes on after a kill, to the number of trials asked for; several at once share the work."""
    path = _recipe(cfg)
    base = _checked(cfg)
    from sluice.tuning.report import table
    from sluice.tuning.study import Study

    deadline = time.monotonic() + (cfg.tune.timeout_s or math.inf)
    metric = f"validation/{cfg.task.validation_metric}"
    study = Study(cfg.root.absolute() / "work" / "tune", _name(cfg), _key(cfg), cfg.tune, cfg.seed, metric)
    study.begin_with({path: _at(base, path) for path in cfg.tune.space})
    store, job = Store(cfg.root, cfg.tracking_uri), sweep.job()
    above = job.open_run(store, cfg.name) if job else None
    with open_run(store, cfg.name, f"study-{study.name[-12:-6]}", study.name, above) as run:
        run.tags({"sluice.study": study.name})
        _work(study, run, deadline)
        print(f"\n{table(study)}", flush=True)
        _record(study, run)
        found = study.best()
        if found is None:
            raise UserError("no trial came to its end: give the study more trials or more time, tune.timeout_s=null")
        best, value = found
        write_recipe(
            _recipe(cfg), variant(best.params), f"study {study.name}, trial {best.number}, {metric} {value:.4f}."
        )
        run.file(path)
    print(f"\nbest: trial {best.number}, {metric} {value:.4f}, written to {shorten(path)}")
    print(f'Next: make train ARGS="experiment={path.stem}"')


def _name(cfg: Config) -> str:
    return cfg.tune.study or f"{cfg.name}-tuned"


def _recipe(cfg: Config) -> Path:
    """Where the best trial will be written; what somebody else wrote there is left alone."""
    path = (cfg.tune.save_as or Path(CONF) / "experiment" / f"{_name(cfg)}.yaml").absolute()
    if path.suffix != ".yaml":
        raise UserError(f"tune.save_as={path}: expected the name of a .yaml file")
    if not os.access(next(above for above in path.parents if above.is_dir()), os.W_OK):
        raise UserError(f"tune.save_as={path}: nothing can be written there. Name another place")
    if path.exists() and not made_here(path):
        raise UserError(
            f"{shorten(path)} exists and is not as make tune left it: the best trial would overwrite it. "
            "Rename it, or name another: tune.save_as=conf/experiment/other.yaml"
        )
    return path


def _checked(cfg: Config) -> Variant:
    """Compose the space's ends before anything runs. Returns the configuration without tuning."""
    space = cfg.tune.space
    if not space:
        raise UserError("tune.space is empty: name a setting, '+tune.space.train.batch_size={choices: [16, 32, 64]}'")
    for path in space:
        group = path.split(".")[0]
        if why := FIXED.get(group, "it says nothing about how a model is made" if group in ASIDE else None):
            raise UserError(f"tune.space: {path} cannot be tuned: {why}")
    for number in range(max(len(dimension.ends) for dimension in space.values())):
        ends = {path: dimension.ends[number % len(dimension.ends)] for path, dimension in space.items()}
        try:
            variant(ends)
        except Exception as error:
            if text := explain(error):
                raise UserError(f"tune.space: {text}") from error
            raise
    return variant({})


def _key(cfg: Config) -> str:
    """The same for the same rows, settings, space and training code: then trials can be compared."""
    parts = [getattr(cfg, name) for name in type(cfg).model_fields if name not in ASIDE]
    return Session.stage_key(
        tuple(part for part in parts if isinstance(part, Part)),
        ("sluice.data.prepare", "sluice.training.bundle"),
        cfg.name,
        cfg.seed,
        cfg.data.fingerprint(),
        cfg.model.fingerprint(),
        cfg.tune.space,
    )


def _at(base: Variant, path: str) -> Any:
    """What the command line says without tuning: a group's choice, or a setting."""
    if path in base.groups:
        return base.groups[path]
    value: Any = base.plain
    for name in path.split("."):
        value = value[name]
    return value


def _work(study: Study, run: Run, deadline: float) -> None:
    failures = 0
    while trial := study.take(deadline):
        failures = 0 if _attempt(trial, run) else failures + 1
        if failures == FAILURES:
            raise UserError(f"{FAILURES} trials failed one after the other: see above. Mend it and run again")


def _attempt(trial: Trial, run: Run) -> bool:
    """One trial to its end. Returns whether it counts. What stops the command leaves the trial to be taken up."""
    from sluice.tuning.study import Pruned

    print(f"\n[trial {trial.number}] " + " ".join(f"{path}={value}" for path, value in trial.choices.items()))
    try:
        value = _train(trial, run)
        if math.isnan(value):
            raise UserError("validation gave no number")
    except Pruned as pruned:
        print(f"\n[trial {trial.number}] {pruned}", flush=True)
        trial.prune()
        return True
    except Exception as error:
        text = explain(error) or traceback.format_exc()
        print(f"\n[trial {trial.number}] failed: {text}", flush=True)
        trial.fail(text)
        return False
    print(f"[trial {trial.number}] {trial.objective} {value:.4f}", flush=True)
    trial.end(value)
    return True


def _train(trial: Trial, run: Run) -> float:
    """The objective on the validation rows, at its best checkpoint."""
    chosen = variant(trial.choices)
    names = {path: f"{path}.choice" if path in chosen.groups else path for path in trial.choices}
    choices = {names[path]: str(value) for path, value in trial.choices.items()}
    with Session(chosen.cfg, above=run, choices=choices) as session:
        session.parent.tags({"sluice.trial": str(trial.number)})

        def watch(figures: dict[str, float], step: int) -> None:
            if trial.objective in figures:
                session.parent.metrics({trial.objective: figures[trial.objective]})
            trial.watch(figures, step)

        return finetune.run(session, preprocess.run(session), watch).record["best_validation"]


def _record(study: Study, run: Run) -> None:
    """The table and the way there, for MLflow's page of the study."""
    from sluice.tuning.report import plot, table

    run.tags({NOTE: table(study, markdown=True)[:4900]})
    run.text(table(study) + "\n", "trials.txt")
    if found := study.best():
        run.metrics({study.objective: found[1]})
        with TemporaryDirectory() as folder:
            plot(study, Path(folder) / "trials.png")
            run.file(Path(folder) / "trials.png")


if __name__ == "__main__":
    main(command)
