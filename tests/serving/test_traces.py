"""Traces, as MLflow's server takes them from us: it is an OpenTelemetry collector that others wrote."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from serving.slot import SlotDescription
from sluice.inference.settings import Traces
from tests.e2e.servers import mlflow_server
from tests.serving.conftest import described
from tests.serving.live import Server, free_port, start
from tests.serving.test_stress import with_

pytestmark = pytest.mark.slow
OURS = f"00-{'a' * 32}-{'b' * 16}-01"
"""A trace that a caller has begun, and wants."""
UNWANTED = f"00-{'c' * 32}-{'b' * 16}-00"


def traced(config_file: Path, folder: Path, url: str, share: float) -> Path:
    return with_(config_file, folder, traces=Traces(share=share, url=url), workers=1, log_requests="all")


@pytest.fixture(scope="module")
def collector(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("collector")
    with mlflow_server(folder, f"sqlite:///{folder / 'mlflow.db'}", str(folder / "artifacts")) as server:
        yield server.url


def begin(home: Path, config: Path, *slots: SlotDescription, **more: str) -> Server:
    headers = {"OTEL_EXPORTER_OTLP_HEADERS": "x-mlflow-experiment-id=0"}
    return start(home, *slots, SLUICE_CONFIG=str(config), **headers, **more)


def found(collector: str) -> list[Any]:
    """The traces that the collector has."""
    from mlflow import MlflowClient

    return list(MlflowClient(collector).search_traces(locations=["0"]))


def test_where_the_time_of_a_request_went(
    description: SlotDescription, chat_bundle: Path, config_file: Path, collector: str, tmp_path: Path
) -> None:
    port = free_port()
    config = traced(config_file, tmp_path, f"{collector}/v1/traces", 1.0)
    server = begin(tmp_path, config, description, described(chat_bundle, "apichat", "chat"), SLUICE_GRPC_PORT=str(port))
    with httpx.Client(base_url=server.url, timeout=60) as client:
        client.post("/v1/classify", json={"input": ["zanzibar", "a file"]}, headers={"traceparent": OURS})
        client.post("/v1/classify", json={"input": "zanzibar"}, headers={"traceparent": UNWANTED})
        client.get("/v1/classify", params={"input": "zanzibar"}, headers={"X-Request-Id": "order-66"})
        client.post("/v1/classify", json={"input": ""})
        client.get("/readyz")
        with client.stream("POST", "/v1/chat/completions", json=said("zanzibar", stream=True)) as answer:
            assert "data: [DONE]" in list(answer.iter_lines())
    over_grpc(port)
    lines = [json.loads(line) for line in server.log.read_text().splitlines() if line.startswith('{"time"')]
    assert server.stop() == 0

    spans = {trace.info.trace_id.removeprefix("tr-"): trace.data.spans for trace in found(collector)}
    assert "c" * 32 not in spans
    parts = {span.name: span for span in spans["a" * 32]}
    assert list(parts) == ["/v1/classify", "tokenize", "queue", "engine"]
    whole = parts.pop("/v1/classify")
    assert whole.parent_id == "b" * 16
    assert (whole.attributes["sluice.model"], whole.attributes["sluice.status"]) == ("apidocs:7", "200")
    assert {part.parent_id for part in parts.values()} == {whole.span_id}
    times = [time for part in parts.values() for time in (part.start_time_ns, part.end_time_ns)]
    # Each is put on the clock by itself: to a few microseconds.
    assert all(one <= other + 100_000 for one, other in itertools.pairwise(times))
    assert whole.start_time_ns <= times[0]
    assert times[-1] <= whole.end_time_ns
    assert parts["engine"].attributes["texts"] == 2

    by_request = {line["request"]: line for line in lines}
    asked = spans[by_request["order-66"]["trace"]]
    assert asked[0].attributes["sluice.request"] == "order-66"
    roots = {own[0].name: own for own in spans.values()}
    assert "/readyz" not in roots
    assert [span.name for span in roots["/v1/chat/completions"]][1:] == ["tokenize", "queue", "engine"]
    assert roots["/v1/chat/completions"][-1].attributes["tokens"] == 8
    assert "engine" in [span.name for span in roots["grpc:ModelInfer"]]
    assert "zanzibar" not in str([span.to_dict() for own in spans.values() for span in own])


def said(text: str, **more: Any) -> dict[str, Any]:
    return {"model": "apichat", "messages": [{"role": "user", "content": text}], "max_tokens": 8, **more}


def over_grpc(port: int) -> None:
    import numpy as np
    from tritonclient import grpc

    client = grpc.InferenceServerClient(f"127.0.0.1:{port}")
    text = grpc.InferInput("text", [1], "BYTES")
    text.set_data_from_numpy(np.array(["to zanzibar"], dtype=object))
    client.infer("apidocs", [text])


def test_a_collector_that_is_away_keeps_nobody_waiting(
    description: SlotDescription, config_file: Path, tmp_path: Path
) -> None:
    server = begin(tmp_path, traced(config_file, tmp_path, "http://127.0.0.1:9/v1/traces", 0.5), description)
    answers = [httpx.post(f"{server.url}/v1/classify", json={"input": f"file {at}"}) for at in range(20)]
    assert {answer.status_code for answer in answers} == {200}
    lines = [json.loads(line) for line in server.log.read_text().splitlines() if line.startswith('{"time"')]
    classified = [line for line in lines if line["route"] == "/v1/classify"]
    assert 0 < sum("trace" in line for line in classified) < len(classified)
    assert server.stop() == 0
