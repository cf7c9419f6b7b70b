"""`Reloader`: another version while requests are answered. It is loaded and warmed up beside the one that answers.

Each worker watches the file of descriptions, which whoever follows the registry rewrites. A version that cannot be
loaded never answers anybody: the one before goes on, also in a worker that is started only then, and `/readyz` says
why. Requests that are under way keep the model that they began with; it is freed with the last of them.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
import weakref
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from serving.core import Core
from serving.metrics import swapped
from serving.process import give_back_memory, spare_the_collector
from serving.slot import Runner, Slot, SlotDescription, firm, read_descriptions, state_of, write_descriptions
from serving.table import Table
from sluice.errors import UserError
from sluice.inference.settings import Serve

log = logging.getLogger("bentoml.sluice")
LOOK_S = 0.25
"""How often a worker looks whether the file has changed."""
DRAIN_S = 30.0
"""Requests that still hold a model by then are not waited for before memory is given back."""
Stamp = tuple[int, int]
RETRY_S = 30.0
"""After a version could not be loaded it is tried again: memory may have been short."""


class Reloader:
    """Keeps a core's table as the file of descriptions says."""

    def __init__(self, path: Path, core: Core, renew: Callable[[], None], seen: Stamp | None = None) -> None:
        self.path, self.core = path, core
        self._renew = renew
        """Makes the routes anew, where the models can do other things than before."""
        self._seen = seen or stamp(path)
        """The file as it was when the core was made of it: what has changed since is loaded at once."""
        self._failed_at: float | None = None
        self._loader = ThreadPoolExecutor(1, "loader")
        """One thread for all that is loaded: each more would leave an arena of malloc's with its holes."""
        self._retired: list[weakref.ref[Runner]] = []
        """What has made room and may still answer somebody."""
        self._retired_at = 0.0

    @staticmethod
    def open(path: Path, settings: Serve) -> Core:
        """The core that a worker begins with. Where what it should serve cannot be loaded: what was, before that.

        A canary or shadow that cannot be loaded is left out.
        """
        wanted, failures = read_descriptions(path), {}
        needed = firm(wanted)
        try:
            slots = [_load(one, settings) for one in needed]
        except Exception as error:
            if not _good(path).exists():
                raise
            slots = [_load(one, settings) for one in read_descriptions(_good(path))]
            failures[", ".join(one.id for one in wanted)] = _told(error)
        else:
            for one in wanted:
                if one not in needed:
                    try:
                        slots.append(_load(one, settings))
                    except Exception as error:
                        failures[one.id] = _told(error)
        core = Core(Table(slots, settings.canary.share), settings, state_of(path))
        core.failures = failures
        return core

    async def begin(self) -> None:
        """Let every model answer once, and remember that they did."""
        needed = firm([slot.description for slot in self.core.table.slots])
        slots = []
        for slot in self.core.table.slots:
            try:
                await slot.warm()
                slots.append(slot)
            except Exception as error:
                self.core.failures[slot.description.id] = _told(error)
                if slot.description in needed:
                    slots.append(await self._before(slot.description, error))
        for model, told in self.core.failures.items():
            self._failed_at = time.monotonic()
            log.error("%s cannot be served: %s", model, told)
        before, self.core.table = self.core.table, Table(slots, self.core.settings.canary.share)
        if self.core.table.signature != before.signature:
            self._renew()
        self._keep()

    async def _before(self, description: SlotDescription, error: Exception) -> Slot:
        """What worked last in a version's place, for a worker that starts with one that does not."""
        good = read_descriptions(_good(self.path)) if _good(self.path).exists() else []
        for one in good:
            if one.place == description.place and not one.holds_what(description):
                slot = await asyncio.to_thread(_load, one, self.core.settings)
                await slot.warm()
                return slot
        raise error

    async def follow(self) -> None:
        """Look for changes until cancelled."""
        while True:
            await asyncio.sleep(LOOK_S)
            due = self._failed_at is not None and time.monotonic() - self._failed_at > RETRY_S
            try:
                await self._tidy()
                if stamp(self.path) != self._seen or due:
                    await self.reload()
            except Exception:  # what is served goes on being served, whatever the file says
                log.exception("%s could not be followed", self.path)

    async def reload(self) -> None:
        """Load what is new, then answer from it, all at once."""
        self._seen, self._failed_at = stamp(self.path), None
        try:
            descriptions = await asyncio.to_thread(read_descriptions, self.path)
        except UserError as error:
            log.error("%s", error)
            return
        self.core.failures = {}
        slots = [slot for one in descriptions if (slot := await self._slot(one))]
        before = self.core.table
        if not slots or [slot.description for slot in slots] == [slot.description for slot in before.slots]:
            return
        self.core.table = Table(slots, self.core.settings.canary.share)
        if self.core.table.signature != before.signature:
            self._renew()
        self._keep()
        self.core.cache.forget()
        kept = [slot.runner for slot in slots]
        self._retired += [weakref.ref(slot.runner) for slot in before.slots if slot.runner not in kept]
        self._retired_at = time.monotonic()

    async def _tidy(self) -> None:
        """Once nobody holds what has made room, give its memory back."""
        gone = not any(runner() for runner in self._retired)
        if self._retired and (gone or time.monotonic() - self._retired_at > DRAIN_S):
            self._retired.clear()
            spare_the_collector()
            await asyncio.to_thread(give_back_memory)

    async def _slot(self, description: SlotDescription) -> Slot | None:
        """The slot of a version: the one that is there, or a new one, or where that fails, the one before."""
        there = self.core.table.slots
        for slot in there:
            if slot.description.holds_what(description):
                return replace(slot, description=description)
        try:
            begun = time.monotonic()
            loop = asyncio.get_running_loop()
            slot = await loop.run_in_executor(self._loader, _load, description, self.core.settings)
            await slot.warm()
        except Exception as error:
            self.core.failures[description.id] = told = _told(error)
            log.error("%s cannot be served: %s", description.id, told)
            self._failed_at = time.monotonic()
            swapped(description.id, "failed")
            if description.flies:  # the canary before it has been called back: it answers nobody any more
                return None
            same = (slot for slot in there if slot.description.place == description.place)
            return next(same, None)
        took = time.monotonic() - begun
        log.info(
            "serving %s by %s, bundle %s, after %.1f s", description.id, slot.engine, description.digest[:12], took
        )
        swapped(description.id, "served")
        return slot

    def _keep(self) -> None:
        """Write down what works, for workers that are started while something else does not."""
        if not self.core.failures:
            with contextlib.suppress(OSError):  # a Bento may lie where nothing can be written
                write_descriptions(_good(self.path), [slot.description for slot in self.core.table.slots])


def _good(path: Path) -> Path:
    return path.with_name(f"{path.stem}.good.json")


def _told(error: Exception) -> str:
    """An error in one line."""
    told = str(error) if isinstance(error, UserError) else f"{type(error).__name__}: {error}"
    return told.strip().splitlines()[0]


def _load(description: SlotDescription, settings: Serve) -> Slot:
    description.verify()
    return Slot.load(description, settings)


def stamp(path: Path) -> Stamp | None:
    """What another file in its place would not have."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ino
