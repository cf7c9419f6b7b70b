"""Decoders that write for many callers at once: a text joins or leaves between any two tokens.

By transformers' continuous batching, whose cache of keys and values is divided into pages. Batches, as evaluation has
them, are run by PyTorch like those of the other tasks: the same weights, the same choice of tokens.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

from pydantic import Field

from sluice.inference.engine import Step, Writer
from sluice.inference.engines.torch import TorchEngine
from sluice.tasks.task import Task
from sluice.tasks.written import Wish

PAGE = 32
"""Tokens of a page."""


class ContinuousEngine(TorchEngine):
    """PyTorch, writing for many callers at once."""

    kind: ClassVar[str] = "continuous"

    cache_tokens: int = Field(16_384, ge=PAGE)
    """Tokens of all texts that are being written, prompts included, that memory is set aside for."""
    batch_tokens: int = Field(512, ge=1)
    """Tokens in one forward pass: a prompt that is longer is read in several, while others are written on."""

    def writer(self, folder: Path, task: Task) -> Writer | None:
        """Start the thread that writes; None for models that are no decoders."""
        if task.architecture != "decoder":
            return None
        return _Pages(self.model(folder, task), self.cache_tokens, self.batch_tokens)


class _Pages:
    """A `Writer` by transformers' manager."""

    def __init__(self, model: Any, cache_tokens: int, batch_tokens: int) -> None:
        from transformers import ContinuousBatchingConfig, GenerationConfig

        stops = model.generation_config.eos_token_id
        self._stops = [] if stops is None else [stops] if isinstance(stops, int) else list(stops)
        places = getattr(model.config, "max_position_embeddings", None) or cache_tokens
        self._places = min(places, cache_tokens)
        """Tokens of a prompt and its text together."""
        self._names = map(str, itertools.count())
        self._manager = model.init_continuous_batching(
            generation_config=GenerationConfig(
                do_sample=False, eos_token_id=self._stops or -1, pad_token_id=model.config.pad_token_id or 0
            ),
            continuous_batching_config=ContinuousBatchingConfig(
                page_size=PAGE,
                num_blocks=-(-cache_tokens // PAGE),
                max_batch_tokens=batch_tokens,
                use_cuda_graph=False,  # how tokens are drawn is Python, which a graph would not run again
                use_async_batching=False,
            ),
        )
        self._manager.logit_processor = _draws()
        self._manager.start()

    def start(self, ids: Sequence[int], wish: Wish, emit: Callable[[Step], None]) -> Callable[[], None]:
        """Hand the prompt to the manager; what it has written arrives on the running event loop."""
        name, choice = next(self._names), _Choice(wish)
        tokens = max(1, min(wish.tokens, self._places - len(ids)))

        def hear(output: Any) -> None:
            if output.error is not None:
                emit(Step(error=output.error))
                return
            for at in range(choice.told, len(output.generated_tokens)):
                token = output.generated_tokens[at]
                choice.told += 1
                stopped = token in self._stops
                ended = stopped or choice.told >= tokens
                emit(Step(None if stopped else token, choice.logprob(at), ended, stopped))

        self._manager.register_result_handler(name, hear)
        self._manager.add_request(list(ids), request_id=name, max_new_tokens=tokens, streaming=True, choice=choice)
        return partial(self._leave, name)

    def alive(self) -> bool:
        """Whether the manager's thread runs."""
        return bool(self._manager.is_running()) and self._manager.background_thread_status.fatal_error is None

    def end(self) -> None:
        """Write no more, without waiting for it."""
        self._manager.stop(block=False)

    def _leave(self, name: str) -> None:
        self._manager.cancel_request(name)
        with self._manager.output_router._lock:
            self._manager.output_router.result_handlers.pop(name, None)


class _Choice:
    """How the tokens of one text are chosen, and how probable they were."""

    def __init__(self, wish: Wish) -> None:
        from sluice.tasks.sampling import Draw

        self.told = 0
        self._logprobs: list[float] | None = [] if wish.logprobs else None
        self._draw = Draw(wish) if wish.temperature else None

    def __deepcopy__(self, memo: dict[int, Any]) -> _Choice:
        """The manager copies what belongs to a text that has to make room for others; its draws go on."""
        return self

    @property
    def plain(self) -> bool:
        """Whether the likeliest token is taken and nothing else is asked for."""
        return self._draw is None and self._logprobs is None

    def scores(self, row: Any) -> Any:
        """Scores whose largest is the token, shape (vocabulary,)."""
        chosen = self._draw(row) if self._draw else row
        if self._logprobs is not None:
            self._logprobs.append(float(row.log_softmax(dim=-1)[chosen.argmax()]))
        return chosen

    def logprob(self, at: int) -> float | None:
        """The logarithm of the probability of a token, where it was wished for."""
        return None if self._logprobs is None else self._logprobs[at]


def _draws() -> Any:
    """The manager's list of processors with the one that lets each text choose its own way."""
    from transformers import LogitsProcessorList
    from transformers.generation.continuous_batching.cb_logits_processors import (
        ContinuousBatchingLogitsProcessor,
        ContinuousBatchingLogitsProcessorList,
    )

    class Draws(ContinuousBatchingLogitsProcessor):
        """Each row's scores as its text's `_Choice` wants them."""

        supported_kwargs: ClassVar = {"choice": _Choice}
        ignored_kwargs: ClassVar = ()

        def fill_defaults(self, int32_tensor: Any) -> None:
            int32_tensor.zero_()

        def prepare_tensor_args(self, requests_with_new_token: list[Any]) -> Any:
            import torch

            kwargs = [request.state.logit_processor_kwargs for request in requests_with_new_token]
            self._choices = [own["choice"] for own in kwargs]
            return torch.zeros(len(kwargs), dtype=torch.int32)

        def __call__(self, scores: Any, tensor_arg: Any) -> Any:
            for row, choice in enumerate(self._choices):
                if not choice.plain:
                    scores[row] = choice.scores(scores[row])
            return scores

    processors = ContinuousBatchingLogitsProcessorList(LogitsProcessorList([Draws()]))
    processors.tensors_required = 1
    return processors
