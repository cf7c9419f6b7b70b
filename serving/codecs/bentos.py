"""BentoML's protocol: one `@bentoml.api` a task, for its clients and its own API page."""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import Any

import bentoml
from bentoml.exceptions import BentoMLException
from pydantic import BaseModel

from serving.codecs.native import TextResponse, Texts, response_of
from serving.core import Core, Request
from serving.refusals import LateError, RefusalError
from sluice.tasks.task import Task


def methods(tasks: list[Task]) -> dict[str, Any]:
    """The service's methods, by name: `client.classify(input="a text")`."""
    return {task.verb: _method(task) for task in tasks}


def _method(task: Task) -> Any:
    async def ask(self: Any, input: Any, model: Any = None, options: Any = None) -> Any:
        return await _answer(self.core, Request(task.verb, input, options, model))

    # BentoML makes its schema of the annotations, which no source can name: they are the task's.
    types = {"input": Texts, "model": str | None, "options": task.Options | None}
    ask.__annotations__ = {**types, "return": TextResponse[task.Result]}  # type: ignore[name-defined]
    ask.__name__ = task.verb
    ask.__doc__ = "One result a text, in the order of the input."
    return bentoml.api(ask, route=f"/{task.verb}")


async def _answer(core: Core, request: Request) -> BaseModel:
    try:
        async with asyncio.timeout(core.settings.timeout_s):
            return response_of(await core.answer(request))
    except TimeoutError:
        raise _refused(LateError(core.settings.timeout_s)) from None
    except RefusalError as refusal:
        raise _refused(refusal) from None


def _refused(refusal: RefusalError) -> BentoMLException:
    return BentoMLException(refusal.message, error_code=HTTPStatus(refusal.status))
