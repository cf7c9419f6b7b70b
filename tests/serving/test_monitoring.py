"""The dashboard and the alerts, held against the figures of a real service and against a real Prometheus."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from itertools import count, pairwise
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from serving.slot import SlotDescription, write_descriptions
from sluice.config import load, to_yaml
from tests.bench import dashboard
from tests.bench.dashboard import FILES, ask, filled, panels
from tests.serving.live import ROOT, Server, start

ADDED = {"instance", "job", "le"}
"""Labels that Prometheus adds, and that of histograms."""
DIGITS = count()


def board() -> dict[str, Any]:
    return json.loads((FILES / "dashboard.json").read_text())


def rules() -> list[dict[str, Any]]:
    return yaml.safe_load((FILES / "alerts.yaml").read_text())["groups"][0]["rules"]


def graphs() -> list[dict[str, Any]]:
    return [one for one in board()["panels"] if one["type"] != "row"]


def expressions() -> list[str]:
    """All of the dashboard, its variables' among them, and all of the rules."""
    shown = [filled(target["expr"]) for panel in graphs() for target in panel["targets"]]
    return [*shown, *(rule["expr"] for rule in rules())]


def test_every_panel_says_what_it_shows() -> None:
    found = board()
    ids = [one["id"] for one in found["panels"]]
    assert len(ids) == len(set(ids))
    taken: set[tuple[int, int]] = set()
    for panel in found["panels"]:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not cells & taken, panel["title"]
        assert at["x"] + at["w"] <= 24
        taken |= cells
    for panel in graphs():
        assert len(panel["description"]) > 20, panel["title"]
        assert panel["fieldConfig"]["defaults"]["unit"] in dashboard.FORMATS
        assert panel["datasource"]["uid"] == "${datasource}"
        assert len({target["refId"] for target in panel["targets"]}) == len(panel["targets"])
        for target in panel["targets"]:
            assert target["legendFormat"]
            kept = set(re.findall(r"[\w]+", " ".join(re.findall(r"by \(([^)]*)\)", target["expr"]))))
            assert set(re.findall(r"{{(\w+)}}", target["legendFormat"])) <= kept
    names = {variable["name"] for variable in found["templating"]["list"]}
    assert names == {"datasource", "model"}
    used = set(re.findall(r"\$\{?(\w+)", json.dumps(found["panels"])))
    assert used - {"__rate_interval"} == names


def test_every_alert_says_what_to_do() -> None:
    for rule in rules():
        assert rule["labels"]["severity"] in ("critical", "warning", "info")
        assert len(rule["annotations"]["summary"]) > 20
        assert len(rule["annotations"]["description"]) > 80
        assert rule["alert"] in (ROOT / "docs" / "monitoring.md").read_text()


@pytest.fixture(scope="module")
def flying(
    description: SlotDescription, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Server, list[SlotDescription]]]:
    """A service with a canary and a shadow beside its champion."""
    from hydra import compose, initialize_config_dir

    home = tmp_path_factory.mktemp("flying")
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        composed = compose("config", ["serve.workers=1", "serve.engine.threads=1", "serve.canary.share=0.5"])
    (home / "config.yaml").write_text(to_yaml(load(composed)))
    aliases = [(7, "champion"), (8, "canary"), (9, "shadow")]
    slots = [description.model_copy(update={"version": version, "alias": alias}) for version, alias in aliases]
    server = start(home, *slots, SLUICE_CONFIG=str(home / "config.yaml"))
    yield server, slots
    if server.process.poll() is None:
        assert server.stop() == 0


async def visit(url: str, requests: int) -> None:
    """Texts that are all new, from as many callers at once, and one that is not."""

    async def send(client: httpx.AsyncClient, number: int) -> None:
        texts = [f"open the file {next(DIGITS)}" for _ in range(3)]
        await client.post("/v1/classify", json={"input": [*texts, "again"]}, headers={"X-Caller": f"{number % 20}"})

    limits = httpx.Limits(max_connections=None)
    async with httpx.AsyncClient(base_url=url, timeout=60, limits=limits) as client:
        await asyncio.gather(*[send(client, number) for number in range(requests)])
        await client.post("/v1/classify", json={"input": []})


Found = dict[str, list[dict[str, str]]]
"""The labels of all samples of a figure, by its name."""


def figures(server: Server) -> Found:
    found: Found = {}
    for family in text_string_to_metric_families(httpx.get(f"{server.url}/metrics", timeout=60).text):
        for sample in family.samples:
            found.setdefault(sample.name, []).append(sample.labels)
    return found


@pytest.fixture(scope="module")
def seen(flying: tuple[Server, list[SlotDescription]]) -> Found:
    """Its figures once everything has happened that they tell of: a swap, a version that fails, texts dropped."""
    server, slots = flying
    asyncio.run(visit(server.url, 20))
    changes = [{}, {"version": 10}, {"version": 11, "digest": "0" * 64}]
    swapped = [slot.model_copy(update=change) for slot, change in zip(slots, changes, strict=True)]
    write_descriptions(server.log.with_name("slots.json"), swapped)
    until = time.monotonic() + 60
    while True:
        asyncio.run(visit(server.url, 150))
        found = figures(server)
        swaps = {labels["outcome"] for labels in found.get("sluice_versions_total", [])}
        if time.monotonic() > until or (swaps == {"served", "failed"} and not missing(found)):
            return found


def missing(found: Found) -> list[str]:
    """What expressions ask for and the service does not have."""
    lost = []
    for expression in expressions():
        names = set(re.findall(r"\bsluice_\w+", expression))
        lost += [f"{name} in {expression}" for name in names if name not in found]
        selected = re.findall(r"\b(sluice_\w+)\{([^}]*)\}", expression)
        for name, matchers in selected:
            for label, how, value in re.findall(r'(\w+)(=~|!~|!=|=)"([^"]*)"', matchers):
                values = {labels.get(label) for labels in found.get(name, [])}
                if values == {None} or (how == "=" and value not in values):
                    lost.append(f"{name}{{{label}{how}{value}}}")
        known = {label for name in names for labels in found.get(name, []) for label in labels} | ADDED
        kept = re.findall(r"\w+", " ".join(re.findall(r"by \(([^)]*)\)", expression)))
        lost += [f"{label} in {expression}" for label in kept if label not in known]
    return lost


@pytest.mark.slow
def test_the_service_has_every_figure_that_is_asked_for(seen: Found) -> None:
    assert not missing(seen)
    # What tells them apart, too: a figure or a label that nobody has would be found.
    without = {name: labels for name, labels in seen.items() if name != "sluice_dropped_texts_total"}
    assert missing(without)
    assert missing({**seen, "sluice_stage_seconds_bucket": [{"model": "apidocs:7", "le": "1"}]})


@pytest.mark.slow
def test_variables_offer_the_versions(seen: Found) -> None:
    model = next(one for one in board()["templating"]["list"] if one["name"] == "model")
    name, label = re.fullmatch(r"label_values\((\w+), (\w+)\)", model["query"]["query"]).groups()  # type: ignore[union-attr]
    assert {labels[label] for labels in seen[name]} >= {"apidocs:7", "apidocs:8", "apidocs:10"}


@pytest.fixture(scope="module")
def promtool() -> str:
    found = shutil.which("promtool")
    if "CI" not in os.environ and not (found and shutil.which("prometheus")):
        pytest.skip("no Prometheus on this machine: apt-get install prometheus")
    assert found, "CI must have Prometheus: apt-get install prometheus"
    return found


def test_files_are_what_prometheus_reads(promtool: str) -> None:
    for what, name in (("rules", "alerts.yaml"), ("config", "prometheus.yaml")):
        done = subprocess.run([promtool, "check", what, FILES / name], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


HERE = 'job="sluice", instance="here"'
MODEL = f'{HERE}, model="apidocs:8"'
REQUESTS, SECONDS = "sluice_requests_total", "sluice_request_seconds_bucket"
ASKED = f'{REQUESTS}{{{HERE}, route="/v1/classify", status="200"}}'
BROKEN = f'{REQUESTS}{{{HERE}, route="/v1/classify", status="500"}}'
COMPARED, DISAGREED = f"sluice_compared_texts_total{{{MODEL}}}", f"sluice_disagreed_texts_total{{{MODEL}}}"
DROPPED = f"sluice_dropped_texts_total{{{MODEL}}}"
ANSWERED, FAILED = (f'sluice_answers_total{{{MODEL}, outcome="{outcome}"}}' for outcome in ("answered", "failed"))
LATE = f'{REQUESTS}{{{HERE}, route="grpc:ModelInfer", status="DEADLINE_EXCEEDED"}}'
UNREADY = f'{REQUESTS}{{{HERE}, route="/readyz", status="503"}}'
TURNED, UNKNOWN = (f'{REQUESTS}{{{HERE}, route="/v1/classify", status="{status}"}}' for status in (429, 404))
WAITING = f"sluice_texts_in_progress{{{MODEL}}}"
SWAPS = f'sluice_versions_total{{{MODEL}, outcome="failed"}}'
MEMORY = f"sluice_process_memory_bytes{{{HERE}}}"
Case = dict[str, str]


def taken(quick: int, route: str = "/v1/classify") -> Case:
    """A hundred requests a minute, of which so many took less than a second, and the others two."""
    steps = {"1": quick, "2.5": 100, "+Inf": 100}
    return {f'{SECONDS}{{{HERE}, route="{route}", le="{le}"}}': f"0+{step}x40" for le, step in steps.items()}


CASES: dict[str, tuple[list[Case], list[Case]]] = {
    "SluiceDown": ([{f"up{{{HERE}}}": "1x5 0x35"}], [{f"up{{{HERE}}}": "1x40"}, {'up{job="other"}': "0x40"}]),
    "SluiceErrors": (
        [{ASKED: "0+97x40", BROKEN: "0+3x40"}, {ASKED: "0+97x40", LATE: "0+3x40"}],
        [{ASKED: "0+999x40", BROKEN: "0+1x40"}, {ASKED: "0+99x40", UNREADY: "0+60x40", UNKNOWN: "0+60x40"}],
    ),
    "SluiceVersionFails": (
        [{ANSWERED: "0+97x40", FAILED: "0+3x40"}],
        [{ANSWERED: "0+999x40", FAILED: "0+1x40"}, {ANSWERED: "0+100x40"}],
    ),
    "SluiceSlow": ([taken(90)], [taken(100), taken(10, "/v1/chat"), taken(10, "/v1/chat/completions")]),
    "SluiceTurnsAway": ([{TURNED: "0+5x40"}], [{TURNED: "5x40"}, {UNKNOWN: "0+5x40"}]),
    "SluiceQueueGrows": ([{WAITING: "80+10x40"}], [{WAITING: "80x40"}, {WAITING: "0+1x40"}, {WAITING: "500-5x40"}]),
    "SluiceVersionNotServed": ([{SWAPS: "0+2x40"}], [{SWAPS: "2x40"}, {SWAPS.replace("failed", "served"): "0+2x40"}]),
    "SluiceDisagreement": (
        [{COMPARED: "0+60x40", DISAGREED: "0+12x40"}],
        [{COMPARED: "0+60x40", DISAGREED: "0+3x40"}, {COMPARED: "0+4x40", DISAGREED: "0+3x40"}],
    ),
    "SluiceNotCompared": (
        [{COMPARED: "0+20x40", DROPPED: "0+60x40"}],
        [{COMPARED: "0+60x40", DROPPED: "0+20x40"}, {COMPARED: "0+60x40", DROPPED: "0x40"}],
    ),
    "SluiceMemoryGrows": (
        [{MEMORY: "1000000000+2000000x300"}],
        [{MEMORY: "1000000000x300"}, {MEMORY: "1000000000x100 2000000000x200"}, {MEMORY: "1000000000+200000x300"}],
    ),
}
"""Figures of every minute, at which each alert fires, and at which it does not."""


def test_every_alert_fires_when_it_should_and_not_otherwise(promtool: str, tmp_path: Path) -> None:
    assert set(CASES) == {rule["alert"] for rule in rules()}
    tests = []
    for alert, sides in CASES.items():
        for fires, cases in zip((True, False), sides, strict=True):
            for case in cases:
                fired = f'count(count_over_time(ALERTS{{alertname="{alert}", alertstate="firing"}}[400m]))'
                told = [{"labels": "{}", "value": 1}] if fires else []
                tests.append(
                    {
                        "name": f"{alert} {'fires' if fires else 'does not fire'}",
                        "interval": "1m",
                        "input_series": [{"series": name, "values": values} for name, values in case.items()],
                        "promql_expr_test": [{"expr": fired, "eval_time": "300m", "exp_samples": told}],
                    }
                )
    path = tmp_path / "alerts.test.yaml"
    path.write_text(yaml.safe_dump({"rule_files": [str(FILES / "alerts.yaml")], "tests": tests}))
    done = subprocess.run([promtool, "test", "rules", path], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow
def test_a_real_prometheus_shows_the_dashboard(
    promtool: str, flying: tuple[Server, list[SlotDescription]], seen: Found, tmp_path: Path
) -> None:
    server, _ = flying
    with dashboard.prometheus(server.url) as client:
        began, until = time.time(), time.monotonic() + 40
        while True:
            asyncio.run(visit(server.url, 30))
            shown = {one.title: dashboard.curves(client, one, began, time.time()) for one in panels()}
            states = [rule["health"] for group in ask(client, "rules")["groups"] for rule in group["rules"]]
            empty = [one.title for one in panels() if not one.heading and not shown[one.title]]
            if time.monotonic() > until or not (empty or "unknown" in states):
                break
        assert states == ["ok"] * len(CASES)
        assert [one["health"] for one in ask(client, "targets")["activeTargets"]] == ["up"]
        # All panels have lines: not only those of the traffic.
        assert not empty
        assert any(value > 0 for _, value in shown["Requests"]["apidocs:7 2xx"])
        assert all(0 <= share <= 1 for line in shown["Errors"].values() for _, share in line)
        assert all(before < after for line in shown["Latency"].values() for (before, _), (after, _) in pairwise(line))
        names = {one["labels"]["alertname"] for one in ask(client, "alerts")["alerts"]}
        assert "SluiceDown" not in names
        dashboard.draw([(one, shown[one.title]) for one in panels()], time.time() - began, tmp_path / "shown.png")
    assert (tmp_path / "shown.png").stat().st_size > 20_000
