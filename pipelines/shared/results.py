"""How a sweep ended: one line a job, the best as the challenger, the run above them closed."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from pipelines.shared.session import named
from sluice.metrics.direction import sign
from sluice.registry.runs import NOTE, Run, end_below
from sluice.registry.store import Store
from sluice.registry.versions import CHALLENGER, move_alias

Outcome = dict[str, Any]
FOLDS = "cv"
SIDES = ("validation", "test", FOLDS)
"""What a job is judged by: the mean over its folds only where it has some."""


def conclude(jobs: list[Outcome], whole: bool) -> int:
    """Print the table, end the sweep's runs and return the exit code; `whole` is false for one that was cut off."""
    ended = sorted(jobs, key=_worth, reverse=True)
    if whole:
        print(f"\n{table(ended)}", flush=True)
    for place in sorted({(job["root"], job["uri"], job["name"]) for job in jobs if "run" in job}):
        mine = dict(zip(("root", "uri", "name"), place, strict=True))
        own = [job for job in ended if "run" not in job or mine.items() <= job.items()]
        _close(Store(Path(place[0]), place[1]), own, whole)
    codes = [job["code"] for job in jobs]
    return max(codes) if whole else 0


def _worth(job: Outcome) -> float:
    value = job.get("validation")
    return -math.inf if value is None or math.isnan(value) else sign(job["judged_by"]) * value


def _close(store: Store, jobs: list[Outcome], whole: bool) -> None:
    """End the run above these jobs, which share a model's name."""
    if whole:
        _choose(store, [job for job in jobs if job.get("version")])
    run = Run(store, next(job["run"] for job in jobs if "run" in job))
    good = all(job["code"] == 0 for job in jobs)
    run.tags({NOTE: table(jobs, markdown=True)[:4900]})
    run.text(table(jobs) + "\n", "sweep.txt")
    best = jobs[0]
    if _worth(best) > -math.inf:
        run.metrics({f"{side}/{_metric(best, side)}": best[side] for side in SIDES if side in best})
    if not whole:
        end_below(run, "KILLED")  # a job's process may have had no time for it
    run.finish("KILLED" if not whole else "FINISHED" if good else "FAILED")


def _choose(store: Store, registered: list[Outcome]) -> None:
    """Point `challenger` at the version that is best on validation, where all were validated on the same rows."""
    if not registered:
        return
    best = registered[0]
    if len({job["split"] for job in registered}) > 1:
        print(f"these models were validated on different rows: {CHALLENGER} stays with the last one registered")
        return
    move_alias(store, best["name"], CHALLENGER, best["version"])
    print(f"{best['name']}:{best['version']} is the {CHALLENGER}: best {best['judged_by']} on validation.", end=" ")
    print(f"Next: make promote{named(best['name'])}", flush=True)


def table(jobs: list[Outcome], markdown: bool = False) -> str:
    """One line a job."""
    keys = list(dict.fromkeys(key for job in jobs for key in job["choices"]))
    known = next((job for job in jobs if "metric" in job), {"metric": "", "judged_by": ""})
    sides = [side for side in SIDES if side != FOLDS or any(FOLDS in job for job in jobs)]
    header = [
        "job",
        *(key.removesuffix(".choice") for key in keys),
        *(f"{side} {_metric(known, side)}" for side in sides),
        "state",
    ]
    lines = [_line(job, keys, sides) for job in jobs]
    if markdown:
        return "\n".join("| " + " | ".join(line) + " |" for line in [header, ["---"] * len(header), *lines])
    widths = [max(len(line[column]) for line in [header, *lines]) for column in range(len(header))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in [header, *lines]
    )


def _metric(job: Outcome, side: str) -> str:
    """The metric that a side's figure is of."""
    name: str = job["judged_by" if side == "validation" else "metric"]
    return name


def _line(job: Outcome, keys: list[str], sides: list[str]) -> list[str]:
    figures = [f"{job[side]:.4f}" if job.get(side) is not None else "-" for side in sides]
    state = "cut off" if job["state"] == "running" else job["state"]
    version = f", {job['name']}:{job['version']}" if job.get("version") else ""
    return [str(job["number"]), *(job["choices"].get(key, "-") for key in keys), *figures, state + version]
