"""onnxruntime-genai on the CPU: decoders from a graph, in float32 or with weights in 8 bits. Needs the extra `genai`.

Tokens are chosen here, from the scores that it gives: the same greedy text as PyTorch writes, the same likelihoods, and
draws that depend on a text's own seed alone. Each text has its own cache, so that it can join and leave at any time;
texts that are written at once take turns, a token each.
"""

from __future__ import annotations

import asyncio
import importlib.util
import json
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from pydantic import BaseModel

from sluice.errors import UserError
from sluice.inference.engine import Engine, Forward, Step, Writer
from sluice.tasks.generation import Generation, Likelihood
from sluice.tasks.sampling import ENDED, Draw
from sluice.tasks.task import Task
from sluice.tasks.written import Wish

if TYPE_CHECKING:
    import numpy.typing as npt

FOLDERS = {"float32": "genai", "int8": "genai.int8"}
"""The folder of a bundle that holds the model in a precision."""
GRAPH = "model.onnx"
CONFIG = "genai_config.json"
EXTRA = "pip install 'sluice[genai]'"


class GenaiEngine(Engine):
    """onnxruntime-genai on the CPU."""

    kind: ClassVar[str] = "genai"

    precision: Literal["float32", "int8"] = "float32"
    """Of the weights; all else is float32."""

    @property
    def name(self) -> str:
        """With its precision."""
        return f"{self.kind} {self.precision}"

    @property
    def together(self) -> int | None:
        """One: each text has a cache of its own."""
        return 1

    def missing(self) -> str | None:
        """That the library is not there."""
        there = importlib.util.find_spec("onnxruntime_genai")
        return None if there else f"onnxruntime-genai is not installed: {EXTRA}"

    def load(self, folder: Path, task: Task) -> Forward:
        """Open the graph and return the forward pass. Raises UserError for a bundle, or a machine, without it."""
        assert isinstance(task, Generation)
        model = self._open(folder)

        def forward(batch: Sequence[Sequence[int]], options: BaseModel) -> npt.NDArray[Any]:
            if isinstance(options, Likelihood):
                return _filled([model.nats(ids) for ids in batch], 0.0, left=True)
            wish = task.wish(options)
            return _filled([[ENDED if step.token is None else step.token for step in model.write(ids, wish)]
                            for ids in batch], ENDED)  # fmt: skip

        return forward

    def writer(self, folder: Path, task: Task) -> Writer | None:
        """Start the thread that writes."""
        return _Turns(self._open(folder)) if isinstance(task, Generation) else None

    def _open(self, folder: Path) -> _Model:
        path = folder / FOLDERS[self.precision]
        if not path.exists():
            told = f"{folder} has no {path.name}: that form was not made, or its answers were out of bounds."
            raise UserError(f"{told} Make it: make compress, or do without it: serve/engine=continuous")
        if reason := self.missing():
            raise UserError(f"{reason}, or do without it: serve/engine=continuous")
        return _Model(path, self.threads)


class _Model:
    """The graph, and what writes a text with it."""

    def __init__(self, folder: Path, threads: int | None) -> None:
        import onnxruntime_genai

        onnxruntime_genai.disable_telemetry_events()
        self._library = onnxruntime_genai
        about = json.loads((folder / CONFIG).read_text(encoding="utf-8"))["model"]
        stops = about.get("eos_token_id")
        self._stops = {stops} if isinstance(stops, int) else set(stops or ())
        self._places = int(about["context_length"])
        config = onnxruntime_genai.Config(str(folder))
        session = {"intra_op_num_threads": threads or 0, "session.intra_op.allow_spinning": "0"}
        config.overlay(json.dumps({"model": {"decoder": {"session_options": session}}}))
        self._model = onnxruntime_genai.Model(config)

    def write(self, ids: Sequence[int], wish: Wish) -> Iterator[Step]:
        """What follows a prompt, a token at a time."""
        tokens = max(1, min(wish.tokens, self._places - len(ids)))
        generator, draw = self._begun(ids, len(ids) + tokens), _Choice(wish)
        for written in range(1, tokens + 1):
            token, logprob = draw(generator.get_logits()[0, 0])
            stopped = token in self._stops
            ended = stopped or written == tokens
            yield Step(None if stopped else token, logprob, ended, stopped)
            if ended:
                return
            generator.append_tokens(np.array([token], np.int32))

    def nats(self, ids: Sequence[int]) -> npt.NDArray[np.float32]:
        """How unlikely each token is, given those before it, 0 for the first one."""
        scores = self._begun(ids, len(ids) + 1).get_output("logits")[0, :-1].astype(np.float64)
        highest = scores.max(axis=1)
        total = highest + np.log(np.exp(scores - highest[:, None]).sum(axis=1))
        return np.concatenate([[0.0], total - scores[np.arange(len(ids) - 1), ids[1:]]]).astype(np.float32)

    def _begun(self, ids: Sequence[int], longest: int) -> Any:
        params = self._library.GeneratorParams(self._model)
        params.set_search_options(max_length=min(longest, self._places) + 1, batch_size=1)
        generator = self._library.Generator(self._model, params)
        generator.append_tokens(np.array(ids, np.int32))
        return generator


class _Choice:
    """How the next token is chosen from its scores."""

    def __init__(self, wish: Wish) -> None:
        self._draw, self._logprobs = Draw(wish) if wish.temperature else None, wish.logprobs

    def __call__(self, scores: npt.NDArray[np.float32]) -> tuple[int, float | None]:
        """The token, and the logarithm of its probability where that is asked for."""
        if self._draw:
            import torch

            token = int(self._draw(torch.from_numpy(scores)).argmax())
        else:
            token = int(scores.argmax())
        if not self._logprobs:
            return token, None
        high = float(scores.max())
        return token, float(scores[token]) - high - float(np.log(np.exp(scores - high).sum()))


class _Text:
    """One that is being written."""

    def __init__(self, steps: Iterator[Step], emit: Callable[[Step], None]) -> None:
        self.steps, self.emit, self.left = steps, emit, False


class _Turns:
    """A `Writer`: a thread that gives each text a token in turn."""

    def __init__(self, model: _Model) -> None:
        self._model = model
        self._texts: deque[_Text] = deque()
        self._more = threading.Condition()
        self._ended = False
        self._thread = threading.Thread(target=self._run, name="genai", daemon=True)
        self._thread.start()

    def start(self, ids: Sequence[int], wish: Wish, emit: Callable[[Step], None]) -> Callable[[], None]:
        """Begin to write; what is written arrives on the running event loop."""
        loop = asyncio.get_running_loop()
        text = _Text(self._model.write(ids, wish), lambda step: _tell(loop, emit, step))
        with self._more:
            self._texts.append(text)
            self._more.notify()

        def leave() -> None:
            text.left = True

        return leave

    def alive(self) -> bool:
        """Whether the thread runs."""
        return self._thread.is_alive()

    def end(self) -> None:
        """Write no more, without waiting for it."""
        with self._more:
            self._ended = True
            self._more.notify()

    def _run(self) -> None:
        while True:
            with self._more:
                self._more.wait_for(lambda: self._texts or self._ended)
                if self._ended:
                    return
                text = self._texts.popleft()
            if self._go_on(text):
                with self._more:
                    self._texts.append(text)

    def _go_on(self, text: _Text) -> bool:
        """Write a token of a text; whether there is more to write."""
        if text.left:
            return False
        try:
            step = next(text.steps)
        except Exception as error:  # whatever the library throws is that text's, not its neighbours'
            text.emit(Step(error=str(error)))
            return False
        text.emit(step)
        return not step.ended


def _tell(loop: asyncio.AbstractEventLoop, emit: Callable[[Step], None], step: Step) -> None:
    """From the writing thread; a loop that is closed has nobody left to hear."""
    if not loop.is_closed():
        loop.call_soon_threadsafe(emit, step)


def _filled(rows: Sequence[Any], empty: float, left: bool = False) -> npt.NDArray[Any]:
    """Rows of unequal length as one array."""
    width = max(map(len, rows))
    found = np.full((len(rows), width), empty, np.float32 if left else np.int64)
    for place, row in zip(found, rows, strict=True):
        if left:
            place[width - len(row) :] = row
        else:
            place[: len(row)] = row
    return found
