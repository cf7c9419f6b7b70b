"""The connection to MLflow: a sqlite file that may be born under many processes, or a team's server."""

from __future__ import annotations

import logging
import os
import urllib.error
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock

from sluice.errors import UserError

if TYPE_CHECKING:
    from mlflow import MlflowClient

ANSWER_SECONDS = 10
"""A server that is silent for longer is reported, not waited for."""


class Store:
    """An MLflow tracking store and registry."""

    def __init__(self, root: Path, tracking_uri: str | None) -> None:
        self.root = root.absolute()
        self.uri = tracking_uri or f"sqlite:///{self.root / 'mlflow.db'}"
        self._environment()
        if self.is_server:
            self._knock()
        else:
            self._create()
        import mlflow

        mlflow.set_tracking_uri(self.uri)
        mlflow.set_registry_uri(self.uri)
        self.client: MlflowClient = mlflow.MlflowClient(self.uri, self.uri)

    @property
    def is_server(self) -> bool:
        """Whether artifacts go through an HTTP server."""
        return self.uri.startswith(("http://", "https://"))

    def experiment(self, name: str) -> str:
        """The id of an experiment, created where there is none: many processes may ask at once."""
        from mlflow.exceptions import MlflowException

        found = self.client.get_experiment_by_name(name)
        if found is None:
            location = None if self.is_server else (self.root / "artifacts" / name).as_uri()
            try:
                return self.client.create_experiment(name, artifact_location=location)
            except MlflowException:
                found = self.client.get_experiment_by_name(name)
        if found is None or found.lifecycle_stage != "active":
            raise UserError(f"MLflow experiment '{name}' is deleted: restore it in MLflow, or use another name=")
        return found.experiment_id

    def _environment(self) -> None:
        """Set before mlflow is imported: it reads some of these once."""
        os.environ["MLFLOW_ALLOW_PICKLE_DESERIALIZATION"] = "false"
        os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
        os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")
        os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", str(ANSWER_SECONDS))
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
        os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")
        logging.getLogger("alembic").setLevel(logging.WARNING)

    def _knock(self) -> None:
        try:
            with urllib.request.urlopen(f"{self.uri.rstrip('/')}/health", timeout=ANSWER_SECONDS):  # noqa: S310
                return
        except urllib.error.HTTPError:
            return  # it answers, whatever it thinks of the path
        except (OSError, ValueError) as error:
            raise UserError(
                f"no MLflow server answers at {self.uri} within {ANSWER_SECONDS} s ({error}). "
                "Start it, or unset MLFLOW_TRACKING_URI and tracking_uri= to use the local database"
            ) from error

    def _create(self) -> None:
        """Make the database beside, then rename it: no process ever sees one that is half migrated."""
        if not self.uri.startswith("sqlite:///"):
            return
        database = Path(self.uri.removeprefix("sqlite:///"))
        try:
            database.parent.mkdir(parents=True, exist_ok=True)
            with FileLock(database.with_name(f".{database.name}.lock")):
                if not database.exists():
                    self._migrate(database)
        except OSError as error:
            raise UserError(f"cannot create the MLflow database {database}: {error.strerror}") from error

    def _migrate(self, database: Path) -> None:
        from mlflow.store.db.utils import _initialize_tables, create_sqlalchemy_engine

        fresh = database.with_name(f".{database.name}.new")
        fresh.unlink(missing_ok=True)
        engine = create_sqlalchemy_engine(f"sqlite:///{fresh}")
        _initialize_tables(engine)
        engine.dispose()
        fresh.rename(database)
