"""Child processes that end with us: each leads a group of all that it starts, which is ended as a whole."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import psutil

from sluice.errors import UserError
from tests.bench.serving.usage import cpu_seconds, tree

GRACE_S = 10
QUIET = 0.1
"""Cores that a server may use above what it uses at rest and still count as having nothing to do."""
STEP_S = 0.25
DRAIN_S = 30
"""Longest wait for that: what was under way when the load ended would slow the next one's turn."""


class Child:
    """A process and all that it starts."""

    def __init__(self, command: Sequence[str], home: Path, environment: Mapping[str, str], piped: bool = False) -> None:
        home.mkdir(parents=True, exist_ok=True)
        self._ended = False
        self.log = home / "log.txt"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                command,
                cwd=home,
                env=dict(environment),
                stdin=subprocess.PIPE if piped else subprocess.DEVNULL,
                stdout=subprocess.PIPE if piped else log,
                stderr=log,
                start_new_session=True,
            )

    @property
    def id(self) -> int:
        """Of the process at the top."""
        return self.process.pid

    def write(self, line: str) -> None:
        """Say something to a process with pipes."""
        assert self.process.stdin
        self.process.stdin.write(f"{line}\n".encode())
        self.process.stdin.flush()

    def read(self) -> str:
        """The next line of a process with pipes."""
        assert self.process.stdout
        line = self.process.stdout.readline().decode()
        if not line:
            raise UserError(f"a process has ended that was still needed:\n{self.log.read_text()[-2000:]}")
        return line

    def settle(self, resting: float, limit_s: float = DRAIN_S) -> None:
        """Wait until it has finished what its callers no longer wait for: until it uses no more cores than at rest."""
        until = time.monotonic() + limit_s
        used = cpu_seconds(self.id)
        while time.monotonic() < until:
            time.sleep(STEP_S)
            before, used = used, cpu_seconds(self.id)
            if used - before <= (resting + QUIET) * STEP_S:
                return

    def pause(self) -> None:
        """Give it no time."""
        os.killpg(self.id, signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on."""
        os.killpg(self.id, signal.SIGCONT)

    def stop(self) -> None:
        """Ask the group to end, then end it, and whatever of the tree has left the group."""
        if self._ended:
            return
        self._ended = True
        members = list(tree(self.id))
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.id, signal.SIGTERM)
            self.resume()
        _, left = psutil.wait_procs(members, timeout=GRACE_S)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.id, signal.SIGKILL)
        for process in left:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        self.process.wait()
