"""The test rows with all that is asked of them, in the form that travels with a run to the gate."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sluice.data.prepare import load
from sluice.errors import UserError
from sluice.evaluation.casefile import Cases
from sluice.files import write_text
from sluice.tasks.task import Baselines, Columns, Task

ROWS, GUESSES, CASES = "rows.parquet", "baselines.npz", "cases.json"


@dataclass(frozen=True)
class TestSet:
    """What a model is scored on."""

    __test__ = False  # not one of pytest's

    rows: Columns
    """With their hashes in `row`."""
    baselines: Baselines
    cases: Cases


def write_testset(prepared: Path, folder: Path, task: Task, cases: Cases) -> TestSet:
    """Fit the baselines on the training rows and store them with the test rows and the behavioural cases."""
    import pyarrow.parquet as pq

    rows = load(prepared)
    train, test = rows["train"].to_dict(), rows["test"].to_dict()
    baselines = task.baselines(train, test, task.labels(train))
    folder.mkdir(exist_ok=True)
    pq.write_table(rows["test"].data.table, folder / ROWS)
    named: dict[str, Any] = {f"trivial.{name}": guesses for name, guesses in baselines.trivial.items()}
    named |= {f"strong.{name}": guesses for name, guesses in baselines.strong.items()}
    np.savez_compressed(folder / GUESSES, **named)
    if cases.cases:
        write_text(folder / CASES, cases.model_dump_json(indent=1))
    return TestSet(test, baselines, cases)


def read_testset(folder: Path) -> TestSet:
    """What `write_testset` wrote."""
    import pyarrow.parquet as pq

    try:
        test = pq.read_table(folder / ROWS).to_pydict()
        with np.load(folder / GUESSES, allow_pickle=False) as stored:
            named = {name: stored[name] for name in stored.files}
        text = (folder / CASES).read_text(encoding="utf-8") if (folder / CASES).exists() else "{}"
        cases = Cases.model_validate_json(text)
    except (OSError, ValueError) as error:
        raise UserError(f"the test rows in {folder} cannot be read: {error}") from error
    kinds: dict[str, dict[str, np.ndarray]] = {"trivial": {}, "strong": {}}
    for name, guesses in named.items():
        kind, _, baseline = name.partition(".")
        kinds[kind][baseline] = guesses
    return TestSet(test, Baselines(**kinds), cases)
