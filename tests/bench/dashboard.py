"""What the dashboard shows of a running service, as one picture, without Grafana: a Prometheus for as long as it takes.

python -m tests.bench.dashboard --url http://127.0.0.1:3000 --seconds 120 --output docs/images/dashboard.png
"""

from __future__ import annotations

import argparse
import io
import json
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import yaml

from tests.conftest import REPOSITORY
from tests.serving.live import free_port

FILES = REPOSITORY / "serving" / "monitoring"
VARIABLES = {"$__rate_interval": "15s", "$model": ".*"}
"""What Grafana would put in place of its variables."""
COLORS = ["#3274d9", "#e0752d", "#37872d", "#a352cc", "#c4162a", "#8f6b00", "#1f9aa8", "#7f7f7f"]
INK, QUIET, LINE = "#24292e", "#6a737d", "#e6e8eb"
WIDTH, UNIT, TOP = 15.0, 0.275, 0.35
"""Inches: of the picture, of a step of Grafana's grid in height, of the title."""
STEPS = 24
"""Of Grafana's grid in width."""


@dataclass(frozen=True)
class Panel:
    """A panel of the dashboard: its title, unit, place and queries with their legends."""

    title: str
    unit: str
    place: Mapping[str, int]
    targets: list[tuple[str, str]]
    stacked: bool
    heading: bool

    @classmethod
    def of(cls, told: Mapping[str, Any]) -> Panel:
        """Read what the dashboard's file says of it."""
        if told["type"] == "row":
            return cls(told["title"], "", told["gridPos"], [], False, True)
        defaults = told["fieldConfig"]["defaults"]
        targets = [(filled(one["expr"]), one["legendFormat"]) for one in told["targets"]]
        stacked = defaults["custom"]["stacking"]["mode"] == "normal"
        return cls(told["title"], defaults["unit"], told["gridPos"], targets, stacked, False)


def panels() -> list[Panel]:
    """All panels of the dashboard, the headings of its rows among them."""
    return [Panel.of(one) for one in json.loads((FILES / "dashboard.json").read_text())["panels"]]


def filled(expression: str) -> str:
    """An expression with a value for each of Grafana's variables."""
    for name, value in VARIABLES.items():
        expression = expression.replace(name, value)
    return expression


def settings(url: str) -> dict[str, Any]:
    """Our configuration of Prometheus, but for another service and every second."""
    found = yaml.safe_load((FILES / "prometheus.yaml").read_text())
    found["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    found["rule_files"] = [str(FILES / name) for name in found["rule_files"]]
    found["scrape_configs"][0]["static_configs"] = [{"targets": [url.partition("://")[2]]}]
    return found


@contextmanager
def prometheus(url: str) -> Iterator[httpx.Client]:
    """A Prometheus that scrapes a service, and keeps nothing once it is left."""
    program, port = shutil.which("prometheus"), free_port()
    if program is None:
        sys.exit("error: there is no Prometheus on this machine: apt-get install prometheus")
    with tempfile.TemporaryDirectory() as folder, httpx.Client(base_url=f"http://127.0.0.1:{port}") as client:
        config, log = Path(folder, "prometheus.json"), Path(folder, "log.txt")
        config.write_text(json.dumps(settings(url)))
        command = [program, f"--config.file={config}", f"--storage.tsdb.path={folder}/data"]
        with log.open("wb") as output:
            process = subprocess.Popen(
                [*command, f"--web.listen-address=127.0.0.1:{port}"], stdout=output, stderr=output, cwd=folder
            )
        try:
            _wait_until_ready(client, process, log)
            yield client
        finally:
            process.terminate()
            process.wait(timeout=30)


def _wait_until_ready(client: httpx.Client, process: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + 30
    while time.monotonic() < until and process.poll() is None:
        try:
            if client.get("/-/ready").status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.1)
    raise RuntimeError(f"Prometheus did not start:\n{log.read_text()}")


def ask(client: httpx.Client, path: str, **parameters: str | float) -> Any:
    """What its API answers. Raises RuntimeError with Prometheus' own words."""
    told = client.get(f"/api/v1/{path}", params=parameters).json()
    if told["status"] != "success":
        raise RuntimeError(f"{parameters}: {told['error']}")
    return told["data"]


def curves(client: httpx.Client, panel: Panel, start: float, end: float) -> dict[str, list[tuple[float, float]]]:
    """The panel's lines by their legends: seconds since the start, and values, without those that are not numbers."""
    found: dict[str, list[tuple[float, float]]] = {}
    for expression, legend in panel.targets:
        own = {}
        for one in ask(client, "query_range", query=expression, start=start, end=end, step=1)["result"]:
            told = one["metric"]
            name = re.sub(r"\{\{(\w+)\}\}", lambda label, told=told: told.get(label[1], ""), legend)
            points = [(at - start, float(value)) for at, value in one["values"] if value != "NaN"]
            if points:
                own[name.strip()] = points
        found.update(sorted(own.items()))
    return found


def draw(drawn: list[tuple[Panel, dict[str, list[tuple[float, float]]]]], seconds: float, output: Path) -> None:
    """All panels where they stand in Grafana."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure
    from PIL import Image

    high = TOP + UNIT * max(panel.place["y"] + panel.place["h"] for panel, _ in drawn)
    with rc_context({"font.size": 8, "text.color": INK, "axes.edgecolor": LINE}):
        figure = Figure(figsize=(WIDTH, high), facecolor="white")
        figure.text(0.012, 1 - 0.22 / high, "Sluice", size=13, weight="bold", va="center")
        for panel, lines in drawn:
            left, width = panel.place["x"] / STEPS, panel.place["w"] / STEPS
            upper = high - TOP - UNIT * panel.place["y"]
            if panel.heading:
                figure.text(0.012, (upper - 0.17) / high, panel.title, size=10, weight="bold", color=QUIET, va="center")
                continue
            tall = UNIT * panel.place["h"]
            box = (left + 0.6 / WIDTH, (upper - tall + 0.6) / high, width - 0.8 / WIDTH, (tall - 0.95) / high)
            axes = figure.add_axes(box)
            _lines(axes, panel, lines)
            axes.set_xlim(0, seconds)
        output.parent.mkdir(parents=True, exist_ok=True)
        with io.BytesIO() as raw:
            figure.savefig(raw, format="png", dpi=80)
            # Few colours make a small file.
            Image.open(raw).convert("RGB").quantize(256).save(output, optimize=True)


def _lines(axes: Any, panel: Panel, lines: dict[str, list[tuple[float, float]]]) -> None:
    floor: dict[float, float] = {}
    scale = SCALES.get(panel.unit, 1)
    for color, (name, points) in zip(COLORS, lines.items(), strict=False):
        places = [at for at, _ in points]
        below = [floor.get(at, 0.0) for at in places] if panel.stacked else [0.0] * len(points)
        values = [value / scale + base for (_, value), base in zip(points, below, strict=True)]
        # Not clipped: a line that stays at 0 is to be seen.
        axes.plot(places, values, color=color, linewidth=1.4, label=name, clip_on=False, zorder=3)
        axes.fill_between(places, below, values, color=color, alpha=0.35 if panel.stacked else 0.07, linewidth=0)
        floor.update(zip(places, values, strict=True))
    if lines:
        columns = 3 if max(map(len, lines)) < 16 else 2
        axes.legend(
            loc="upper left", bbox_to_anchor=(-0.02, -0.13), ncols=columns, frameon=False, fontsize=7, handlelength=1.0,
            borderpad=0, columnspacing=1.2, labelspacing=0.25,
        )  # fmt: skip
    else:
        axes.text(0.5, 0.5, "none", transform=axes.transAxes, ha="center", va="center", color=QUIET)
    highest = max((value for points in lines.values() for _, value in points), default=0.0)
    axes.set_ylim(0, None if highest else 1)
    axes.set_title(panel.title, loc="left", size=9)
    axes.yaxis.set_major_formatter(FORMATS[panel.unit])
    axes.locator_params(axis="y", nbins=5)
    axes.xaxis.set_major_formatter(lambda at, _: f"{int(at) // 60}:{int(at) % 60:02d}")
    axes.grid(color=LINE, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.tick_params(length=0, labelsize=7, labelcolor=QUIET)
    axes.spines[["top", "right"]].set_visible(False)


def _seconds(value: float, _: int) -> str:
    return f"{value:g} s" if value >= 1 else f"{value * 1000:g} ms"


FORMATS: dict[str, Callable[[float, int], str]] = {
    "reqps": lambda value, _: f"{value:g} req/s",
    "percentunit": lambda value, _: f"{100 * value:.3g}%",
    "s": _seconds,
    "bytes": lambda value, _: f"{value:g} MiB",
    "short": lambda value, _: f"{value / 1000:g} K" if value >= 1000 else f"{value:g}",
}
"""How the dashboard's units are written."""
SCALES = {"bytes": 2**20}
"""Units that are drawn in others, so that ticks are round."""


def main() -> None:
    """Read the command line, watch the service, draw."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--url", default="http://127.0.0.1:3000", help="of the service")
    parser.add_argument("--seconds", type=int, default=120, help="how long it is watched")
    parser.add_argument("--output", type=Path, default=Path("dashboard.png"))
    given = parser.parse_args()
    with prometheus(given.url) as client:
        start = time.time()
        time.sleep(given.seconds)
        drawn = [(panel, curves(client, panel, start, start + given.seconds)) for panel in panels()]
    draw(drawn, given.seconds, given.output)
    print(given.output)


if __name__ == "__main__":
    main()
