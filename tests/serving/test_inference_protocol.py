"""The Open Inference Protocol by Triton's own clients, against a real service of two workers."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import psutil
import pytest
import tritonclient.grpc as triton_grpc
import tritonclient.http as triton_http
from tritonclient.utils import InferenceServerException

from serving.slot import SlotDescription
from sluice.inference.engines.torch import TorchEngine
from sluice.inference.predictor import Predictor
from sluice.tasks.vectors import VectorOptions
from tests.serving.conftest import described
from tests.serving.live import Server, free_port, start

pytestmark = pytest.mark.slow
TEXTS = ["shortest path", "reshape the array", "öffne eine Datei", "parse a date"]
OUTPUTS = [("label", "BYTES"), ("score", "FP64"), ("scores", "BYTES"), ("abstained", "BOOL")]


@pytest.fixture(scope="module")
def served(
    description: SlotDescription, embed_bundle: Path, config_file: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Server, int]]:
    """A classifier and a model that embeds, on a port of HTTP and one of gRPC."""
    port = free_port()
    slots = [description, described(embed_bundle, "apipairs", "embedding")]
    home = tmp_path_factory.mktemp("inference")
    server = start(home, *slots, SLUICE_CONFIG=str(config_file), SLUICE_GRPC_PORT=str(port))
    yield server, port
    log = server.log.read_text()
    assert server.stop() == 0
    assert "Traceback" not in log
    assert "zanzibar" not in log


@pytest.fixture(scope="module")
def http(served: tuple[Server, int]) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=served[0].url, timeout=60) as connection:
        yield connection


@pytest.fixture(scope="module", params=["http", "grpc"])
def triton(request: pytest.FixtureRequest, served: tuple[Server, int]) -> Iterator[Any]:
    """Either of Triton's clients: they are used alike."""
    server, port = served
    if request.param == "http":
        client = triton_http.InferenceServerClient(server.url.removeprefix("http://"), network_timeout=60)
    else:
        client = triton_grpc.InferenceServerClient(f"127.0.0.1:{port}")
    yield client
    client.close()


def library(client: Any) -> Any:
    return triton_http if isinstance(client, triton_http.InferenceServerClient) else triton_grpc


def tensor(client: Any, texts: Any, name: str = "text", **more: Any) -> Any:
    array = texts if isinstance(texts, np.ndarray) else np.array(texts, dtype=object)
    given = library(client).InferInput(name, list(array.shape), "BYTES" if array.dtype == object else "FP32")
    given.set_data_from_numpy(array, **more)
    return given


def test_server_and_model(triton: Any) -> None:
    as_json = {} if library(triton) is triton_http else {"as_json": True}
    assert triton.is_server_live()
    assert triton.is_server_ready()
    assert triton.is_model_ready("apidocs")
    assert triton.is_model_ready("apidocs@champion")
    assert triton.is_model_ready("apidocs", "7")
    server = triton.get_server_metadata(**as_json)
    assert (server["name"], server["extensions"]) == ("sluice", ["binary_tensor_data"])
    model = triton.get_model_metadata("apidocs", "7", **as_json)
    assert (model["name"], model["versions"], model["platform"]) == ("apidocs", ["7"], "torch float32")
    shapes = [(one["name"], one["datatype"], [int(size) for size in one["shape"]]) for one in model["inputs"]]
    assert shapes == [("text", "BYTES", [-1])]
    shapes = [(one["name"], one["datatype"], [int(size) for size in one["shape"]]) for one in model["outputs"]]
    assert shapes == [(name, datatype, [-1]) for name, datatype in OUTPUTS]
    vector = triton.get_model_metadata("apipairs", **as_json)["outputs"][0]
    assert (vector["name"], vector["datatype"], list(map(int, vector["shape"]))) == ("embedding", "FP32", [-1, 32])


def test_a_batch(triton: Any, predictor: Predictor) -> None:
    answer = ask(triton, texts=TEXTS, model_version="7", request_id="mine")
    check(answer, predictor)
    check(ask(triton, texts=[[text] for text in TEXTS]), predictor)
    response, tokens = answer.get_response(), predictor.predict(TEXTS).tokens
    if library(triton) is triton_http:
        assert [(one["name"], one["datatype"]) for one in response["outputs"]] == OUTPUTS
        assert all("data" not in one for one in response["outputs"])
        assert (response["id"], response["model_name"], response["model_version"]) == ("mine", "apidocs", "7")
        assert response["parameters"] == {"tokens": tokens, "truncated": "[]"}
    else:
        assert [(one.name, one.datatype) for one in response.outputs] == OUTPUTS
        assert (response.id, response.model_name, response.model_version) == ("mine", "apidocs", "7")
        assert response.parameters["tokens"].int64_param == tokens
        assert response.parameters["truncated"].string_param == "[]"


def check(answer: Any, predictor: Predictor) -> None:
    results: Any = predictor.predict(TEXTS).results
    labels = [one.decode() if isinstance(one, bytes) else one for one in answer.as_numpy("label")]
    assert labels == [one.label for one in results]
    assert answer.as_numpy("score") == pytest.approx([one.score for one in results], abs=1e-5)
    for told, one in zip(answer.as_numpy("scores"), results, strict=True):
        assert json.loads(told) == pytest.approx(one.scores, abs=1e-5)
    assert answer.as_numpy("abstained").tolist() == [False] * len(TEXTS)


def test_json_both_ways(served: tuple[Server, int], predictor: Predictor) -> None:
    with triton_http.InferenceServerClient(served[0].url.removeprefix("http://")) as client:
        wanted = [triton_http.InferRequestedOutput(name, binary_data=False) for name, _ in OUTPUTS]
        answer = client.infer("apidocs", [tensor(client, TEXTS, binary_data=False)], outputs=wanted)
        check(answer, predictor)
        assert all("data" in one for one in answer.get_response()["outputs"])
        mixed = [triton_http.InferRequestedOutput("label"), wanted[1]]
        answer = client.infer("apidocs", [tensor(client, TEXTS)], outputs=mixed)
        assert ["data" in one for one in answer.get_response()["outputs"]] == [False, True]
        assert len(answer.as_numpy("label")) == len(answer.as_numpy("score")) == 4


def test_options_are_parameters(triton: Any) -> None:
    hints = {"priority": 1, "timeout": 1_000_000}
    answer = ask(triton, "apidocs@champion", TEXTS, outputs=["scores"], parameters={"top_k": 2}, **hints)
    assert [len(json.loads(one)) for one in answer.as_numpy("scores")] == [2] * 4
    assert answer.as_numpy("label") is None


def test_vectors(triton: Any, embed_bundle: Path) -> None:
    direct = Predictor(embed_bundle, TorchEngine())
    for options in (VectorOptions(), VectorOptions(dimensions=8)):
        answer = ask(triton, "apipairs", TEXTS, parameters=options.model_dump(exclude_none=True))
        vectors = answer.as_numpy("embedding")
        assert (vectors.dtype, vectors.shape) == (np.float32, (4, options.dimensions or 32))
        wanted: Any = direct.predict(TEXTS, options).results
        assert vectors == pytest.approx(np.array([one.embedding for one in wanted]), abs=1e-5)


REFUSED: dict[str, tuple[dict[str, Any], int, str]] = {
    "unknown model": ({"model": "zanzibar"}, 404, "this service has apidocs:7, apipairs:1, not 'zanzibar'"),
    "a long name": ({"model": "é" * 3000}, 404, "this service has"),
    "unknown version": ({"model_version": "8"}, 404, "'apidocs:8'"),
    "unknown output": ({"outputs": ["no"]}, 422, "no output 'no': there are label, score, scores, abstained"),
    "classes of an output": ({"outputs": ["label"], "class_count": 2}, 422, "classification"),
    "unknown option": ({"parameters": {"k": 1}}, 422, "parameters.k: Extra inputs are not permitted"),
    "option out of range": ({"parameters": {"top_k": 0}}, 422, "parameters.top_k: Input should be greater"),
    "a sequence": ({"sequence_id": 3}, 422, "parameters.sequence_"),
    "another input": ({"name": "texts"}, 422, "there is no input 'texts': the only one is 'text'"),
    "another datatype": ({"texts": np.zeros(1, np.float32)}, 422, "text: its datatype is 'FP32', expected BYTES"),
    "another shape": ({"texts": [TEXTS[:2]] * 2}, 422, "shape is [2, 2] with 4 texts, expected [n] or [n, 1]"),
    "two inputs": ({"inputs": 2}, 422, "inputs"),
    "an empty text": ({"texts": ["a", ""]}, 422, "element 2 is not a text"),
    "not UTF-8": ({"texts": [b"\xff"]}, 422, "element 1 is not UTF-8"),
    "too many texts": ({"texts": ["a"] * 65}, 413, "65 texts"),
    "a body too long": ({"texts": ["a" * 1_100_000]}, 413, "1048576"),
}
CODES = {404: "NOT_FOUND", 422: "INVALID_ARGUMENT", 413: "INVALID_ARGUMENT"}


def ask(
    client: Any, model: str = "apidocs", texts: Any = ("a",), name: str = "text", inputs: int = 1, **more: Any
) -> Any:
    """What any client is asked for; `outputs` are names."""
    if "outputs" in more:
        classes = {"class_count": more.pop("class_count", 0)}
        more["outputs"] = [library(client).InferRequestedOutput(one, **classes) for one in more["outputs"]]
    return client.infer(model, [tensor(client, texts, name)] * inputs, **more)


@pytest.mark.parametrize(("asked", "status", "told"), REFUSED.values(), ids=REFUSED)
def test_refusals(triton: Any, asked: dict[str, Any], status: int, told: str) -> None:
    with pytest.raises(InferenceServerException) as refused:
        ask(triton, **asked)
    # A message that is too long is gRPC's own to refuse, before it has been read.
    code = "RESOURCE_EXHAUSTED" if told == "1048576" else CODES[status]
    assert refused.value.status() == (str(status) if library(triton) is triton_http else f"StatusCode.{code}")
    assert told in refused.value.message()


def test_two_workers_share_the_port(served: tuple[Server, int]) -> None:
    def listening() -> int:
        sockets = [one for one in psutil.net_connections("tcp") if one.laddr and one.laddr.port == served[1]]
        return [one.status for one in sockets].count("LISTEN")

    for _ in range(300):  # the service is ready as soon as one of them is
        if listening() == 2:
            break
        time.sleep(0.1)
    assert listening() == 2


def test_calls_are_counted_and_none_failed(triton: Any, http: httpx.Client) -> None:
    def counted(model: str, route: str, status: str) -> float:
        labels = f'model="{model}",protocol="{protocol}",route="{route}",status="{status}"'
        line = f"sluice_requests_total{{{labels}}}"
        found = re.search(rf"^{re.escape(line)} (\S+)$", http.get("/metrics").text, re.MULTILINE)
        return float(found[1]) if found else 0.0

    over_http = library(triton) is triton_http
    route = "/v2/models/{name}/infer" if over_http else "grpc:ModelInfer"
    protocol = "oip" if over_http else "oip-grpc"
    statuses = ("200", "404") if over_http else ("OK", "NOT_FOUND")
    before = counted("apidocs:7", route, statuses[0]), counted("", route, statuses[1])
    ask(triton)
    with pytest.raises(InferenceServerException):
        ask(triton, "other")
    wanted = before[0] + 1, before[1] + 1
    for _ in range(100):  # counted once the answer is sent, by whichever worker sent it
        after = counted("apidocs:7", route, statuses[0]), counted("", route, statuses[1])
        if after == wanted:
            break
        time.sleep(0.05)
    assert after == wanted
    text = http.get("/metrics").text
    assert 'status="500"' not in text
    assert 'status="INTERNAL"' not in text
