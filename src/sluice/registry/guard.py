"""A team's MLflow server that goes away: said in two lines, at once, and waited for where figures can wait."""

from __future__ import annotations

import functools
import time
from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from sluice.errors import UserError

if TYPE_CHECKING:
    from sluice.registry.runs import Run

PATIENCE_SECONDS = 30.0
"""For so long a training goes on without its server; then it ends, to go on from its last checkpoint."""
REST_SECONDS = 5.0
"""After a failure nothing is asked for this long: ending a command does not wait anew for each run it has open."""
BATCH = 1000
"""The most figures that MLflow takes in one request."""


class AwayError(UserError):
    """The server does not answer."""


class Guard:
    """Stands before an `MlflowClient` of a server and words its absence."""

    def __init__(self, client: Any, uri: str) -> None:
        self._client = client
        self._uri = uri
        self._failed = -REST_SECONDS
        self.away_since: float | None = None
        """When it first failed to answer (seconds since 1970); None while it answers."""

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._client, name)
        if not callable(found):
            return found

        @functools.wraps(found)
        def asked(*arguments: Any, **named: Any) -> Any:
            if time.monotonic() - self._failed < REST_SECONDS:
                raise self._away()
            start = time.time()
            try:
                answer = found(*arguments, **named)
            except Exception as error:
                if not is_away(error):
                    raise
                self._failed = time.monotonic()
                self.away_since = self.away_since or start
                raise self._away() from error
            self.away_since = None
            return answer

        return asked

    def _away(self) -> AwayError:
        return AwayError(away(self._uri, self.away_since or time.time()))


def is_away(error: BaseException) -> bool:
    """Whether MLflow's client gave up on its server; it has no class of its own for that."""
    return "API request to http" in str(error) and " failed with " in str(error)


def away(uri: str, since: float) -> str:
    """The two lines of a server that does not answer."""
    moment = datetime.fromtimestamp(since).astimezone().strftime("%Y-%m-%d %H:%M:%S")
    return (
        f"the MLflow server at {uri} has not answered since {moment}\n"
        "Start it again, or wait until it is back; then the same command goes on from here"
    )


class Figures:
    """The log of a long loop: while the server is away for a short time, figures wait and the loop goes on."""

    def __init__(self, run: Run, patience_seconds: float = PATIENCE_SECONDS) -> None:
        self._run = run
        self._patience = patience_seconds
        self._waiting: list[Any] = []

    def __call__(self, values: Mapping[str, float], step: int = 0) -> None:
        """Log figures, with those that wait; raises AwayError when the server has been away for too long."""
        from mlflow.entities import Metric

        now = time.time()
        self._waiting += [Metric(key, float(value), int(now * 1000), step) for key, value in values.items()]
        try:
            self.send()
        except AwayError:
            if now - self._run.store.away_since > self._patience:
                raise

    def send(self) -> None:
        """Log what waits, or raise AwayError."""
        while self._waiting:
            self._run.store.client.log_batch(self._run.id, metrics=self._waiting[:BATCH])
            del self._waiting[:BATCH]
