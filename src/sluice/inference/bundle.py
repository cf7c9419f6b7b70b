"""The bundle: a plain Hugging Face folder with a `bundle.json` that says what it is and where it comes from."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from sluice.errors import UserError
from sluice.files import folder_digest, write_json
from sluice.part import Part
from sluice.tasks import resolve
from sluice.tasks.task import Task

BUNDLE = "bundle.json"
TRAIN_ROWS = "train_rows.npy"


class Lineage(Part):
    """Where a model comes from: every link is a digest or an identifier that can be looked up."""

    data: str
    """SHA-256 of the cleaned rows."""
    split: str
    """SHA-256 of which row stands on which side."""
    config: str
    """SHA-256 of the configuration that made it."""
    git: str
    """Commit of the code, `+dirty` where files were changed, `none` outside a repository."""
    pretraining: str | None = None
    """SHA-256 of the pretrained folder that it started from; none for its own or a checkpoint's weights."""
    run: str | None = None
    """MLflow run that trained it."""


class Abstention(Part):
    """When the model had better not answer."""

    threshold: float
    """Least confidence of an answer: the probability of the most probable label, `out_of_scope` aside."""
    out_of_scope: str | None = None
    """The label that stands for no answer, as an answer below the threshold does."""


class Bundle(Part):
    """What `bundle.json` holds."""

    task: str
    """Name of the task, resolved inside `sluice.tasks` only."""
    fields: dict[str, Any]
    """The task's configuration."""
    labels: tuple[str, ...]
    lineage: Lineage
    metrics: dict[str, float] = {}
    """Headline figures on the test split."""
    abstention: Abstention | None = None
    """None where no threshold was asked for."""

    @classmethod
    def read(cls, folder: Path) -> Bundle:
        """Read a bundle's description, or say what is wrong with the folder."""
        path = folder / BUNDLE
        try:
            return cls.model_validate(json.loads(path.read_text(encoding="utf-8")))
        except FileNotFoundError as error:
            raise UserError(f"{folder} is not a bundle: it has no {BUNDLE}") from error
        except (ValueError, ValidationError) as error:
            raise UserError(f"{path} cannot be read: {error}") from error

    def write(self, folder: Path) -> None:
        """Write `bundle.json` into a folder."""
        write_json(folder / BUNDLE, self.model_dump(mode="json"))

    def resolve_task(self) -> Task:
        """The task with the fields it was trained with."""
        return resolve(self.task, self.fields)


def bundle_digest(folder: Path) -> str:
    """SHA-256 over everything in a bundle: what receipts, the registry and the service name a model by."""
    return folder_digest(folder)
