"""`Slot`: a loaded model and what it is called. Descriptions of all slots are a small JSON file."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from pydantic import BaseModel, Field, TypeAdapter, ValidationError

from serving.batcher import Batcher
from serving.streams import Streams
from sluice.errors import UserError
from sluice.files import write_json
from sluice.flight import CANARY, SHADOW
from sluice.inference.bundle import bundle_digest
from sluice.inference.predictor import Predictor, Texts
from sluice.inference.settings import Serve
from sluice.part import Part
from sluice.search.searcher import Searcher, embeds
from sluice.tasks.encoding import Encoded
from sluice.workspace import MANIFEST


class SlotDescription(BaseModel):
    """Which registered version is served, and where its bundle lies."""

    model_config = Part.model_config

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    """The registered model."""
    version: int = Field(ge=1)
    alias: str | None = None
    """The registry's alias that led to this version."""
    task: str
    folder: Path
    """The bundle; a relative path starts at the descriptions' own folder."""
    index: Path | None = None
    """The index that this version answers searches from; relative as the bundle's."""
    digest: str
    """SHA-256 of the bundle."""
    data: str
    """SHA-256 of the rows that it was trained on."""
    created: int = 0
    """Unix time in seconds at which the version was registered, 0 where that is not known."""

    def verify(self) -> None:
        """Refuse a bundle whose files are not those that were promoted, and an index of another one."""
        found = bundle_digest(self.folder)
        if found != self.digest:
            raise UserError(
                f"{self.folder} is not the promoted bundle of {self.id}: its SHA-256 is {found[:12]}, "
                f"expected {self.digest[:12]}. Promote it again."
            )
        if self.index is None:
            return
        record = json.loads((self.index / MANIFEST).read_text(encoding="utf-8"))["record"]
        if record["bundle"] != self.digest:
            raise UserError(f"{self.index} is an index of {record['version']}, not of {self.id}: make index")

    @property
    def flies(self) -> bool:
        """Whether it is a canary or shadow, without which a service can do."""
        return self.alias in (CANARY, SHADOW)

    @property
    def id(self) -> str:
        """Name and version, as they stand in every answer."""
        return f"{self.name}:{self.version}"

    @property
    def place(self) -> tuple[str, str | None]:
        """Where it stands among those that are served: another version in the same place replaces it."""
        return self.name, self.alias

    def holds_what(self, other: SlotDescription) -> bool:
        """Whether a slot of this version is one of the other's, whatever they are called."""
        mine, theirs = ((one.name, one.version, one.digest, one.index) for one in (self, other))
        return mine == theirs

    def answers_to(self, model: str) -> bool:
        """Whether a caller who asks for `name`, `name:version` or `name@alias` means this slot."""
        names = {self.name, self.id}
        return model in names or (self.alias is not None and model == f"{self.name}@{self.alias}")


def firm(descriptions: Sequence[SlotDescription]) -> list[SlotDescription]:
    """Those that a service is not started without: all but what flies beside others."""
    return [one for one in descriptions if not one.flies] or list(descriptions)


DESCRIPTIONS = TypeAdapter(list[SlotDescription])


def read_descriptions(path: Path) -> list[SlotDescription]:
    """Read the file of descriptions, or say what is wrong with it."""
    try:
        slots = DESCRIPTIONS.validate_python(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, ValidationError) as error:
        raise UserError(f"{path} does not describe models to serve: {error}") from error
    if not slots:
        raise UserError(f"{path} describes no model to serve")
    home = path.absolute().parent
    return [
        slot.model_copy(update={"folder": home / slot.folder, "index": home / slot.index if slot.index else None})
        for slot in slots
    ]


def state_of(path: Path) -> Path:
    """The file beside that of the descriptions that says when the registry was last asked, and what kept it from it."""
    return path.with_name(f"{path.stem}.state.json")


def write_descriptions(path: Path, slots: list[SlotDescription]) -> None:
    """Write the file of descriptions."""
    write_json(path, DESCRIPTIONS.dump_python(slots, mode="json"))


class Runner(Protocol):
    """What computes for the callers of a slot: a `Batcher` or `Streams`."""

    async def compute(self, encoded: list[Encoded], options: BaseModel) -> list[Any]:
        """What the task reads of the model's outputs, one a text."""

    def alive(self) -> bool:
        """Whether it still works."""


@dataclass(frozen=True)
class Slot:
    """A model that is ready to answer."""

    description: SlotDescription
    texts: Texts
    runner: Runner
    engine: str
    """What runs it, as people read it."""
    searcher: Searcher | None = None

    @classmethod
    def load(cls, description: SlotDescription, settings: Serve) -> Slot:
        """Load the bundle, by the engine that is configured for it."""
        folder, engine = description.folder, settings.engine_of(description.name)
        if engine.threads is None:
            engine = engine.model_copy(update={"threads": settings.threads()})
        texts = Texts(folder)
        engine = engine.chosen(folder, texts.task)
        searcher = Searcher(description.index) if description.index else None
        writer = engine.writer(folder, texts.task)
        if writer:
            streams = Streams(description.id, texts, writer, settings.max_waiting, needed=not description.flies)
            return cls(description, texts, streams, engine.name, searcher)
        predictor = Predictor(folder, engine)
        batcher = Batcher(description.id, predictor, settings.batch, settings.max_waiting)
        return cls(description, predictor, batcher, engine.name, searcher)

    async def warm(self) -> None:
        """Answer once, so that no caller waits for a first time."""
        task = self.texts.task
        outputs = await self.runner.compute(self.texts.encode([task.example]), task.Options())
        if self.searcher:
            await asyncio.to_thread(self.searcher.near, np.stack(outputs).astype(np.float32), 1)

    @cached_property
    def verbs(self) -> list[str]:
        """What can be asked of it: the last part of each of its routes."""
        task = self.texts.task
        return [task.verb, "search"] if embeds(task) else [task.verb]
