"""The native protocol, over a real connection to a real service."""

from __future__ import annotations

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from sluice.inference.predictor import Predictor
from sluice.tasks.classification import ClassificationOptions
from tests.serving.live import Server

pytestmark = pytest.mark.slow
ROUTE = "/v1/classify"
JSON = {"Content-Type": "application/json"}
TEXTS = [
    "shortest path",
    "reshape the array",
    "open a file",
    "parse a date",
    "open a socket",
    "split a string",
]


def test_one_text(client: httpx.Client, predictor: Predictor) -> None:
    answer = client.post(ROUTE, json={"input": "open a file"})
    assert answer.status_code == 200
    assert answer.headers["X-Model-Version"] == "apidocs:7"
    direct = predictor.predict(["open a file"])
    assert answer.json() == {
        "model": "apidocs:7",
        "task": "classification",
        "results": [result.model_dump() for result in direct.results],
        "usage": {"texts": 1, "tokens": direct.tokens, "truncated": []},
    }


def test_many_texts_keep_their_order(client: httpx.Client, predictor: Predictor) -> None:
    answer = client.post(ROUTE, json={"input": TEXTS, "options": {"top_k": 2}}).json()
    direct = predictor.predict(TEXTS, ClassificationOptions(top_k=2))
    for told, result in zip(answer["results"], direct.results, strict=True):
        assert told["label"] == result.label
        assert told["scores"] == pytest.approx(result.scores, abs=1e-6)  # two processes, so other threads' sums
    assert len({result["label"] for result in answer["results"]}) > 1
    assert answer["usage"] == {"texts": len(TEXTS), "tokens": direct.tokens, "truncated": []}


def test_concurrent_clients_get_their_own_answers(server: Server, predictor: Predictor) -> None:
    texts = [f"open socket {number} of {number % 5} arrays" for number in range(40)]

    def ask(text: str) -> dict[str, object]:
        answer = httpx.post(f"{server.url}{ROUTE}", json={"input": text}, timeout=60)
        assert answer.status_code == 200
        return dict(answer.json()["results"][0])

    with ThreadPoolExecutor(8) as clients:
        answers = list(clients.map(ask, texts))
    for answer, text in zip(answers, texts, strict=True):
        alone = predictor.predict([text]).results[0].model_dump()
        assert answer["label"] == alone["label"]
        assert answer["scores"] == pytest.approx(alone["scores"], abs=1e-6)  # batches sum in another order


@pytest.mark.parametrize("model", ["apidocs", "apidocs:7", "apidocs@champion"])
def test_names_of_the_model(client: httpx.Client, model: str) -> None:
    assert client.post(ROUTE, json={"input": "a", "model": model}).json()["model"] == "apidocs:7"


@pytest.mark.parametrize("model", ["", "other", "apidocs:8", "apidocs@challenger", "apidocs@None"])
def test_unknown_model(client: httpx.Client, model: str) -> None:
    answer = client.post(ROUTE, json={"input": "a", "model": model})
    assert (answer.status_code, answer.json()["error"]["type"]) == (404, "model_not_found")
    assert answer.json()["error"]["param"] == "model"


def test_models(client: httpx.Client, predictor: Predictor) -> None:
    listed = client.get("/v1/models").json()
    assert listed["object"] == "list"
    (model,) = listed["data"]
    assert model["id"] == "apidocs:7"
    assert (model["object"], model["created"], model["owned_by"]) == ("model", 1_700_000_000, "sluice")
    assert (model["name"], model["version"], model["alias"]) == ("apidocs", 7, "champion")
    assert model["labels"] == list(predictor.bundle.labels)
    assert model["digests"]["data"] == model["lineage"]["data"] == predictor.bundle.lineage.data
    assert re.fullmatch("[0-9a-f]{64}", model["digests"]["bundle"])


INVALID = {
    "no input": (b"{}", 422, "input"),
    "empty text": (b'{"input": ""}', 422, "input.0"),
    "empty list": (b'{"input": []}', 422, "input"),
    "number": (b'{"input": 5}', 422, "input"),
    "null": (b'{"input": null}', 422, "input"),
    "list of numbers": (b'{"input": ["a", 5]}', 422, "input.1"),
    "lone surrogate": (rb'{"input": "\ud800"}', 400, None),
    "lone surrogate as a field": (rb'{"input": "a", "\ud800": 1}', 400, None),
    "lone surrogate as a model": (rb'{"input": "a", "model": "\ud800"}', 400, None),
    "unknown field": (b'{"input": "a", "inputs": "b"}', 422, "inputs"),
    "unknown option": (b'{"input": "a", "options": {"k": 1}}', 422, "options.k"),
    "option out of range": (b'{"input": "a", "options": {"top_k": 0}}', 422, "options.top_k"),
    "NaN": (b'{"input": "a", "options": {"top_k": NaN}}', 422, "options.top_k"),
    "infinity": (b'{"input": Infinity}', 422, "input"),
    "a list as body": (b'["a"]', 422, None),
    "a text as body": (b'"a"', 422, None),
    "no body": (b"", 400, None),
    "cut off": (b'{"input": "a"', 400, None),
    "not UTF-8": (b'{"input": "\xff"}', 400, None),
    "nested deeply": (b"[" * 100_000, 400, None),
    "a number of 5000 digits": (b'{"input": ' + b"9" * 5000 + b"}", 400, None),
    "too many texts": (b'{"input": [' + b'"a",' * 64 + b'"a"]}', 413, "input"),
    "a text too long": (b'{"input": "' + b"a" * 20_001 + b'"}', 413, "input"),
    "a body too long": (b" " * 1_048_577, 413, None),
}


@pytest.mark.parametrize(("body", "status", "param"), INVALID.values(), ids=INVALID)
def test_invalid_requests(server: Server, body: bytes, status: int, param: str | None) -> None:
    answer = httpx.post(f"{server.url}{ROUTE}", content=body, headers=JSON, timeout=60)
    assert answer.status_code == status
    assert_typed(answer)
    assert answer.json()["error"]["param"] == param


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", ""])
def test_other_content_types(client: httpx.Client, kind: str) -> None:
    answer = client.post(ROUTE, content=b'{"input": "a"}', headers={"Content-Type": kind})
    assert answer.status_code == 415
    assert_typed(answer)


@pytest.mark.parametrize("body", [b'{"input": "a\\u0000b"}', b'{"input": "\\ud83d\\ude00"}', b'{"input": " "}'])
def test_odd_but_valid_texts(client: httpx.Client, body: bytes) -> None:
    answer = client.post(ROUTE, content=body, headers={"Content-Type": "application/json; charset=utf-8"})
    assert answer.status_code == 200


def test_limits_are_what_still_passes(client: httpx.Client) -> None:
    assert client.post(ROUTE, json={"input": ["a"] * 64}).status_code == 200
    assert client.post(ROUTE, json={"input": "a" * 20_000}).status_code == 200


def test_a_chunked_body_is_limited_too(server: Server) -> None:
    sent = 0

    def chunks() -> Iterator[bytes]:
        nonlocal sent
        for _ in range(10_000):
            sent += 65_536
            yield b" " * 65_536

    answer = httpx.post(f"{server.url}{ROUTE}", content=chunks(), headers=JSON, timeout=60)
    assert answer.status_code == 413
    assert_typed(answer)
    assert sent < 100_000_000


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/nothing", 404), ("POST", "/v1/none", 404), ("PUT", ROUTE, 405), ("DELETE", "/v1/models", 405)],
)
def test_other_routes(client: httpx.Client, method: str, path: str, status: int) -> None:
    answer = client.request(method, path)
    assert answer.status_code == status
    assert_typed(answer)
    assert ("Allow" in answer.headers) == (status == 405)


@pytest.mark.parametrize("path", ["/", "/docs", "/openapi.json", "/assets/style.css", "/nothing"])
def test_headers_for_browsers(client: httpx.Client, path: str) -> None:
    headers = client.get(path).headers
    assert "unsafe" not in headers["Content-Security-Policy"]
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    assert headers["X-Content-Type-Options"] == "nosniff"


def test_openapi_describes_the_loaded_task(client: httpx.Client) -> None:
    document = client.get("/openapi.json").json()
    assert {path for path in document["paths"] if path.startswith("/v1")} == {ROUTE, "/v1/models", "/v1/models/{model}"}
    request = document["components"]["schemas"]["TextRequest_ClassificationOptions_"]
    assert [option["type"] for option in request["properties"]["input"]["anyOf"]] == ["string", "array"]
    responses = document["paths"][ROUTE]["post"]["responses"]
    assert responses["422"]["content"]["application/json"]["schema"]["$ref"].endswith("/ErrorBody")


@pytest.mark.parametrize("path", ["/livez", "/readyz"])
def test_probes(client: httpx.Client, path: str) -> None:
    assert client.get(path).status_code == 200


def test_metrics(client: httpx.Client) -> None:
    def value(name: str) -> float:
        found = re.search(rf"^{re.escape(name)} (\S+)$", client.get("/metrics").text, re.MULTILINE)
        return float(found[1]) if found else 0.0

    counted = 'sluice_requests_total{model="apidocs:7",protocol="native",route="/v1/classify",status="200"}'
    timed = 'sluice_request_seconds_count{model="apidocs:7",protocol="native",route="/v1/classify"}'
    texts = 'sluice_texts_total{model="apidocs:7"}'
    before = value(counted), value(timed), value(texts)
    client.post(ROUTE, json={"input": ["a", "b", "c"]})
    assert (value(counted), value(timed), value(texts)) == (before[0] + 1, before[1] + 1, before[2] + 3)


def test_a_caller_cannot_invent_metrics(client: httpx.Client) -> None:
    client.get("/invented-path")
    text = client.get("/metrics").text
    assert "invented-path" not in text
    assert 'route="other",status="404"' in text


def test_no_text_in_the_log(server: Server, client: httpx.Client) -> None:
    for body in ({"input": "zanzibar"}, {"input": {"zanzibar": 1}}, {"input": "a", "options": "zanzibar"}):
        client.post(ROUTE, json=body)
    assert "zanzibar" not in server.log.read_text()


def test_the_service_does_not_import_mlflow(server: Server) -> None:
    assert (server.log.parent / "mlflow.py").exists()
    assert not (server.log.parent / "mlflow-was-imported").exists()


def assert_typed(answer: httpx.Response) -> None:
    assert set(answer.json()) == {"error"}
    assert set(answer.json()["error"]) == {"type", "message", "param"}
    assert answer.json()["error"]["message"]
