"""`Reader`: an input file as blocks, whatever its format."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sluice.batch.blocks import Block, own_options
from sluice.batch.settings import Predict
from sluice.data.sources.cells import Cells, check_columns
from sluice.data.sources.structured import to_strings

if TYPE_CHECKING:
    import pyarrow as pa


class Reader(ABC):
    """An input file. Every pass over it gives the same blocks."""

    def __init__(self, path: Path, settings: Predict) -> None:
        self.path, self.settings = path, settings
        self.share = 0.0
        """How much of the file the present pass has read."""

    @abstractmethod
    def blocks(self) -> Iterator[Block]:
        """All rows, in order."""

    @cached_property
    def names(self) -> list[str]:
        """The columns, in order."""
        return self._names()

    @cached_property
    def schema(self) -> pa.Schema:
        """The columns with their types."""
        return self._schema()

    @abstractmethod
    def _names(self) -> list[str]: ...

    @abstractmethod
    def _schema(self) -> pa.Schema: ...

    def _texts(self, values: list[Any], lines: list[int]) -> list[str]:
        column = self.settings.column
        with own_options():
            return to_strings(str(self.path), column, Cells({column: values}, lines), numbers=False)

    def _check_column(self, place: Path | str, names: list[str]) -> None:
        with own_options():
            check_columns(str(place), {"text": self.settings.column}, names)
