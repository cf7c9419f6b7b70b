"""Runs: one a training, one child a stage, found again by their key so that a killed run goes on as itself."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from filelock import FileLock

from sluice.registry.store import Store
from sluice.workspace import Abandoned

KEY = "sluice.key"
PARENT = "mlflow.parentRunId"
NOTE = "mlflow.note.content"


class Run:
    """An MLflow run."""

    def __init__(self, store: Store, run_id: str) -> None:
        self.store = store
        self.id = run_id

    def params(self, values: Mapping[str, Any]) -> None:
        """Log a few flat parameters; the same values again are no error."""
        from mlflow.entities import Param

        self.store.client.log_batch(self.id, params=[Param(key, str(value)) for key, value in values.items()])

    def logged_params(self) -> dict[str, str]:
        """The parameters that stand already."""
        return dict(self.store.client.get_run(self.id).data.params)

    def metrics(self, values: Mapping[str, float], step: int = 0) -> None:
        """Log figures; a `/` in a name makes a group on MLflow's page."""
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        figures = [Metric(key, float(value), now, step) for key, value in values.items()]
        self.store.client.log_batch(self.id, metrics=figures)

    def tags(self, values: Mapping[str, str]) -> None:
        """Set tags."""
        from mlflow.entities import RunTag

        self.store.client.log_batch(self.id, tags=[RunTag(key, value) for key, value in values.items()])

    def text(self, text: str, path: str) -> None:
        """Store a text as an artifact."""
        self.store.client.log_text(self.id, text, path)

    def files(self, folder: Path, path: str | None = None) -> None:
        """Store a folder's files as artifacts."""
        self.store.client.log_artifacts(self.id, str(folder), path)

    def file(self, file: Path, path: str | None = None) -> None:
        """Store one file as an artifact."""
        self.store.client.log_artifact(self.id, str(file), path)

    def dataset(self, name: str, digest: str, source: str, context: str) -> None:
        """Say which data this run read."""
        from mlflow.entities import Dataset, DatasetInput, InputTag

        dataset = Dataset(name=name, digest=digest[:36], source_type="local", source=source)
        inputs = [DatasetInput(dataset, [InputTag("mlflow.data.context", context)])]
        self.store.client.log_inputs(self.id, inputs)

    def finish(self, status: str = "FINISHED") -> None:
        """End the run."""
        self.store.client.set_terminated(self.id, status)

    def __enter__(self) -> Run:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """End the run by what happened; a killed process leaves it RUNNING, and the next start takes it up again."""
        stopped = kind is not None and issubclass(kind, KeyboardInterrupt | Abandoned)
        self.finish("FINISHED" if kind is None else "KILLED" if stopped else "FAILED")


def open_run(
    store: Store,
    experiment: str,
    name: str,
    key: str,
    parent: Run | None = None,
    tags: Mapping[str, str] | None = None,
) -> Run:
    """The run with this key, set to running again, or a new one: processes that ask at once get the same."""
    experiment_id = store.experiment(experiment)
    store.root.mkdir(parents=True, exist_ok=True)
    with FileLock(store.root / ".runs.lock"):
        found = store.client.search_runs([experiment_id], f"tags.`{KEY}` = '{key}'", max_results=1)
        if not found:
            marks = {KEY: key, **(tags or {}), **({PARENT: parent.id} if parent else {})}
            made = store.client.create_run(experiment_id, tags=marks, run_name=name)
            return Run(store, made.info.run_id)
    run = Run(store, found[0].info.run_id)
    store.client.update_run(run.id, "RUNNING", name)
    if parent:
        run.tags({PARENT: parent.id})
    return run


def end_below(run: Run, status: str) -> None:
    """End the runs under a run, at any depth, that still count as running."""
    client = run.store.client
    experiment = client.get_run(run.id).info.experiment_id
    for found in client.search_runs([experiment], f"tags.`{PARENT}` = '{run.id}'", max_results=10_000):
        child = Run(run.store, found.info.run_id)
        end_below(child, status)
        if found.info.status == "RUNNING":
            child.finish(status)
