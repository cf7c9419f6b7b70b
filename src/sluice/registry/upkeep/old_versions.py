"""What of the local MLflow may go: old versions, models that never became one, deleted runs, runs cut off.

What the rest of a decision rests on stays: every version that an alias, a decision or a receipt names, its run and the
run's children. A removal takes the reference away first and the files after, so that a kill leaves files that the
next clean-up finds, never a reference to nothing.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from sluice.errors import UserError
from sluice.inference.bundle import Bundle
from sluice.registry import promotions
from sluice.registry.runs import KEY, PARENT
from sluice.registry.store import Store
from sluice.registry.upkeep import indexes
from sluice.registry.upkeep.retention import DAY, GONE, Item, Retention, discard, size
from sluice.registry.versions import DIGEST, fetch, find

COLLECTED = "sluice.collected"
"""Tag of a run whose artifacts went with its version: `begun`, then `done`."""


class Shelf:
    """A local store's models and versions as they stand, and what of them is spoken for."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.client: Any = store.client
        self.tracking: Any = self.client._tracking_client.store
        """What `mlflow gc` itself calls; as a command it would empty the whole bin, whatever it is asked."""
        self.models = {model.name: dict(model.aliases) for model in _pages(self.client.search_registered_models)}
        self.versions = {
            name: {int(one.version): one for one in _pages(self.client.search_model_versions, f"name = '{name}'")}
            for name in self.models
        }
        self.experiments = [one.experiment_id for one in _pages(self.client.search_experiments)]

    def spoken_for(self, name: str) -> set[int]:
        """Versions that an alias, a decision or a receipt names."""
        numbers = {int(version) for version in self.models[name].values()}
        decided = self.client.get_experiment_by_name(promotions.EXPERIMENT)
        for decision in promotions.history(self.store, name) if decided else []:
            numbers |= {decision.target} | ({decision.source} if decision.source else set())
        return numbers | receipts(self.store.root / "work" / "receipts").get(name, set())

    def family(self, run_id: str) -> list[Any]:
        """A run and its children."""
        run = self.client.get_run(run_id)
        found = self.client.search_runs([run.info.experiment_id], f"tags.`{PARENT}` = '{run_id}'", max_results=1000)
        return [run, *found]

    def stage_keys(self) -> set[str]:
        """Keys of the stages that the versions with an alias came out of."""
        keys: set[str] = set()
        for name, aliases in self.models.items():
            for number in {int(version) for version in aliases.values()}:
                version = find(self.store, name, number)
                keys.add(Bundle.read(fetch(self.store, version)).lineage.config)
                for run in self.family(version.run_id):
                    keys.add(run.data.tags.get("sluice.stage_key", ""))
                    keys |= {Path(one.dataset.source).name for one in run.inputs.dataset_inputs}
        return keys - {""}

    def path(self, uri: str) -> Path | None:
        """Where artifacts lie, or None outside of this root: those are not ours to remove."""
        place = urlsplit(uri)
        path = Path(unquote(place.path))
        return path if place.scheme == "file" and path.is_relative_to(self.store.root) else None


def plan(store: Store, rules: Retention) -> tuple[list[Item], set[str]]:
    """The items, and the keys of the stages that stay for the versions with an alias or an index."""
    shelf = Shelf(store)
    items = [item for name in shelf.models for item in _versions(shelf, name, rules)]
    items += [*_half_removed(shelf), *_unregistered(shelf, rules), *_deleted(shelf, rules)]
    stale, answering = indexes.plan(store.root / "work", [*shelf.versions.values()])
    return [*items, *stale], shelf.stage_keys() | answering


def receipts(folder: Path) -> dict[str, set[int]]:
    """Versions by model that the receipts in a folder name."""
    found: dict[str, set[int]] = {}
    for path in sorted(folder.glob("*.json")):
        try:
            told = json.loads(path.read_text(encoding="utf-8"))
            models = [told["challenger"], told["champion"]]
            found.setdefault(told["name"], set()).update(model["version"] for model in models if model)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise UserError(
                f"receipt {path} cannot be read ({error}), so what it needs cannot be kept: mend or move it"
            ) from error
    return found


def _versions(shelf: Shelf, name: str, rules: Retention) -> Iterator[Item]:
    kept, versions = shelf.spoken_for(name), shelf.versions[name]
    free = sorted(set(versions) - kept, reverse=True)
    for number in free[rules.keep_versions :]:
        version = versions[number]
        runs = shelf.family(version.run_id)
        if runs[0].info.status == "RUNNING":  # about to get its alias
            continue
        paths = [shelf.path(run.info.artifact_uri) for run in runs]
        model = shelf.path(shelf.client.get_logged_model(_model_id(version)).artifact_location)
        taken = sum(size(path) for path in [*paths, model] if path and path.exists())
        why = f"older than the newest {rules.keep_versions} that nothing names"
        yield Item("version", f"{name}:{number}", taken, why, partial(_remove_version, shelf, name, number))


def _remove_version(shelf: Shelf, name: str, number: int) -> bool:
    if str(number) in map(str, shelf.client.get_registered_model(name).aliases.values()):
        return False  # given an alias since, by hand
    version = shelf.versions[name][number]
    shelf.client.set_tag(version.run_id, COLLECTED, "begun")
    _remove_bento(name, number, version.tags.get(DIGEST, ""))
    shelf.client.delete_model_version(name, str(number))
    del shelf.versions[name][number]
    _remove_model(shelf, _model_id(version))
    _remove_artifacts(shelf, version.run_id)
    return True


def _remove_bento(name: str, number: int, digest: str) -> None:
    """Remove the Bento of this very version: the store is the user's, shared by all checkouts."""
    import bentoml
    from bentoml.exceptions import BentoMLException, NotFound

    try:
        bento = bentoml.get(f"{name}:v{number}")
    except (NotFound, BentoMLException):
        return
    if bento.info.labels.get("bundle") == digest[:63]:
        bentoml.delete(bento.tag)


def _remove_model(shelf: Shelf, model_id: str) -> bool:
    location = shelf.path(shelf.tracking.get_logged_model(model_id, allow_deleted=True).artifact_location)
    shelf.client.delete_logged_model(model_id)
    if location:
        discard(location.parent if location.name == "artifacts" else location)
    shelf.tracking._hard_delete_logged_model(model_id)
    return True


def _remove_artifacts(shelf: Shelf, run_id: str) -> bool:
    """The artifacts of a run and its children; figures and parameters stay on MLflow's pages."""
    if not any(one.run_id == run_id for versions in shelf.versions.values() for one in versions.values()):
        for run in shelf.family(run_id):
            path = shelf.path(run.info.artifact_uri)
            if path:
                discard(path)
    shelf.client.set_tag(run_id, COLLECTED, "done")
    return True


def _half_removed(shelf: Shelf) -> Iterator[Item]:
    """What an earlier clean-up that was killed did not come to."""
    for run in _pages(shelf.client.search_runs, shelf.experiments, f"tags.`{COLLECTED}` = 'begun'"):
        run_id = run.info.run_id
        yield Item("artifacts", f"run {run_id}", 0, "half removed", partial(_remove_artifacts, shelf, run_id))
    artifacts = shelf.store.root / "artifacts"
    for pattern in (f"*/{GONE}*", f"*/models/{GONE}*", f"*/*/{GONE}*"):
        for path in artifacts.glob(pattern):
            yield Item("artifacts", str(path), size(path), "half removed", partial(_discarded, path))


def _discarded(path: Path) -> bool:
    discard(path)
    return True


def _unregistered(shelf: Shelf, rules: Retention) -> Iterator[Item]:
    """Models of ours that no version names: a registration was killed, or the version was deleted in MLflow."""
    named = {_model_id(one) for versions in shelf.versions.values() for one in versions.values()}
    bound = (time.time() - rules.leftover_days * DAY) * 1000
    found = list(_pages(shelf.client.search_logged_models, shelf.experiments))
    deleted = [
        shelf.tracking.get_logged_model(one, allow_deleted=True) for one in shelf.tracking._get_deleted_logged_models()
    ]
    for model in [*found, *deleted]:
        if model.model_id in named or model.last_updated_timestamp > bound or not _ours(shelf, model.source_run_id):
            continue
        location = shelf.path(model.artifact_location)
        taken = size(location) if location and location.exists() else 0
        yield Item("model", model.model_id, taken, "no version names it", partial(_remove_model, shelf, model.model_id))


def _ours(shelf: Shelf, run_id: str | None) -> bool:
    """Whether a run is Sluice's and has ended, or is no more."""
    from mlflow.exceptions import MlflowException

    if not run_id:
        return False
    try:
        run = shelf.client.get_run(run_id)
    except MlflowException as error:
        if error.error_code == "RESOURCE_DOES_NOT_EXIST":
            return True
        raise
    return KEY in run.data.tags and run.info.status != "RUNNING"


def _deleted(shelf: Shelf, rules: Retention) -> Iterator[Item]:
    """Runs that somebody deleted in MLflow; those that a version or the record of decisions needs stay."""
    needed = {one.run_id for versions in shelf.versions.values() for one in versions.values()}
    history = shelf.client.get_experiment_by_name(promotions.EXPERIMENT)
    for run_id in shelf.tracking._get_deleted_runs(older_than=int(rules.keep_days * DAY * 1000)):
        run = shelf.client.get_run(run_id)
        if {run_id, run.data.tags.get(PARENT)} & needed or (
            history and run.info.experiment_id == history.experiment_id
        ):
            continue
        path = shelf.path(run.info.artifact_uri)
        taken = size(path) if path and path.exists() else 0
        yield Item("run", run_id, taken, "deleted in MLflow", partial(_remove_run, shelf, run_id, path))


def _remove_run(shelf: Shelf, run_id: str, path: Path | None) -> bool:
    if path:
        discard(path.parent if path.name == "artifacts" else path)
    shelf.tracking._hard_delete_run(run_id)
    return True


def cut_off(store: Store, rules: Retention) -> list[str]:
    """Ids of runs that have stood as RUNNING for longer than a killed command is waited for."""
    bound = int((time.time() - max(rules.leftover_days, 1) * DAY) * 1000)
    experiments = [one.experiment_id for one in _pages(store.client.search_experiments)]
    wanted = f"attributes.status = 'RUNNING' and attributes.start_time < {bound}"
    return [run.info.run_id for run in _pages(store.client.search_runs, experiments, wanted) if KEY in run.data.tags]


def _model_id(version: Any) -> str:
    return str(version.source.removeprefix("models:/"))


def _pages(search: Any, *arguments: Any) -> Iterator[Any]:
    """All of what a search finds, page after page."""
    token = None
    while True:
        page = search(*arguments, page_token=token)
        yield from page
        token = page.token
        if not token:
            return
