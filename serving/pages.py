"""Pages for people: the playground at `/`, the API reference at `/docs`. Nothing comes from elsewhere."""

from __future__ import annotations

import html
import json
from collections.abc import Awaitable, Callable
from importlib.util import find_spec
from pathlib import Path
from string import Template
from typing import Any

from fastapi import APIRouter
from starlette.exceptions import HTTPException
from starlette.responses import FileResponse, HTMLResponse, Response

from serving.core import Core
from serving.slot import Slot

FILES = Path(__file__).parent / "playground"


def router(core: Core) -> APIRouter:
    """The pages, and the files that they load."""
    routes = APIRouter(include_in_schema=False)
    for path, name in {"/": "index.html", "/docs": "docs.html"}.items():
        routes.add_api_route(path, _page(FILES / name, core))
    routes.add_api_route("/assets/{name}", _assets())
    return routes


def _values(slots: list[Slot]) -> dict[str, str]:
    """What the pages say of what is served just now."""
    first = slots[0]
    values = {
        "model": first.description.id,
        "task": first.description.task,
        "example": first.texts.task.example,
        "verb": first.texts.task.verb.capitalize(),
        "models": json.dumps([shown for slot in slots for shown in _shown(slot)]),
    }
    return {key: html.escape(value) for key, value in values.items()}


def _shown(slot: Slot) -> list[dict[str, Any]]:
    """What the page must know and `/v1/models` does not tell."""
    indexed = slot.searcher is not None
    return [
        {"id": slot.description.id, "verb": verb, "example": slot.texts.task.example, "indexed": indexed}
        for verb in slot.verbs
    ]


def _page(path: Path, core: Core) -> Callable[[], Awaitable[Response]]:
    text = Template(path.read_text(encoding="utf-8"))

    async def page() -> Response:
        return HTMLResponse(text.substitute(_values(core.table.slots)))

    return page


def _assets() -> Callable[[str], Awaitable[Response]]:
    swagger = _swagger_folder()
    files = [path for path in sorted(FILES.iterdir()) if path.suffix in (".css", ".js", ".svg")]
    files += [swagger / name for name in ("swagger-ui.css", "swagger-ui-bundle.js")]
    by_name = {file.name: file for file in files}

    async def asset(name: str) -> Response:
        if name not in by_name:
            raise HTTPException(404)
        return FileResponse(by_name[name], headers={"Cache-Control": "no-cache"})

    return asset


def _swagger_folder() -> Path:
    """BentoML ships Swagger UI: with it, the API reference needs no network."""
    spec = find_spec("bentoml")
    assert spec
    assert spec.origin
    return Path(spec.origin).parent / "_internal" / "server" / "static_content"
