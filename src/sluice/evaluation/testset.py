"""The test rows and the baselines' predictions on them, in the form that travels with a run to the gate."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from sluice.data.prepare import load
from sluice.errors import UserError
from sluice.tasks.task import Baselines, Columns, Task

ROWS, GUESSES = "rows.parquet", "baselines.npz"


def write_testset(prepared: Path, folder: Path, task: Task) -> tuple[Columns, Baselines]:
    """Fit the baselines on the training rows and store them with the test rows."""
    import pyarrow.parquet as pq

    rows = load(prepared)
    train, test = rows["train"].to_dict(), rows["test"].to_dict()
    baselines = task.baselines(train, test, task.labels(train))
    folder.mkdir(exist_ok=True)
    pq.write_table(rows["test"].data.table, folder / ROWS)
    named: dict[str, Any] = {f"trivial.{name}": guesses for name, guesses in baselines.trivial.items()}
    named |= {f"strong.{name}": guesses for name, guesses in baselines.strong.items()}
    np.savez_compressed(folder / GUESSES, **named)
    return test, baselines


def read_testset(folder: Path) -> tuple[Columns, Baselines]:
    """What `write_testset` wrote."""
    import pyarrow.parquet as pq

    try:
        test = pq.read_table(folder / ROWS).to_pydict()
        with np.load(folder / GUESSES, allow_pickle=False) as stored:
            named = {name: stored[name] for name in stored.files}
    except (OSError, ValueError) as error:
        raise UserError(f"the test rows in {folder} cannot be read: {error}") from error
    kinds: dict[str, dict[str, np.ndarray]] = {"trivial": {}, "strong": {}}
    for name, guesses in named.items():
        kind, _, baseline = name.partition(".")
        kinds[kind][baseline] = guesses
    return test, Baselines(**kinds)
