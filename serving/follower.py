"""`Follower`: the one process of a service that asks the registry, so that no other ever imports mlflow."""

from __future__ import annotations

import logging
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from typing import IO

from sluice.errors import UserError

log = logging.getLogger("bentoml.sluice")
FIGURES = "SLUICE_FIGURES"
"""Variable by which the follower knows where the service's own figures are, to stop a canary by."""
READY = "following"
"""The line on standard output that says that it has written."""
RESTART_S = 5.0
"""A follower that has ended is started again after this long."""


class Follower:
    """Runs a command that writes what is to be served whenever that changes, for as long as we live.

    It ends when its standard input does: with us, however we end.
    """

    def __init__(self, command: Sequence[str], environment: Mapping[str, str]) -> None:
        self._command, self._environment = list(command), dict(environment)

    def begin(self) -> None:
        """Start it, and wait until it has written for the first time. Raises UserError with its complaint."""
        process = self._start()
        if not self._wrote(process):
            assert process.stderr
            cause = process.stderr.read().strip().removeprefix("error: ")
            raise UserError(cause or f"{' '.join(self._command)} failed with {process.wait()}")
        threading.Thread(target=self._keep, args=(process,), name="follower", daemon=True).start()

    def _start(self) -> subprocess.Popen[str]:
        pipe = subprocess.PIPE
        return subprocess.Popen(self._command, env=self._environment, stdin=pipe, stdout=pipe, stderr=pipe, text=True)

    def _keep(self, process: subprocess.Popen[str]) -> None:
        while True:
            threading.Thread(target=_read, args=(process.stdout,), name="follower's output", daemon=True).start()
            _read(process.stderr)
            log.warning("the follower of the registry ended with %d; it is started again", process.wait())
            time.sleep(RESTART_S)
            process = self._start()

    @staticmethod
    def _wrote(process: subprocess.Popen[str]) -> bool:
        assert process.stdout
        return any(line.strip() == READY for line in process.stdout)


def _read(lines: IO[str] | None) -> None:
    """Log what it says until it ends: nobody else would, and it must not wait for a reader."""
    for line in lines or ():
        if line.strip() != READY:
            log.warning("the follower of the registry: %s", line.rstrip())
