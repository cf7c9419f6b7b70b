"""How often drift is called where there is none, and what is seen where there is some: `make bench-drift`.

The prepared rows are divided anew, again and again, by the hash of their groups, as preprocessing divides them:
whatever the check calls a shift there is a false alarm. With `--column` it is then the turn of true shifts: each value
of that column becomes the test, the other rows are divided into training and validation.

    make bench-drift ARGS="--divisions 40"
    make bench-drift ARGS="--column domain data=files data.train=reviews.jsonl data.keep=[domain]"
"""

from __future__ import annotations

import argparse
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from datasets import concatenate_datasets

from pipelines import preprocess
from pipelines.shared.session import Session
from sluice.data.duplicates import near_pairs
from sluice.data.inspection.drift import LABELS, WORDS, Drift, Rows, drifts, units_of
from sluice.data.prepare import load
from sluice.data.rows import normalise
from sluice.data.source import GROUP, Split
from sluice.data.split import SIDES, TEST, TRAIN, VALIDATION, assign
from tests.bench import told, whole
from tests.conftest import compose_config


@dataclass(frozen=True)
class Prepared:
    """All rows of a source, whatever side they stand on."""

    columns: dict[str, list[Any]]

    @cached_property
    def pairs(self) -> Any:
        """Near-duplicates among them."""
        return near_pairs([normalise(text) for text in self.columns["text"]])

    def tested(self, sides: Sequence[str]) -> list[Drift]:
        """What the check says of the rows on these sides."""
        units = units_of(self.columns[GROUP], sides, self.pairs)
        return drifts(Rows(self.columns["text"], np.array(sides, "U10"), units, {LABELS: self.columns["label"]}))

    def divided(self, seed: int) -> list[str]:
        """A side for each row, by its group."""
        nowhere = [None] * len(self.columns["text"])
        return assign(self.columns[GROUP], nowhere, Split(validation=0.15, test=0.15, seed=seed))


def prepared(root: str, overrides: list[str]) -> Prepared:
    """The rows that this configuration prepares."""
    with Session(compose_config(f"root={root}", *overrides)) as session:
        sides = load(preprocess.run(session).folder)
    return Prepared(concatenate_datasets([sides[side] for side in SIDES]).to_dict())


def false_alarms(rows: Prepared, divisions: int) -> None:
    """Print how often each property was called shifted."""
    called: Counter[str] = Counter()
    tests: Counter[str] = Counter()
    for seed in range(1, divisions + 1):
        for drift in rows.tested(rows.divided(seed)):
            tests[drift.kind] += 1
            called[drift.kind] += drift.measured.shifted
            if drift.measured.shifted:
                print(f"seed {seed}: {drift.kind} against {drift.against} {drift.measured}", flush=True)
    told = "  ".join(f"{kind} {called[kind]} of {count}" for kind, count in tests.items())
    print(f"{len(rows.columns['text']):,} rows, {divisions} divisions at random, called a shift: {told}", flush=True)


def held_out(rows: Prepared, column: str) -> Iterator[str]:
    """One line a value of the column: what is seen when its rows are the test."""
    for value in sorted(set(rows.columns[column])):
        own = [entry == value for entry in rows.columns[column]]
        sides = [
            TEST if here else side if side != TEST else TRAIN for here, side in zip(own, rows.divided(1), strict=True)
        ]
        found = [drift for drift in rows.tested(sides) if drift.against == VALIDATION]
        words = next((drift.measured for drift in found if drift.kind == WORDS), None)
        seen = [drift.kind for drift in found if drift.measured.shifted]
        auc = f"AUC {words.found:.3f} (chance up to {words.bound:.3f})" if words else "too few groups of rows"
        yield f"{column}={value}: {sum(own):,} rows, {auc}; shifted: {', '.join(seen) or 'nothing'}"


def main() -> None:
    """Read the command line and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--divisions", type=whole, default=20)
    parser.add_argument("--column", help="whose values are held out in turn")
    parser.add_argument("overrides", nargs="*", help="of the configuration")
    given = parser.parse_intermixed_args()
    kept = (*compose_config(*given.overrides).data.keep, "label")
    if given.column and given.column not in kept:
        parser.error(f"--column {given.column}: no such column among {', '.join(kept)}. data.keep keeps more")
    with tempfile.TemporaryDirectory() as root:
        rows = prepared(root, given.overrides)
    false_alarms(rows, given.divisions)
    for line in held_out(rows, given.column) if given.column else ():
        print(line, flush=True)


if __name__ == "__main__":
    told(main)
