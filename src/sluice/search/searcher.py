"""`Searcher`: queries in, hits out. The command and the service search through here."""

from __future__ import annotations

import fcntl
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, Field

from sluice.errors import UserError
from sluice.search.build import Embed
from sluice.search.store import SHOWN, Table
from sluice.tasks.task import Task
from sluice.workspace import MANIFEST

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from sluice.inference.predictor import Predictor

MORE = 4
"""Rows that are looked up for each hit at first: several passages may be of one document."""


class Hit(BaseModel):
    """A passage that was found: the best one of its document."""

    text: str
    score: float = Field(description="Cosine of the query's and the passage's vector, -1 to 1.")
    source: str = Field(description="File and line, or the row in a Parquet file.")
    id: str = Field(description="The document's name; its source where it has none.")
    title: str


class Found(BaseModel):
    """The answer for one query."""

    hits: list[Hit] = Field(description="Best first.")


class SearchOptions(BaseModel):
    """What a caller may ask for beside the query."""

    model_config = ConfigDict(extra="forbid")

    k: int = Field(10, ge=1, le=100, description="Hits, at most.")


def embeds(task: Task) -> bool:
    """Whether a task's outputs are vectors to search by."""
    return task.verb == "embed"


def check_embeds(task: Task) -> None:
    """Raise UserError for a task whose models cannot be searched with."""
    if not embeds(task):
        raise UserError(
            f"a model of task={task.name} gives no vectors to search by: name one that embeds, with name= or version="
        )


def embedder(predictor: Predictor) -> Embed:
    """What turns texts into vectors. Raises UserError for a model that does not."""
    import numpy as np

    check_embeds(predictor.task)
    return lambda texts: np.stack(predictor.outputs(texts)).astype(np.float32)


class Searcher:
    """A finished index, held against removal for as long as this object lives."""

    def __init__(self, folder: Path, embed: Embed | None = None) -> None:
        self.folder, self.embed = folder, embed
        try:
            self._held = (folder / MANIFEST).open(encoding="utf-8")
        except FileNotFoundError as error:
            raise UserError(f"{folder} is no finished index: make index") from error
        fcntl.flock(self._held, fcntl.LOCK_SH)
        self.record: dict[str, Any] = json.load(self._held)["record"]
        self.table = Table(folder)
        self.rows: int = self.record["rows"]

    def search(self, queries: Sequence[str], k: int, exact: bool = False) -> list[list[Hit]]:
        """The `k` best documents for each query, best first; of documents with the same passage one is shown."""
        return self.near(self._embedded(queries), k, exact)

    def near(self, vectors: npt.NDArray[np.float32], k: int, exact: bool = False) -> list[list[Hit]]:
        """The same for queries that are vectors already."""
        shown = [name for name in SHOWN if name not in ("key", "content")]
        found = self._nearest(vectors, k, exact, [*shown, "content"], ("id", "content"))
        return [[Hit(**{name: row[name] for name in (*shown, "score")}) for row in rows] for rows in found]

    def documents(self, queries: Sequence[str], k: int, exact: bool = False) -> list[list[str]]:
        """The ids of the `k` best documents for each query, best first."""
        found = self._nearest(self._embedded(queries), k, exact, ["id"], ("id",))
        return [[row["id"] for row in rows] for rows in found]

    def _embedded(self, queries: Sequence[str]) -> npt.NDArray[np.float32]:
        assert self.embed, "opened without what turns texts into vectors"
        return self.embed(queries)

    def _nearest(
        self, vectors: npt.NDArray[np.float32], k: int, exact: bool, columns: list[str], apart: tuple[str, ...]
    ) -> list[list[dict[str, Any]]]:
        """Rows that differ in all of `apart`; more are looked up until there are enough of them."""
        probes = None if exact else self.record["probes"]
        wanted = min(self.rows, MORE * k)
        while True:
            if wanted >= self.rows:  # the approximate index would leave some out
                probes = None
            tables = self.table.nearest(vectors, wanted, probes, columns)
            found = [_apart(table.to_pylist(), apart)[:k] for table in tables]
            if wanted >= self.rows or all(len(rows) == k for rows in found):
                return found
            if any(table.num_rows < wanted for table in tables):  # all that the approximate index looks through
                probes = None
            wanted = min(self.rows, MORE * wanted)


def _apart(rows: list[dict[str, Any]], names: tuple[str, ...]) -> list[dict[str, Any]]:
    """Rows in their order, without those that share a value with an earlier one; equal scores go by these values."""
    kept = []
    taken: dict[str, set[Any]] = {name: set() for name in names}
    for row in sorted(rows, key=lambda row: (-row["score"], *(row[name] for name in names))):
        if not any(row[name] in taken[name] for name in names):
            kept.append(row)
        for name in names:
            taken[name].add(row[name])
    return kept
