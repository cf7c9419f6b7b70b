"""What the stages of one command share: the configuration, the workspace, MLflow and the parent run."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any

from pipelines.shared import sweep
from sluice.config import Config, to_yaml
from sluice.part import Part, digest
from sluice.registry.git import state
from sluice.registry.runs import Run, open_run
from sluice.registry.store import Store
from sluice.workspace import Output, Workspace, stage_key

REPOSITORY = Path(__file__).parents[2]
LIBRARIES = (
    "accelerate",
    "datasets",
    "numpy",
    "py3langid",
    "pyarrow",
    "scikit-learn",
    "tokenizers",
    "torch",
    "transformers",
)
"""Libraries whose version can change a model or its figures."""


@dataclass(frozen=True)
class Derived:
    """What is made of a version, and not by the recipe alone."""

    name: str
    """What is done to it."""
    of: str
    """SHA-256 of that version's bundle."""
    settings: tuple[Part, ...]


class Session:
    """One training at work. Use it as a context: leaving it ends the parent run by what happened.

    A training of a sweep or of a study stands under `above` in MLflow, and names the `choices` that make it differ
    from the others: both are then recorded even where every stage is found done.
    """

    def __init__(
        self,
        cfg: Config,
        above: Run | None = None,
        choices: Mapping[str, str] | None = None,
        derived: Derived | None = None,
    ) -> None:
        self.cfg = cfg
        self.derived = derived
        self.workspace = Workspace(cfg.root / "work")
        self.store = Store(cfg.root, cfg.tracking_uri)
        self.git = state(REPOSITORY)
        self.job = sweep.job() if above is None else None
        self.above = self.job.open_run(self.store, cfg.name) if self.job else above
        self.choices = self.job.choices if self.job else choices or {}
        self.outputs: dict[str, Output] = {}

    @cached_property
    def key(self) -> str:
        """What makes this training this one: all that decides the model and its figures."""
        cfg = self.cfg
        parts = (cfg.data, cfg.task, cfg.model, cfg.pretrain, cfg.train, cfg.evaluate)
        modules = (
            "sluice.data.prepare",
            "sluice.training.bundle",
            "sluice.evaluation.measure",
            "sluice.registry.versions",
            *(["sluice.training.pretraining.pretrain"] if cfg.pretrain.enabled else []),
        )
        return self.stage_key(
            parts,
            modules,
            cfg.name,
            cfg.seed,
            cfg.keep_texts,
            cfg.data.fingerprint(),
            cfg.model.fingerprint(),
            cfg.pretrain.fingerprint(self.workspace.root),
            cfg.evaluate.fingerprint(),
            *([self.derived.of, self.derived.settings] if self.derived else []),
        )

    @staticmethod
    def stage_key(parts: tuple[Part, ...], modules: tuple[str, ...], *inputs: Any) -> str:
        """A key over the parts with their classes' code, the code that `modules` reach, and plain inputs."""
        sources = [*modules, *(type(part).__module__ for part in parts)]
        return stage_key(*parts, *inputs, sources=sources, libraries=LIBRARIES)

    @cached_property
    def parent(self) -> Run:
        """The run of the whole training, opened when the first stage has something to do."""
        size = self.derived.name if self.derived else type(self.cfg.model).__name__.lower()
        tags = {"sluice.git": self.git}
        run = open_run(self.store, self.cfg.name, f"{size}-{self.key[:6]}", self.key, self.above, tags)
        run.text(to_yaml(self.cfg), "config.yaml")
        if self.choices:
            known = run.logged_params()  # another sweep may have come to this training by other choices
            run.params({key: value for key, value in self.choices.items() if key not in known})
        return run

    def stage(self, name: str, key: str, build: Callable[[Path, Run], dict[str, Any]]) -> Output:
        """Run one stage in its folder and in its own child run, or find it done."""

        def inside(folder: Path) -> dict[str, Any]:
            print(f"[{name}]", flush=True)
            start = time.perf_counter()
            run_key = digest([self.key, name])
            with open_run(self.store, self.cfg.name, name, run_key, self.parent) as run:
                run.tags({"sluice.stage_key": key})
                record = build(folder, run)
            print(f"[{name}] done in {time.perf_counter() - start:.1f} s", flush=True)
            return record

        output = self.workspace.run(name, key, inside)
        if not output.fresh:
            print(f"[{name}] unchanged: {shorten(output.folder)}", flush=True)
        self.outputs[name] = output
        return output

    @property
    def figures(self) -> dict[str, float]:
        """The task's metrics on validation and test rows and over folds, of the stages that were asked for."""
        metric, found = self.cfg.task.primary_metric, {}
        if fitted := self.outputs.get("finetune"):
            found[f"validation/{self.cfg.task.validation_metric}"] = fitted.record["best_validation"]
        if evaluated := self.outputs.get("evaluate"):
            found[f"test/{metric}"] = evaluated.record["metrics"][metric]
        if folded := self.outputs.get("crossvalidate"):
            found[f"cv/{metric}"] = folded.record["metrics"][metric]["mean"]
        return found

    def _compare(self) -> None:
        """Leave on the parent run what makes it comparable with the others under the same run."""
        self.parent.metrics(self.figures)
        if self.job:
            register, preprocess = self.outputs.get("register"), self.outputs.get("preprocess")
            self.job.facts |= {
                "metric": self.cfg.task.primary_metric,
                "judged_by": self.cfg.task.validation_metric,
                **{name.split("/")[0]: value for name, value in self.figures.items()},
                "version": register.record["version"] if register else None,
                "split": preprocess.record["split"] if preprocess else None,
            }

    def __enter__(self) -> Session:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.above and kind is None:
            self._compare()
        if "parent" in self.__dict__:
            self.parent.__exit__(kind)


def shorten(path: Path) -> str:
    """A path as the user would type it from here."""
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)


def named(name: str, *more: str) -> str:
    """What a command needs to be about this model, and more: nothing where it is the default one."""
    asked = [*([] if name == "apidocs" else [f"name={name}"]), *more]
    quote = "'" if any('"' in one for one in asked) else '"'
    return f" ARGS={quote}{' '.join(asked)}{quote}" if asked else ""
