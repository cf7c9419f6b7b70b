"""The native protocol: `POST /v1/<verb>` and `GET /v1/models`."""

from __future__ import annotations

from typing import Annotated, Any, Generic, TypeVar

from fastapi import APIRouter, Body, Depends
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints
from starlette.exceptions import HTTPException
from starlette.requests import Request as HttpRequest
from starlette.responses import JSONResponse, Response

from serving.core import Answer, Core, Request
from serving.errors import ErrorBody
from serving.slot import Slot
from sluice.search.searcher import Found, SearchOptions, embeds

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
    model: str | None = Field(None, description="`name`, `name:version` or `name@alias`; none takes what is served.")
    options: Options | None = None


class Usage(BaseModel):
    """What was read."""

    texts: int
    tokens: int


class TextResponse(BaseModel, Generic[Result]):
    """One result a text, in the order of the input."""

    model: str = Field(description="Name and version of the model that answered.")
    task: str
    results: list[Result]
    usage: Usage


def route(slot: Slot) -> str:
    """Where the slot's task is asked."""
    return f"/v1/{slot.predictor.task.verb}"


def router(core: Core) -> APIRouter:
    """The routes of this protocol."""
    routes = APIRouter(tags=["native"], responses=REFUSALS)
    task = core.slot.predictor.task

    async def predict(body: TextRequest[Any]) -> Response:
        """One result a text, in the order of the input."""
        return _response(await core.answer(Request(body.input, body.options, body.model)))

    # The types follow from the task that is loaded, which no annotation in the source can name.
    example = Body(openapi_examples={"one text": {"value": {"input": task.example}}})
    predict.__annotations__["body"] = Annotated[TextRequest[task.Options], example]  # type: ignore[name-defined]
    routes.add_api_route(
        route(core.slot),
        predict,
        methods=["POST"],
        name=task.verb,
        response_model=TextResponse[task.Result],  # type: ignore[name-defined]
        dependencies=[Depends(_require_json)],
    )

    if embeds(task):
        _add_search(routes, core, example)

    @routes.get("/v1/models", name="models")
    async def models() -> Response:
        """The models that are served, with the digests that lead back to their rows."""
        return JSONResponse({"object": "list", "data": [_model(core.slot)]})

    return routes


def _add_search(routes: APIRouter, core: Core, example: Any) -> None:
    """The route of a model by whose vectors documents can be found."""

    async def search(body: TextRequest[SearchOptions]) -> Response:
        """The documents that are nearest to each text."""
        options = body.options or SearchOptions()
        return _response(await core.search(Request(body.input, None, body.model), options.k))

    search.__annotations__["body"] = Annotated[TextRequest[SearchOptions], example]
    routes.add_api_route(
        "/v1/search",
        search,
        methods=["POST"],
        name="search",
        response_model=TextResponse[Found],
        dependencies=[Depends(_require_json)],
    )


def _response(answer: Answer) -> Response:
    content = TextResponse[Any](
        model=answer.slot.id,
        task=answer.slot.task,
        results=answer.results,
        usage=Usage(texts=len(answer.results), tokens=answer.tokens),
    )
    headers = {"X-Model-Version": answer.slot.id}
    return Response(content.model_dump_json(), headers=headers, media_type="application/json")


async def _require_json(request: HttpRequest) -> None:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise HTTPException(415, "send the body as JSON, with the header Content-Type: application/json")


def _model(slot: Slot) -> dict[str, Any]:
    description, bundle = slot.description, slot.predictor.bundle
    return {
        "id": description.id,
        "object": "model",
        "created": description.created,
        "owned_by": "sluice",
        "name": description.name,
        "version": description.version,
        "alias": description.alias,
        "task": description.task,
        "labels": list(bundle.labels),
        "metrics": bundle.metrics,
        "digests": {"bundle": description.digest, "data": description.data},
        "lineage": bundle.lineage.model_dump(),
    }
