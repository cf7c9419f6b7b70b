"""The connection to MLflow: a sqlite file that may be born under many processes, or a team's server."""

from __future__ import annotations

import logging
import math
import os
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, cast

from filelock import FileLock

from sluice.errors import UserError
from sluice.registry.guard import Guard
from sluice.registry.upkeep.database import DATABASE, elsewhere, opened

if TYPE_CHECKING:
    from mlflow import MlflowClient

ANSWER_SECONDS = 10
"""A server that is silent for longer is reported, not waited for."""

UPLOAD_SECONDS = 120
"""The same while a large file is on its way."""


class Store:
    """An MLflow tracking store and registry."""

    def __init__(self, root: Path, tracking_uri: str | None) -> None:
        self.root = root.absolute()
        self.uri = tracking_uri or f"sqlite:///{self.root / DATABASE}"
        self.identity = tracking_uri or "local"
        """What this store is called in keys: the same after the checkout was moved."""
        self._environment()
        if self.is_server:
            self._knock()
        else:
            self._create()
        if not tracking_uri:
            self._check_place()
        import mlflow

        mlflow.set_tracking_uri(self.uri)
        mlflow.set_registry_uri(self.uri)
        client = mlflow.MlflowClient(self.uri, self.uri)
        self.client = cast("MlflowClient", Guard(client, self.uri)) if self.is_server else client

    @property
    def is_server(self) -> bool:
        """Whether artifacts go through an HTTP server."""
        return self.uri.startswith(("http://", "https://"))

    @property
    def away_since(self) -> float:
        """When the server last ceased to answer, in seconds since 1970; infinite while it answers."""
        since = self.client.away_since if isinstance(self.client, Guard) else None
        return math.inf if since is None else since

    @contextmanager
    def uploading(self) -> Iterator[None]:
        """While large files go to a server: it answers only when it has passed all of one on to its own store."""
        name = "MLFLOW_HTTP_REQUEST_TIMEOUT"
        before = os.environ[name]
        os.environ[name] = str(UPLOAD_SECONDS)
        try:
            yield
        finally:
            os.environ[name] = before

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
                if found is None:  # nobody else made it: there is another cause
                    raise
        if found.lifecycle_stage != "active":
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
        logging.getLogger("urllib3").setLevel(logging.ERROR)  # each retry would be a line
        logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)  # tracebacks of what is raised anyway

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

    def _check_place(self) -> None:
        """MLflow keeps absolute paths: in a moved or copied checkout they lead to the old place, or nowhere."""
        with opened(self.root / DATABASE) as connection:
            old = elsewhere(connection, self.root)
        if old:
            default = self.root == Path("mlruns").absolute()
            arguments = "" if default else f' ARGS="root={self.root}"'
            raise UserError(
                f"{self.root} was moved or copied: its database still says {old[0]}. "
                f"Run: make relocate{arguments}\n(add dry_run=true to see first what would change)"
            )

    def _migrate(self, database: Path) -> None:
        from mlflow.store.db.utils import _initialize_tables, create_sqlalchemy_engine

        fresh = database.with_name(f".{database.name}.new")
        fresh.unlink(missing_ok=True)
        engine = create_sqlalchemy_engine(f"sqlite:///{fresh}")
        _initialize_tables(engine)
        engine.dispose()
        fresh.rename(database)
