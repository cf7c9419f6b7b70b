"""Decoders by vLLM, where it is installed: on a GPU, in an image of its own, as its pins are not ours."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ClassVar

from pydantic import Field

from sluice.errors import UserError
from sluice.inference.engine import Step, Writer
from sluice.inference.engines.torch import TorchEngine
from sluice.tasks.task import Task
from sluice.tasks.written import Wish


class VllmEngine(TorchEngine):
    """vLLM for the service's callers; batches, as evaluation has them, are run by PyTorch.

    What it draws with a seed is always the same, but not what PyTorch draws with that seed.
    """

    kind: ClassVar[str] = "vllm"

    memory: float = Field(0.9, gt=0, lt=1)
    """Share of the GPU's memory that weights and cache may take."""
    context: int | None = Field(None, ge=1)
    """Tokens of a prompt and its answer together; none is the model's own limit."""

    def writer(self, folder: Path, task: Task) -> Writer | None:
        """Start vLLM; None for models that are no decoders. Raises UserError where it is not installed."""
        if task.architecture != "decoder":
            return None
        try:
            from vllm import AsyncEngineArgs
            from vllm.v1.engine.async_llm import AsyncLLM
        except ImportError as error:
            told = (
                "serve/engine=vllm: vLLM is not installed here, and its pins are not ours: docs/serving.md has an image"
            )
            raise UserError(f"{told}. Without it: serve/engine=continuous") from error
        from transformers import GenerationConfig

        stops = GenerationConfig.from_pretrained(folder.absolute()).eos_token_id
        engine = AsyncLLM.from_engine_args(
            AsyncEngineArgs(
                model=str(folder.absolute()),
                dtype=self.dtype,
                gpu_memory_utilization=self.memory,
                max_model_len=self.context,
                disable_log_stats=True,
            )
        )
        return _Vllm(engine, [] if stops is None else [stops] if isinstance(stops, int) else list(stops))


class _Vllm:
    """A `Writer` by vLLM's engine."""

    def __init__(self, engine: Any, stops: Sequence[int]) -> None:
        self._engine, self._stops = engine, list(stops)
        self._names = map(str, itertools.count())
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self, ids: Sequence[int], wish: Wish, emit: Callable[[Step], None]) -> Callable[[], None]:
        """Begin to write; cancelling the task makes vLLM forget it."""
        task = asyncio.get_running_loop().create_task(self._write(list(ids), wish, emit))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

        def leave() -> None:
            task.cancel()

        return leave

    def alive(self) -> bool:
        """Whether the engine's process runs."""
        return not self._engine.errored

    def end(self) -> None:
        """Write no more, without waiting for it."""
        self._engine.shutdown()

    async def _write(self, ids: list[int], wish: Wish, emit: Callable[[Step], None]) -> None:
        from vllm import SamplingParams
        from vllm.sampling_params import RequestOutputKind

        asked = SamplingParams(
            max_tokens=wish.tokens,
            temperature=wish.temperature,
            top_p=wish.top_p,
            seed=wish.seed,
            stop_token_ids=self._stops,
            logprobs=0 if wish.logprobs else None,
            output_kind=RequestOutputKind.DELTA,
            detokenize=False,
        )
        try:
            async for output in self._engine.generate({"prompt_token_ids": ids}, asked, next(self._names)):
                (part,) = output.outputs
                for at, token in enumerate(part.token_ids):
                    last = part.finish_reason is not None and at == len(part.token_ids) - 1
                    stopped = last and part.finish_reason == "stop"
                    logprob = part.logprobs[at][token].logprob if part.logprobs else None
                    emit(Step(None if stopped else token, logprob, last, stopped))
        except Exception as error:
            emit(Step(error=type(error).__name__))
