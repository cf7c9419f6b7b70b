"""Versions of a registered model: made from a bundle, found by number or alias, fetched as a folder."""

from __future__ import annotations

import importlib.metadata
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sluice.errors import UserError
from sluice.files import folder_digest
from sluice.flight import CANARY as CANARY
from sluice.flight import CHAMPION as CHAMPION
from sluice.flight import SHADOW as SHADOW
from sluice.registry.runs import KEY, Run
from sluice.registry.store import Store

CHALLENGER = "challenger"
DIGEST = "sluice.bundle"
LIBRARIES = (
    "mlflow",
    "torch",
    "transformers",
    "tokenizers",
    "safetensors",
    "onnxruntime",
    "numpy",
    "pandas",
    "pydantic",
    "filelock",
)
"""What a process needs that loads the pyfunc, pinned at the versions that trained it."""


@dataclass(frozen=True)
class Version:
    """A registered version."""

    name: str
    number: int
    run_id: str
    digest: str
    """SHA-256 of its bundle."""
    created: int
    """Seconds since 1970, UTC."""

    def __str__(self) -> str:
        return f"{self.name}:{self.number}"


def register(store: Store, run: Run, name: str, bundle: Path, *, key: str, digest: str, card: str) -> Version:
    """Log the bundle with its pyfunc, make it a version, point `challenger` at it. Called again: the same version."""
    from mlflow.exceptions import MlflowException

    try:
        store.client.create_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    version = _tagged(store, name, KEY, key)
    if version is None:
        model = _log_model(run, bundle)
        tags = {KEY: key, DIGEST: digest}
        made = store.client.create_model_version(
            name, model.model_uri, run.id, tags=tags, description=card, model_id=model.model_id
        )
        version = _version(made)
    store.client.set_registered_model_alias(name, CHALLENGER, str(version.number))
    return version


def find(store: Store, name: str, which: int | str) -> Version:
    """The version with a number or an alias."""
    version = lookup(store, name, which)
    if version is None:
        raise UserError(f"{name} has no {_say(which)}: `make train` registers one, `make history` lists what there is")
    return version


def lookup(store: Store, name: str, which: int | str) -> Version | None:
    """The version with a number or an alias, or None."""
    from mlflow.exceptions import MlflowException

    try:
        if isinstance(which, int):
            return _version(store.client.get_model_version(name, str(which)))
        return _version(store.client.get_model_version_by_alias(name, which))
    except MlflowException as error:
        if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            return None
        raise


def by_digest(store: Store, name: str, digest: str) -> Version | None:
    """The newest version with this bundle, or None."""
    return _tagged(store, name, DIGEST, digest)


def fetch(store: Store, version: Version) -> Path:
    """The folder of a version's bundle on this machine, fetched from a server where need be."""
    import mlflow.artifacts
    from mlflow.exceptions import MlflowException

    try:
        model = mlflow.artifacts.download_artifacts(
            artifact_uri=f"models:/{version.name}/{version.number}", tracking_uri=store.uri
        )
    except (OSError, MlflowException) as error:
        raise UserError(f"the files of {version} cannot be read: {error}") from error
    return Path(model) / "artifacts" / "bundle"


def kept(store: Store, version: Version, shelf: Path) -> Path:
    """The folder of a version's bundle, to be used for long: what a server has is fetched once, to `shelf`."""
    if not store.is_server:
        return fetch(store, version)
    place = shelf / version.digest
    if not place.exists():
        half = shelf / f".{version.digest}.{os.getpid()}"
        shutil.copytree(fetch(store, version), half, dirs_exist_ok=True)
        half.rename(place)
    os.utime(place)  # the last use: `make gc` goes by it
    return place


def intact(store: Store, version: Version) -> Path:
    """A version's bundle, whose files are what was registered."""
    folder = fetch(store, version)
    if folder_digest(folder) != version.digest:
        raise UserError(f"{version}: the files in {folder} are not those that were registered (their digest differs)")
    return folder


def run_file(store: Store, run_id: str, path: str) -> Path:
    """A run's artifact on this machine, fetched from a server where need be."""
    import mlflow.artifacts
    from mlflow.exceptions import MlflowException

    try:
        # By run_id MLflow would copy even what lies on this disk, and leave the copy behind.
        uri = f"{store.client.get_run(run_id).info.artifact_uri}/{path}"
        found = mlflow.artifacts.download_artifacts(artifact_uri=uri, tracking_uri=store.uri)
    except (OSError, MlflowException) as error:
        raise UserError(f"run {run_id} has no readable {path}: {error}") from error
    return Path(found)


def move_alias(store: Store, name: str, alias: str, number: int) -> None:
    """Point an alias at a version: one transaction, so that it is never at neither."""
    store.client.set_registered_model_alias(name, alias, str(number))


def drop_alias(store: Store, name: str, alias: str) -> None:
    """Take an alias away; one that is not there is no matter."""
    store.client.delete_registered_model_alias(name, alias)


def _tagged(store: Store, name: str, tag: str, value: str) -> Version | None:
    found = store.client.search_model_versions(f"name = '{name}' and tags.`{tag}` = '{value}'")
    return _version(max(found, key=lambda one: int(one.version))) if found else None


def _log_model(run: Run, bundle: Path) -> Any:
    import mlflow
    import pandas as pd
    from mlflow.models import ModelSignature, infer_signature
    from mlflow.types import ColSpec, DataType, Schema

    from sluice.inference.bundle import Bundle
    from sluice.inference.columns import predictions, result_columns

    package = Path(__file__).parents[1]
    described = Bundle.read(bundle)
    task = described.resolve_task()
    answers = predictions(result_columns(task.Result, described.labels, scores=False), [])
    signature = ModelSignature(
        Schema([ColSpec(DataType.string, "text")]),
        infer_signature(answers.to_pandas()).inputs,
    )
    with mlflow.start_run(run_id=run.id), run.store.uploading():
        return mlflow.pyfunc.log_model(
            name="model",
            python_model=str(package / "registry" / "pyfunc.py"),
            artifacts={"bundle": str(bundle)},
            code_paths=[str(package)],
            signature=signature,
            input_example=pd.DataFrame({"text": [task.example]}),
            pip_requirements=[f"{library}=={public_version(library)}" for library in LIBRARIES],
        )


def public_version(library: str) -> str:
    """An installed version without the `+cpu` that only a local index has."""
    return importlib.metadata.version(library).split("+")[0]


def _version(found: Any) -> Version:
    return Version(
        found.name,
        int(found.version),
        found.run_id,
        found.tags.get(DIGEST, ""),
        found.creation_timestamp // 1000,
    )


def _say(which: int | str) -> str:
    return f"version {which}" if isinstance(which, int) else which
