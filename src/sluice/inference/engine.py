"""`Engine`: how outputs are computed. `engines/` holds them; torch is the reference that others are compared with."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from pydantic import BaseModel, Field

from sluice.part import Part
from sluice.tasks.task import Task
from sluice.tasks.written import Wish

if TYPE_CHECKING:
    import numpy.typing as npt

VISIBLE = "CUDA_VISIBLE_DEVICES"
"""Variable that says which GPUs a process may use: numbers or names, divided by commas."""
Forward = Callable[[Sequence[Sequence[int]], BaseModel], "npt.NDArray[Any]"]
"""Token ids of a batch of inputs, and the task's options -> the task's raw outputs, a row an input."""


@dataclass(frozen=True)
class Step:
    """What a writer has to say of one text: a token more, its end, or why it broke off."""

    token: int | None = None
    logprob: float | None = None
    """Natural logarithm of the token's probability; only where it was wished for."""
    ended: bool = False
    """Whether the text is complete: by its stop token, which is not among the tokens, or by its length."""
    stopped: bool = False
    """Whether it ended by its stop token."""
    error: str | None = None


class Writer(Protocol):
    """Writes many texts at once, token by token; each caller may come and leave at any time."""

    def start(self, ids: Sequence[int], wish: Wish, emit: Callable[[Step], None]) -> Callable[[], None]:
        """Begin to go on from a prompt. `emit` is called on the running event loop for every step, until one that
        has ended or failed. What is returned makes it stop writing."""

    def alive(self) -> bool:
        """Whether it still works."""

    def end(self) -> None:
        """Write no more, without waiting for it."""


class Engine(Part, ABC):
    """A way to run a bundle's model."""

    kind: ClassVar[str]

    threads: int | None = Field(None, ge=1)
    """Threads within one operation; none leaves it to the engine, in the service to the worker's share of the cores."""

    @property
    def name(self) -> str:
        """What it is called in the list of models, such as `torch float32`."""
        return self.kind

    @property
    def together(self) -> int | None:
        """Most inputs in one forward pass; None leaves it to the task."""
        return None

    def missing(self) -> str | None:
        """Which library is not installed that this engine needs, and how to get it; None where all are there."""
        return None

    def chosen(self, folder: Path, task: Task) -> Engine:
        """The engine that runs this bundle: this one, unless it leaves the choice to the bundle."""
        return self

    @abstractmethod
    def load(self, folder: Path, task: Task) -> Forward:
        """Load the model once and return its forward pass."""

    def writer(self, folder: Path, task: Task) -> Writer | None:
        """Load the model to write token by token for many callers; None where this engine only runs whole batches."""
        return None


def gpus(devices: Path = Path("/dev")) -> list[str]:
    """The GPUs of this machine that `CUDA_VISIBLE_DEVICES` lets us see, without importing what would use them."""
    numbers = [path.name.removeprefix("nvidia") for path in devices.glob("nvidia*")]
    there = sorted(filter(str.isdigit, numbers), key=int)
    given = os.environ.get(VISIBLE)
    if given is None or not there:
        return there
    return [one.strip() for one in given.split(",") if one.strip() not in ("", "-1")]
