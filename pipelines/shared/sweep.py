"""A sweep: one command, several jobs (Hydra's --multirun), one MLflow run above them all.

The process that was started makes the sweep known in the environment before Hydra launches, so that jobs in other
processes find it. Each job tells how it went in a file of its own; the table at the end is made of these files.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import traceback
import uuid
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines.shared.wording import CONF, explain

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from sluice.registry.runs import Run
    from sluice.registry.store import Store

ENVIRONMENT = "SLUICE_SWEEP"
LAUNCHED = ("-", "hydra/launcher", "hydra.launcher", "hydra.mode")
"""How jobs are started says nothing about what they are: the same sweep may go on under another launcher."""
_job: ContextVar[Job | None] = ContextVar("job", default=None)


@dataclass(frozen=True)
class Sweep:
    """A command line as its jobs know it."""

    stage: str
    arguments: tuple[str, ...]
    folder: str
    """Where jobs leave word of themselves; it lasts as long as the command."""

    @property
    def key(self) -> str:
        """The same for the same command line, so that a sweep that was killed goes on in its run."""
        from sluice.part import digest

        said = [argument for argument in self.arguments if not argument.lstrip("+~").startswith(LAUNCHED)]
        return digest(["sweep", self.stage, sorted(said)])

    def swept(self, more: Sequence[str]) -> list[str]:
        """The keys that take several values; `more` are those of `hydra.sweeper.params`."""
        from hydra.core.override_parser.overrides_parser import OverridesParser

        parsed = OverridesParser.create().parse_overrides([a for a in self.arguments if not a.startswith("-")])
        return [*more, *(one.key_or_group for one in parsed if one.is_sweep_override())]


@dataclass
class Job:
    """One of a sweep's jobs, in the process that does it."""

    sweep: Sweep
    number: int
    choices: dict[str, str]
    """The swept keys with this job's values, as MLflow's parameters: a group's choice is called `model.choice`."""
    facts: dict[str, Any] = field(default_factory=dict)
    """What the training found out: see `Session`."""

    def open_run(self, store: Store, experiment: str) -> Run:
        """The run above all jobs with this model's name."""
        from sluice.registry.runs import open_run

        title, said = f"sweep-{self.sweep.key[:6]}", " ".join(self.sweep.arguments)
        run = open_run(store, experiment, title, self.sweep.key, tags={"sluice.sweep": said[:4900]})
        self.facts |= {"name": experiment, "root": str(store.root), "uri": store.uri, "run": run.id}
        self.tell("running")
        return run

    def tell(self, state: str, code: int = 0) -> None:
        """Leave word for the process that was started."""
        from sluice.files import write_json

        told = {"number": self.number, "choices": self.choices, "state": state, "code": code, **self.facts}
        write_json(Path(self.sweep.folder) / f"{self.number:05}.json", told)


def prepare(argv: Sequence[str]) -> Sweep:
    """Make this command known to its jobs, should Hydra find that it has several."""
    folder = Path(tempfile.gettempdir()) / f"sluice-{uuid.uuid4().hex}"
    sweep = Sweep(Path(argv[0]).stem, tuple(argv[1:]), str(folder))
    os.environ[ENVIRONMENT] = json.dumps(asdict(sweep))
    _quieten_joblib()
    return sweep


def _quieten_joblib() -> None:
    """No word of its helpers: that it renewed a process that had grown large, or tidied up after Ctrl-C."""
    warnings.filterwarnings("ignore", "A worker stopped while some jobs", UserWarning)
    own = "ignore::UserWarning:multiprocessing.resource_tracker"
    given = os.environ.get("PYTHONWARNINGS", "")
    if own not in given:
        os.environ["PYTHONWARNINGS"] = ",".join(filter(None, [given, own]))


def job() -> Job | None:
    """The job of a sweep that this process is at."""
    return _job.get()


@contextmanager
def at_work(composed: DictConfig) -> Iterator[Job | None]:
    """One job, where Hydra is at a multirun: its error is printed and told, and ends no other job."""
    from hydra.core.hydra_config import HydraConfig
    from hydra.types import RunMode

    if HydraConfig.get().mode is not RunMode.MULTIRUN:
        yield None
        return
    own = _begin(composed)
    token = _job.set(own)
    try:
        yield own
    except Exception as error:
        text = explain(error)
        print(f"error in job {own.number}: {text}" if text else traceback.format_exc(), flush=True)
        own.tell("mistake" if text else "crashed", code=2 if text else 1)
    finally:
        _job.reset(token)


def _begin(composed: DictConfig) -> Job:
    from hydra.core.hydra_config import HydraConfig
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from omegaconf import OmegaConf

    hydra = HydraConfig.get()
    given = json.loads(os.environ[ENVIRONMENT])
    sweep = Sweep(given["stage"], tuple(given["arguments"]), given["folder"])
    swept = sweep.swept(list(hydra.sweeper.get("params") or ()))
    choices = {}
    for override in OverridesParser.create().parse_overrides(list(hydra.overrides.task)):
        key = override.key_or_group
        if key in swept and Path(CONF, key).is_dir():
            choices[f"{key}.choice"] = str(override.value())
        elif key in swept:
            choices[key] = str(OmegaConf.select(composed, key))
    own = Job(sweep, int(hydra.job.num), choices)
    Path(sweep.folder).mkdir(exist_ok=True)
    print(f"\n[job {own.number}] {_say(choices)}", flush=True)
    own.tell("running")
    return own


def _say(choices: dict[str, str]) -> str:
    return " ".join(f"{key.removesuffix('.choice')}={value}" for key, value in choices.items())


def outcomes(sweep: Sweep) -> list[dict[str, Any]]:
    """What the jobs told, by their number; the files are gone afterwards."""
    found = [json.loads(path.read_text()) for path in sorted(Path(sweep.folder).glob("*.json"))]
    shutil.rmtree(sweep.folder, ignore_errors=True)
    return found
