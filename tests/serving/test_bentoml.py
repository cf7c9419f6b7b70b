"""BentoML's own client and API page."""

from __future__ import annotations

import bentoml
import httpx
import pytest
from bentoml.exceptions import BentoMLException

from sluice.inference.predictor import Predictor
from tests.serving.live import Server

pytestmark = pytest.mark.slow


def test_the_client_calls_a_task_by_its_verb(server: Server, predictor: Predictor) -> None:
    with bentoml.SyncHTTPClient(server.url) as client:
        answer = client.classify(input="open a file")
        assert answer["model"] == "apidocs:7"
        assert answer["results"][0]["label"] == predictor.predict(["open a file"]).results[0].label
        several = client.classify(input=["open a file", "parse a date"], options={"top_k": 2}, model="apidocs@champion")
        assert [len(one["scores"]) for one in several["results"]] == [2, 2]


def test_the_client_is_told_why_it_gets_no_answer(server: Server) -> None:
    with bentoml.SyncHTTPClient(server.url) as client:
        with pytest.raises(BentoMLException, match="this service has apidocs:7") as caught:
            client.classify(input="open a file", model="other")
        assert caught.value.error_code == 404
        with pytest.raises(BentoMLException) as caught:
            client.classify(input="a" * 20_001)
        assert caught.value.error_code == 413


def test_its_requests_are_counted_as_its_own(server: Server) -> None:
    with bentoml.SyncHTTPClient(server.url) as client:
        client.classify(input="open a file")
    labels = '{model="",protocol="bentoml",route="bentoml:/classify",status="200"}'
    assert f"sluice_requests_total{labels} " in httpx.get(f"{server.url}/metrics").text


def test_its_page_lists_the_task(server: Server) -> None:
    paths = httpx.get(f"{server.url}/docs.json").json()["paths"]
    assert "/classify" in paths
    assert "TextResponse" in str(paths["/classify"]["post"]["responses"]["200"])


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"input": 5}', b'{"input": "a", "options": {"k": 1}}'])
def test_nothing_that_is_sent_is_an_error_of_the_service(server: Server, body: bytes) -> None:
    answer = httpx.post(f"{server.url}/classify", content=body, headers={"Content-Type": "application/json"})
    assert 400 <= answer.status_code < 500
    assert "error" in answer.text


def test_the_limits_hold_here_too(server: Server) -> None:
    answer = httpx.post(f"{server.url}/classify", content=b" " * 1_048_577)
    assert answer.status_code == 413
    pickled = {"Content-Type": "application/vnd.bentoml+pickle"}
    assert httpx.post(f"{server.url}/classify", content=b"x", headers=pickled).status_code == 415
