"""`Slot`: a loaded model and what it is called. Its description is a small JSON file."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, Field, ValidationError

from sluice.errors import UserError
from sluice.inference.bundle import bundle_digest
from sluice.inference.engine import Engine
from sluice.inference.predictor import Prediction, Predictor
from sluice.part import Part
from sluice.search.searcher import Found, Searcher, embedder
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
    """The bundle; a relative path starts at the description's own folder."""
    index: Path | None = None
    """The index that this version answers searches from; relative as the bundle's."""
    digest: str
    """SHA-256 of the bundle."""
    data: str
    """SHA-256 of the rows that it was trained on."""
    created: int = 0
    """Unix time in seconds at which the version was registered, 0 where that is not known."""

    @classmethod
    def read(cls, path: Path) -> SlotDescription:
        """Read a description, or say what is wrong with the file."""
        try:
            slot = cls.model_validate(json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError, ValidationError) as error:
            raise UserError(f"{path} does not describe a model to serve: {error}") from error
        home = path.absolute().parent
        index = home / slot.index if slot.index else None
        return slot.model_copy(update={"folder": home / slot.folder, "index": index})

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
    def id(self) -> str:
        """Name and version, as they stand in every answer."""
        return f"{self.name}:{self.version}"

    def answers_to(self, model: str) -> bool:
        """Whether a caller who asks for `name`, `name:version` or `name@alias` means this slot."""
        names = {self.name, self.id}
        return model in names or (self.alias is not None and model == f"{self.name}@{self.alias}")


@dataclass(frozen=True)
class Slot:
    """A model that is ready to answer."""

    description: SlotDescription
    predictor: Predictor
    searcher: Searcher | None = None

    @classmethod
    def load(cls, description: SlotDescription, engine: Engine) -> Slot:
        """Load the bundle and let it answer once, so that no caller waits for a first time."""
        predictor = Predictor(description.folder, engine)
        predictor.predict([predictor.task.example])
        if description.index is None:
            return cls(description, predictor)
        searcher = Searcher(description.index, embedder(predictor))
        searcher.search([predictor.task.example], 1)
        return cls(description, predictor, searcher)

    def search(self, texts: Sequence[str], k: int) -> Prediction:
        """The `k` best documents for each text."""
        assert self.searcher
        found: list[BaseModel] = [Found(hits=hits) for hits in self.searcher.search(texts, k)]
        return Prediction(found, self.predictor.tokens(texts))
