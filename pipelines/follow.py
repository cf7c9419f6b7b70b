"""Write what `serve.models` means whenever that changes: runs beside a service, and ends with it.

What was written last is a copy to start from: while the registry is away it stands as it is, and a second file says so.
"""

from __future__ import annotations

import os
import select
import signal
import sys
import time
from pathlib import Path

from pipelines.resolve import FLYING, Meant, described, meant
from pipelines.shared.entry import main
from pipelines.shared.watch import Watch
from serving.follower import FIGURES, READY
from serving.slot import state_of
from sluice.config import Config
from sluice.errors import UserError
from sluice.files import write_json
from sluice.registry.store import Store

TELL_S = 10
"""How often it is written down that all is well."""


class Look:
    """Asks the registry, and writes what has changed."""

    def __init__(self, cfg: Config, path: Path) -> None:
        self.cfg, self.path = cfg, path
        self.complaint: str | None = None
        """Why the registry could not be asked last time."""
        self._store: Store | None = None
        self._known: list[Meant] = []
        self._told: tuple[int, str | None] | None = None
        url = os.environ.get(FIGURES)
        self._watch = Watch(url, cfg.serve.canary) if url else None

    def __call__(self) -> None:
        """Ask once."""
        try:
            self._store = self._store or Store(self.cfg.root, self.cfg.tracking_uri)
            found = meant(self._store, self.cfg)
            try:
                self._write(self._store, found)
            finally:  # a canary is watched, whatever becomes of others
                if self._watch:
                    self._watch(self._store, found)
            self.complaint = None
        except Exception as error:  # mlflow has no class of its own for a registry that is away
            self.complaint = str(error).splitlines()[0] if str(error) else type(error).__name__
        self._tell()

    def _write(self, store: Store, found: list[Meant]) -> None:
        """Write what has changed. What flies beside a champion and cannot be read is left out."""
        if found == self._known and self.path.exists():
            return
        slots = []
        for one in found:
            try:
                slots.append(described(store, one))
            except Exception as error:
                if one[1] not in FLYING:
                    raise
                print(f"{one[0]} cannot be served: {error}", file=sys.stderr, flush=True)
        if not slots:
            raise UserError("nothing that is meant can be read")
        write_json(self.path, slots)
        self._known = found

    def _tell(self) -> None:
        """Write how it went, at once where that has changed."""
        told = (int(time.time() // TELL_S), self.complaint)
        if told != self._told:
            write_json(state_of(self.path), {"asked": time.time(), "complaint": self.complaint})
            self._told = told


def command(cfg: Config) -> None:
    """Ask again and again; a line on standard input is a hint to ask at once, its end is ours."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # meant for the service: we end when it has
    if cfg.output is None or cfg.serve.poll_s is None:
        raise UserError("output: name the file to write, and how often to ask: output=slots.json serve.poll_s=2")
    look = Look(cfg, cfg.output)
    look()
    if not cfg.output.exists():
        raise UserError(look.complaint or "nothing to serve")
    print(READY, flush=True)
    while _alone(cfg.serve.poll_s):
        look()


def _alone(seconds: float) -> bool:
    """Wait for a hint, but no longer than this; False where whoever started us has gone."""
    ready, _, _ = select.select([sys.stdin], [], [], seconds)
    return not ready or bool(sys.stdin.readline())


if __name__ == "__main__":
    main(command, record=False)
