"""The native protocol: `POST /v1/<verb>` and `GET /v1/models`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated, Any, Generic, TypeVar

from fastapi import APIRouter, Body, Header, Query
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints
from starlette.responses import JSONResponse, Response

from serving.core import Answer, Core, Request
from serving.errors import ErrorBody
from serving.routes import JsonRoute
from serving.slot import Slot, SlotDescription
from sluice.part import digest
from sluice.search.answers import Answered, AskOptions
from sluice.search.searcher import Found, SearchOptions

REFUSALS: dict[int | str, dict[str, Any]] = {
    status: {"model": ErrorBody} for status in (400, 404, 413, 415, 422, 429, 500, 504)
}
Options = TypeVar("Options", bound=BaseModel)
Result = TypeVar("Result", bound=BaseModel)


def _as_list(value: Any) -> Any:
    if not isinstance(value, str | list):
        raise ValueError("expected a text or a list of texts")
    return [value] if isinstance(value, str) else value


Text = Annotated[str, StringConstraints(min_length=1)]
Texts = Annotated[list[Text], Field(min_length=1), BeforeValidator(_as_list, json_schema_input_type=Text | list[Text])]


class TextRequest(BaseModel, Generic[Options]):
    """One text or several."""

    model_config = ConfigDict(extra="forbid")

    input: Texts = Field(description="A text, or a list of texts.")
    model: str | None = Field(
        None, description="`name`, `name:version` or `name@alias`; none takes the first of this task."
    )
    options: Options | None = None


class Usage(BaseModel):
    """What was read."""

    texts: int
    tokens: int
    truncated: list[int] = Field(description="Places of the texts that were longer than what was read of them.")


class TextResponse(BaseModel, Generic[Result]):
    """One result a text, in the order of the input."""

    model: str = Field(description="Name and version of the model that answered.")
    task: str
    results: list[Result]
    usage: Usage


def router(core: Core) -> APIRouter:
    """The routes of this protocol, one for each thing that the models can do."""
    routes = APIRouter(tags=["native"], responses=REFUSALS, route_class=JsonRoute)
    for verb in core.table.verbs:
        task = next(slot for slot in core.table.slots if verb == "ask" or verb in slot.verbs).texts.task
        if verb == "search":
            _add(routes, verb, task.example, SearchOptions, Found, _search(core))
        elif verb == "ask":
            _add(routes, verb, "What does a shortest path return?", AskOptions, Answered, _ask(core))
        else:
            _add(routes, verb, task.example, task.Options, task.Result, _predict(core, verb))
            if not task.writes:
                response = TextResponse[task.Result]  # type: ignore[name-defined]
                routes.add_api_route(f"/v1/{verb}", _look(core, verb), name=f"get {verb}", response_model=response)

    @routes.get("/v1/models", name="models")
    async def models() -> Response:
        """The models that are served, with the digests that lead back to their rows."""
        return JSONResponse({"object": "list", "data": [described(slot) for slot in core.table.slots]})

    @routes.get("/v1/models/{model}", name="model")
    async def model(model: str) -> Response:
        """One of them, by `name`, `name:version` or `name@alias`."""
        return JSONResponse(described(core.table.named(model)))

    return routes


Endpoint = Callable[[Any], Awaitable[Response]]


def _predict(core: Core, verb: str) -> Endpoint:
    async def predict(body: TextRequest[Any]) -> Response:
        """One result a text, in the order of the input."""
        return _response(await core.answer(Request(verb, body.input, body.options, body.model)))

    return predict


def _look(core: Core, verb: str) -> Any:
    async def look(
        input: Annotated[str, Query(min_length=1)],
        model: str | None = None,
        if_none_match: Annotated[str | None, Header()] = None,
    ) -> Response:
        """The same for one text, in a form that proxies and CDNs may keep: they ask whether it still holds."""
        slot = core.table.asked(verb, model)
        known = {"Cache-Control": "no-cache", "Vary": "Authorization, X-Caller"}
        if if_none_match and _tag(slot.description, input) in if_none_match:
            return Response(status_code=304, headers={**known, "ETag": _tag(slot.description, input)})
        answer = await core.answer_from(slot, Request(verb, [input], None, model))
        response = _response(answer)
        response.headers.update({**known, "ETag": _tag(answer.slot, input)})
        return response

    return look


def _tag(version: SlotDescription, text: str) -> str:
    """What an answer hangs on: with the same tag it is the same."""
    return f'"{digest([version.id, version.digest, text])[:32]}"'


def _search(core: Core) -> Endpoint:
    async def search(body: TextRequest[SearchOptions]) -> Response:
        """The documents that are nearest to each text."""
        options = body.options or SearchOptions()
        return _response(await core.search(Request("search", body.input, None, body.model), options.k))

    return search


def _ask(core: Core) -> Endpoint:
    async def ask(body: TextRequest[AskOptions]) -> Response:
        """An answer to each text, from the documents of the index; `model` is the one that writes it."""
        return _response(await core.ask(Request("ask", body.input, None, body.model), body.options or AskOptions()))

    return ask


def _add(
    routes: APIRouter,
    verb: str,
    example: str,
    options: type[BaseModel],
    result: type[BaseModel],
    endpoint: Any,
) -> None:
    """A route whose types are the task's, which no annotation in the source can name."""
    shown = Body(openapi_examples={"one text": {"value": {"input": example}}})
    endpoint.__annotations__["body"] = Annotated[TextRequest[options], shown]  # type: ignore[valid-type]
    response = TextResponse[result]  # type: ignore[valid-type]
    routes.add_api_route(f"/v1/{verb}", endpoint, methods=["POST"], name=verb, response_model=response)


def response_of(answer: Answer) -> TextResponse[Any]:
    """An answer in the shape of this protocol."""
    usage = Usage(texts=len(answer.results), tokens=answer.tokens, truncated=answer.truncated)
    # Not validated: the results are the task's own.
    return TextResponse[Any].model_construct(
        model=answer.slot.id, task=answer.task, results=answer.results, usage=usage
    )


def _response(answer: Answer) -> Response:
    content = response_of(answer)
    headers = {"X-Model-Version": answer.slot.id}
    if answer.repeated:
        headers["X-Cache"] = "hit"
    return Response(content.model_dump_json(), headers=headers, media_type="application/json")


def described(slot: Slot) -> dict[str, Any]:
    """A model in OpenAI's shape, with what we know beside that."""
    description, bundle = slot.description, slot.texts.bundle
    return {
        "id": description.id,
        "object": "model",
        "created": description.created,
        "owned_by": "sluice",
        "name": description.name,
        "version": description.version,
        "alias": description.alias,
        "task": description.task,
        "routes": [f"/v1/{verb}" for verb in slot.verbs],
        "engine": slot.engine,
        "labels": list(bundle.labels),
        "metrics": bundle.metrics,
        "digests": {"bundle": description.digest, "data": description.data},
        "lineage": bundle.lineage.model_dump(),
    }
