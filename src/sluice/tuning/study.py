"""`Study`: which trial is next, over kills and over processes that share the work."""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
from filelock import FileLock, Timeout
from optuna.trial import FrozenTrial, TrialState

from sluice.metrics.direction import sign
from sluice.part import digest
from sluice.tuning.settings import Dimension, Pruner, Tune, Value
from sluice.workspace import Abandoned

PATIENCE = 120
"""Seconds that a process waits for the database while others write."""
POLL = 1.0
"""Seconds between two looks at the trials of other processes."""


STATES = {TrialState.COMPLETE: "done", TrialState.PRUNED: "pruned", TrialState.FAIL: "failed"}


class Pruned(Abandoned):
    """A trial that was given up on its way."""


@dataclass(frozen=True)
class Outcome:
    """How a trial ended."""

    number: int
    params: dict[str, Value]
    value: float | None
    """The objective; of a pruned trial the last that was seen."""
    state: str


class Trial:
    """A trial at work in this process. Its lock tells the others that somebody is at it: the system frees it."""

    def __init__(
        self, study: optuna.Study, trial: optuna.Trial, choices: dict[str, Value], lock: FileLock, objective: str
    ) -> None:
        self._study, self._trial, self._lock = study, trial, lock
        self.number, self.choices, self.objective = trial.number, choices, objective

    def watch(self, figures: dict[str, float], step: int) -> None:
        """Note an intermediate validation; raises `Pruned` where the trial is not worth going on with."""
        if self.objective not in figures:
            return
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a step that was noted before a kill stays as it was
            self._trial.report(figures[self.objective], step)
        if self._trial.should_prune():
            raise Pruned(f"pruned at step {step}")

    def end(self, value: float | None, state: TrialState = TrialState.COMPLETE) -> None:
        """Tell the study how it ended."""
        self._study.tell(self._trial, value, state)
        self._lock.release()

    def prune(self) -> None:
        """Tell the study that it was given up."""
        self.end(None, TrialState.PRUNED)

    def fail(self, reason: str) -> None:
        """Tell the study that it could not be done; it does not count."""
        self._trial.set_user_attr("reason", reason[:1000])
        self.end(None, TrialState.FAIL)


class Study:
    """A study in a sqlite file of its own, found again by its key."""

    def __init__(self, folder: Path, name: str, key: str, settings: Tune, seed: int, objective: str) -> None:
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self.settings, self.seed, self.objective = settings, seed, objective
        self.sign = sign(objective.rpartition("/")[2])
        self.name = f"{name}-{key[:12]}"
        self.locks = folder / self.name
        self.locks.mkdir(parents=True, exist_ok=True)
        self.lock = FileLock(self.locks / "ask.lock")
        with FileLock(folder / f"{name}.lock"), warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            storage = optuna.storages.RDBStorage(
                f"sqlite:///{folder / name}.db", engine_kwargs={"connect_args": {"timeout": PATIENCE}}
            )
            self._study = optuna.create_study(
                study_name=self.name,
                storage=storage,
                direction="maximize" if self.sign > 0 else "minimize",
                pruner=_pruner(settings.pruner),
                load_if_exists=True,
            )

    def begin_with(self, values: Mapping[str, Any]) -> None:
        """Try these first, so that the best is never worse: what the command line says without tuning."""
        space = self.settings.space
        held = {path: value for path, value in values.items() if space[path].holds(value)}
        with self.lock:
            if held and not self.trials():
                self._study.enqueue_trial(held)

    def trials(self, *states: TrialState) -> list[FrozenTrial]:
        """Those in these states, or all."""
        return self._study.get_trials(deepcopy=False, states=states or None)

    def take(self, deadline: float) -> Trial | None:
        """The next trial: one that a kill cut off, else a new one. None when all are done, or at the deadline.

        Trials that other processes are at are waited for: one of these may be killed, and would be taken up here.
        """
        told = False
        while time.monotonic() < deadline:
            with self.lock:
                if len(self.trials(TrialState.COMPLETE, TrialState.PRUNED)) >= self.settings.trials:
                    return None
                if trial := self._orphan() or self._new():
                    return trial
            if not told:
                print("waiting for the last trials of another process", flush=True)
            told = True
            time.sleep(POLL)
        return None

    def _orphan(self) -> Trial | None:
        """A trial that counts as running and that nobody is at: with its settings it goes on where it was."""
        for frozen in self.trials(TrialState.RUNNING):
            lock = self._claim(frozen.number)
            if lock is None:
                continue
            if self.trials()[frozen.number].state is TrialState.RUNNING:
                print(f"\n[trial {frozen.number}] was cut off and goes on", flush=True)
                self._draw_as(frozen.number)
                return self._at_work(optuna.Trial(self._study, frozen._trial_id), lock)
            lock.release()  # it ended between the two looks
        return None

    def _new(self) -> Trial | None:
        under_way = self.trials(TrialState.COMPLETE, TrialState.PRUNED, TrialState.RUNNING)
        if len(under_way) >= self.settings.trials:
            return None
        self._draw_as(len(self.trials()) - len(self.trials(TrialState.WAITING)))
        trial = self._study.ask()
        lock = self._claim(trial.number)
        assert lock, "a new trial is nobody's yet"
        return self._at_work(trial, lock)

    def _draw_as(self, number: int) -> None:
        """A seed for each trial: one for the study would draw the same again in every process and after every kill."""
        seed = int(digest([self.seed, number])[:8], 16)
        self._study.sampler = optuna.samplers.TPESampler(n_startup_trials=self.settings.random_trials, seed=seed)

    def _claim(self, number: int) -> FileLock | None:
        lock = FileLock(self.locks / f"{number}.lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            return None
        return lock

    def _at_work(self, trial: optuna.Trial, lock: FileLock) -> Trial:
        for path, dimension in self.settings.space.items():
            _suggest(trial, path, dimension)
        return Trial(self._study, trial, self._settled(trial.params), lock, self.objective)

    def _settled(self, params: Mapping[str, Any]) -> dict[str, Value]:
        return {path: self.settings.space[path].settle(value) for path, value in params.items()}

    def importances(self) -> dict[str, float]:
        """How much of the spread each setting explains, by fANOVA; empty where too few trials came to an end."""
        ended = self.trials(TrialState.COMPLETE)
        if len(ended) < 4 or len({trial.value for trial in ended}) < 2:
            return {}
        evaluator = optuna.importance.FanovaImportanceEvaluator(seed=self.seed)
        return optuna.importance.get_param_importances(self._study, evaluator=evaluator)

    def outcomes(self) -> list[Outcome]:
        """Trials that ended: those that came to their end, best first, then those that were pruned, then the failed."""
        ended = [
            Outcome(trial.number, self._settled(trial.params), trial.value, STATES[trial.state])
            for trial in self.trials(*STATES)
        ]
        order = list(STATES.values())
        return sorted(
            ended, key=lambda one: (order.index(one.state), math.inf if one.value is None else -self.sign * one.value)
        )

    def best(self) -> tuple[Outcome, float] | None:
        """The best of those that came to their end, and its value."""
        done = [(one, one.value) for one in self.outcomes() if one.state == "done" and one.value is not None]
        return done[0] if done else None


def _suggest(trial: optuna.Trial, path: str, dimension: Dimension) -> None:
    if dimension.choices is not None:
        trial.suggest_categorical(path, dimension.choices)
        return
    low, high, step = dimension.low, dimension.high, dimension.step
    assert low is not None
    assert high is not None
    if dimension.whole:
        trial.suggest_int(path, int(low), int(high), step=int(step or 1), log=dimension.log)
    else:
        trial.suggest_float(path, float(low), float(high), step=step, log=dimension.log)


def _pruner(settings: Pruner) -> optuna.pruners.BasePruner:
    if settings.kind == "median":
        return optuna.pruners.MedianPruner(settings.startup_trials, settings.warmup_steps)
    if settings.kind == "hyperband":
        return optuna.pruners.HyperbandPruner(reduction_factor=settings.reduction_factor)
    return optuna.pruners.NopPruner()
