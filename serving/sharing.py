"""Connections are divided evenly among the workers, which all accept from one socket.

Left to itself, whichever worker wakes first takes all connections that wait: of eight, measured, often one worker has
all and the other none, and half of the machine idles. Here each takes one at a time, and lets the others go first as
long as it has more than they do. The workers know of each other by a small file that they all map into memory.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import mmap
import os
import socket
import struct
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import uvloop

COUNTS = "SLUICE_CONNECTIONS"
"""Variable that names the file."""
PLACE = struct.Struct("=ii")
"""Of a worker in it: process, and how many connections it has."""
HOLD_S = 0.002
"""How long a worker stands back for each connection that it has more than the one with the fewest."""
LONGEST_S = 0.02


class Counts:
    """How many connections each worker has."""

    def __init__(self, path: Path) -> None:
        with path.open("r+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            self._memory = mmap.mmap(file.fileno(), 0)
            self._own = next((at for at, (process, _) in self._places() if not _runs(process)), None)
            """Its place; None where there is none left, and it shares with nobody."""
            self._write(0)
            fcntl.flock(file, fcntl.LOCK_UN)  # closing the file would not: the memory holds it open
        self.mine = 0

    @staticmethod
    def create(workers: int) -> Path:
        """Make the file for so many workers."""
        handle, name = tempfile.mkstemp(prefix="sluice-connections-")
        os.truncate(handle, PLACE.size * workers)
        os.close(handle)
        return Path(name)

    def add(self, more: int) -> None:
        """Note that this worker has `more` connections."""
        self.mine += more
        self._write(self.mine)

    def ahead(self) -> int:
        """How many connections this worker has more than the one with the fewest."""
        if self._own is None:
            return 0
        return self.mine - min((count for at, (_, count) in self._places() if at != self._own), default=self.mine)

    def _places(self) -> list[tuple[int, tuple[int, int]]]:
        return list(enumerate(PLACE.iter_unpack(self._memory)))

    def _write(self, count: int) -> None:
        if self._own is not None:
            PLACE.pack_into(self._memory, self._own * PLACE.size, os.getpid(), count)


class SharingLoop(uvloop.Loop):
    """uvloop that accepts from a shared socket as this module says."""

    async def create_server(  # type: ignore[override]
        self, factory: Callable[[], Any], *args: Any, **options: Any
    ) -> Any:
        """Serve a socket that other workers serve, too; any other call is uvloop's."""
        shared = options.get("sock")
        if shared is None or COUNTS not in os.environ:
            return await super().create_server(factory, *args, **options)
        return _Server(self, factory, shared, options.get("ssl"), Counts(Path(os.environ[COUNTS])))


class _Server:
    """What uvicorn needs of a server: to be closed."""

    def __init__(self, loop: Any, factory: Callable[[], Any], shared: socket.socket, ssl: Any, counts: Counts) -> None:
        self._loop, self._factory, self._shared, self._ssl, self._counts = loop, factory, shared, ssl, counts
        self._timer: asyncio.TimerHandle | None = None
        self._joining: set[asyncio.Task[Any]] = set()
        shared.setblocking(False)
        self._listen()

    def close(self) -> None:
        """Accept no more."""
        self._loop.remove_reader(self._shared.fileno())
        if self._timer:
            self._timer.cancel()

    async def wait_closed(self) -> None:
        """Until what was accepted last has joined."""
        await asyncio.gather(*self._joining, return_exceptions=True)

    def _listen(self) -> None:
        self._loop.add_reader(self._shared.fileno(), self._ready)

    def _ready(self) -> None:
        ahead = self._counts.ahead()
        if ahead <= 0:
            self._accept()
            return
        self._loop.remove_reader(self._shared.fileno())
        self._timer = self._loop.call_later(min(ahead * HOLD_S, LONGEST_S), self._accept_at_last)

    def _accept_at_last(self) -> None:
        self._accept()
        self._listen()

    def _accept(self) -> None:
        with contextlib.suppress(BlockingIOError, ConnectionError):  # another was quicker, or the caller has left
            connection, _ = self._shared.accept()
            connection.setblocking(False)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            task = self._loop.create_task(self._join(connection))
            self._joining.add(task)
            task.add_done_callback(self._joining.discard)
            self._counts.add(1)

    async def _join(self, connection: socket.socket) -> None:
        protocol = self._factory()
        lost = protocol.connection_lost

        def connection_lost(error: Exception | None) -> None:
            self._counts.add(-1)
            lost(error)

        protocol.connection_lost = connection_lost
        try:
            await self._loop.connect_accepted_socket(lambda: protocol, connection, ssl=self._ssl)
        except (OSError, ValueError):  # such as a handshake that failed
            if not getattr(protocol, "transport", None):
                self._counts.add(-1)


def loop_factory(use_subprocess: bool = False) -> Callable[[], asyncio.AbstractEventLoop]:
    """What uvicorn makes its loop with."""
    return SharingLoop


def _runs(process: int) -> bool:
    return process > 0 and Path(f"/proc/{process}").exists()
