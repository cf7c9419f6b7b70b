"""`Config`: every choice in one typed object, and the only crossing from Hydra's DictConfig to it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import Field, SerializeAsAny, model_validator

from sluice.batch.settings import Predict
from sluice.compression.settings import Compress, Forms
from sluice.data.inspection.settings import Checks
from sluice.data.source import Source
from sluice.evaluation.settings import Evaluate
from sluice.gate import Gate
from sluice.inference.settings import Load, Serve
from sluice.models.spec import ModelSpec
from sluice.part import Part
from sluice.registry.upkeep.retention import Retention
from sluice.search.settings import Ask, Index, Search
from sluice.tasks.task import Task
from sluice.training.pretraining.settings import Pretrain
from sluice.training.settings import Train
from sluice.tuning.settings import Tune

if TYPE_CHECKING:
    from omegaconf import DictConfig

MODELS = {
    "encoder": "model=small or model=checkpoint",
    "encoder_decoder": "model=encoder_decoder or model=checkpoint",
    "decoder": "model=decoder or model=checkpoint",
}
OBJECTIVES = {"encoder": "mlm", "decoder": "causal", "encoder_decoder": "spans"}
"""What each architecture learns from unlabelled text."""
NAME = r"^[a-z0-9][a-z0-9_.-]{0,62}$"
"""What both MLflow and BentoML take as a model's name."""


class Config(Part):
    """The root of `conf/config.yaml`."""

    name: str = Field(pattern=NAME)
    """The registered model: each name has one champion."""
    seed: int = Field(0, ge=0)
    """Seed of everything that draws: weights, batches, bootstraps."""
    root: Path = Path("mlruns")
    """Folder of everything generated."""
    tracking_uri: str | None = None
    """MLflow server or database; none is a sqlite file in `root`."""
    keep_texts: bool = True
    """Whether error tables and dropped-row files may hold text."""
    version: int | None = Field(None, ge=1)
    """A model version, where a command would choose one itself."""
    force: str | None = Field(None, min_length=1)
    """Why a refused challenger is promoted all the same."""
    stop: bool = False
    """Whether a canary or shadow is taken back."""
    receipt: Path | None = None
    """A receipt's JSON file."""
    input: Path | None = None
    """Rows to predict for."""
    output: Path | None = None
    """File of the rows with their predictions."""
    dry_run: bool = False
    """Whether `gc` and `relocate` only say what they would do."""
    moved_from: Path | None = None
    """The folder that `relocate` looks for; none is what the database names."""
    archive: Path | None = None
    """The file that `backup` writes and `restore` reads."""
    question: str | None = Field(None, min_length=1)
    """What `ask` answers."""
    questions: Path | None = None
    """Questions with known documents, to measure answers by."""
    query: str | None = Field(None, min_length=1)
    """What `search` looks for."""
    k: int | None = Field(None, ge=1, le=1000)
    """Hits of `search`; none takes `search.k`."""
    queries: Path | None = None
    """Queries to measure an index by."""
    judgements: Path | None = None
    """Which documents are relevant for them."""

    data: SerializeAsAny[Source]
    checks: Checks
    task: SerializeAsAny[Task]
    model: SerializeAsAny[ModelSpec]
    pretrain: Pretrain
    train: Train
    evaluate: Evaluate
    forms: Forms | None = None
    compress: Compress = Compress()
    gate: Gate
    serve: Serve
    tune: Tune = Tune()
    predict: Predict = Predict()
    index: Index = Index()
    search: Search = Search()
    ask: Ask = Ask()
    load: Load = Load()
    retention: Retention = Retention()

    @model_validator(mode="after")
    def _fits(self) -> Config:
        """Refuse a model that the task cannot use, before anything is read."""
        wanted, given = self.task.architecture, self.model.architecture
        if given not in (wanted, None):
            raise ValueError(f"task={self.task.name} needs {_named(wanted)}, found {_named(given)}: {MODELS[wanted]}")
        objective = self.pretrain.objective
        if self.pretrain.enabled and OBJECTIVES[wanted] != objective:
            told = f"pretrain={objective} is not for task={self.task.name}, which needs {_named(wanted)}"
            raise ValueError(f"{told}: pretrain={OBJECTIVES[wanted]} or pretrain=none")
        return self


def _named(architecture: str) -> str:
    return f"{'an' if architecture[0] in 'aeiou' else 'a'} {architecture}"


def load(composed: DictConfig) -> Config:
    """Hydra's composed configuration as typed parts. Errors of Hydra and pydantic pass through."""
    import hydra.utils

    choices = {key: value for key, value in composed.items() if key != "_target_"}
    parts: dict[str, Any] = hydra.utils.instantiate(choices, _convert_="all")
    return Config.model_validate(parts)


def load_file(path: Path) -> Config:
    """A configuration that `save` wrote."""
    from omegaconf import OmegaConf

    loaded = OmegaConf.load(path)
    return load(loaded)  # type: ignore[arg-type]


def to_yaml(config: Config) -> str:
    """The resolved configuration, in the form that `load_file` reads."""
    from omegaconf import OmegaConf

    return OmegaConf.to_yaml(OmegaConf.create(config.describe()))
