"""The test rows with all that is asked of them, in the form that travels with a run to the gate."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from sluice.data.prepare import load
from sluice.errors import UserError
from sluice.evaluation.casefile import Cases
from sluice.files import write_json, write_text
from sluice.tasks.task import Baselines, Columns, Task

ROWS, GUESSES, CASES = "rows.parquet", "baselines.json", "cases.json"


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
    baselines = task.baselines(train, test)
    folder.mkdir(exist_ok=True)
    pq.write_table(rows["test"].data.table, folder / ROWS)
    write_json(folder / GUESSES, asdict(baselines))
    if cases.cases:
        write_text(folder / CASES, cases.model_dump_json(indent=1))
    return TestSet(test, baselines, cases)


def read_testset(folder: Path) -> TestSet:
    """What `write_testset` wrote."""
    import pyarrow.parquet as pq

    try:
        test = pq.read_table(folder / ROWS).to_pydict()
        baselines = Baselines(**json.loads((folder / GUESSES).read_text(encoding="utf-8")))
        text = (folder / CASES).read_text(encoding="utf-8") if (folder / CASES).exists() else "{}"
        cases = Cases.model_validate_json(text)
    except (OSError, ValueError, TypeError) as error:
        raise UserError(f"the test rows in {folder} cannot be read: {error}") from error
    return TestSet(test, baselines, cases)
