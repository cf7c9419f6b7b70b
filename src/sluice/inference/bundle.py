"""The bundle: a plain Hugging Face folder with a `bundle.json` that says what it is and where it comes from."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from sluice.errors import UserError
from sluice.files import folder_digest, write_json
from sluice.inference.processor import Processor
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
    parent: str | None = None
    """SHA-256 of the version's bundle that this is a variant of; none for a model of its own."""
    run: str | None = None
    """MLflow run that trained it."""


class Abstention(Part):
    """When the model had better not answer."""

    threshold: float
    """Least confidence of an answer: the probability of the most probable label, `out_of_scope` aside."""
    out_of_scope: str | None = None
    """The label that stands for no answer, as an answer below the threshold does."""


class Estimate(Part):
    """A figure with its bounds; NaN where it could not be measured."""

    value: float
    low: float
    high: float


class Worst(Part):
    """The slice of the rows on which a form loses most."""

    name: str
    """As `column=value`."""
    difference: Estimate


class Form(Part):
    """A faster form of the model, beside its own weights run by PyTorch on the same validation rows."""

    file: str
    """Its file in the bundle."""
    size: int
    """Bytes."""
    rows: int
    """Validation rows that it was compared on."""
    agreement: float
    """1 where it answers as those weights do: the share of equal answers, or what the task has in its place."""
    metric: str
    """Name of the primary metric."""
    difference: Estimate
    """The form minus those weights in that metric with bootstrap bounds, turned round where less is better."""
    speed: Estimate
    """Times as fast as those weights, each with one thread and one text after the other."""
    control: float
    """Times as fast as those weights a second copy of them came out: 1 on a quiet machine."""
    broken: int = 0
    """Outputs that are no finite numbers. Where there are any, nothing else was measured."""
    together: Estimate | None = None
    """Times as fast with 32 texts at once, or all where there are fewer; None for models that write."""
    calibration: float | None = None
    """By how much its expected calibration error is larger; None where the task's answers have no probabilities."""
    worst: Worst | None = None
    """None where no slice has enough rows."""
    memory: int | None = None
    """Bytes that a process takes at most which loads it and answers; None where that was not measured."""
    processor: Processor | None = None
    """What it was timed on."""


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
    forms: dict[str, Form] = {}
    """By name: `bf16`, `onnx`, `int8`, `openvino` (`engines/formed.py`). Empty where there are none."""

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


def weights_size(folder: Path) -> int:
    """Bytes of the model's own weights, however many files they are in."""
    return sum(path.stat().st_size for path in _weights(folder))


def parameters(folder: Path) -> int:
    """How many numbers these are."""
    from safetensors import safe_open

    count = 0
    for path in _weights(folder):
        with safe_open(path, "np") as file:
            count += sum(math.prod(file.get_slice(name).get_shape()) for name in file.keys())  # noqa: SIM118
    return count


def _weights(folder: Path) -> list[Path]:
    forms = {form.file for form in Bundle.read(folder).forms.values()}
    return [path for path in folder.glob("*.safetensors") if path.name not in forms]


def bundle_digest(folder: Path) -> str:
    """SHA-256 over everything in a bundle: what receipts, the registry and the service name a model by."""
    return folder_digest(folder)
