"""How fast the service is beside the servers that people would take instead: `make bench-serve`, half an hour.

The same short texts and the same weights for all; the same engine (onnxruntime, int8, one thread a core) wherever a
server lets one choose. All are started, the best way to run each is found at every number of clients, and then they
take turns, round after round, each time in another order. A ratio is taken within its round; ours is there twice as a
control. The load comes from wrk, whose CPU is told apart. At last come answers token by token, beside
`transformers serve`.

    make bench-serve ARGS="--only litserve fastapi --rounds 3 --output serve.json"
    make bench-serve ARGS="--memory"
    make bench-serve ARGS="--cold"
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import signal
import sys
import tempfile
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from sluice.files import write_json
from tests.bench import told, whole
from tests.bench.serving import chat, cold, memory, model
from tests.bench.serving.bare import Bare
from tests.bench.serving.contest import Contest
from tests.bench.serving.entries import ENTRIES, Entry, ours
from tests.bench.serving.load import require_wrk
from tests.bench.serving.material import Material, prepare
from tests.bench.serving.report import as_json, judged, table, targets_table
from tests.bench.serving.server import Classifier
from tests.bench.serving.targets import AGAIN, CHAT, CLASSIFY, ENGINE, SLUICE
from tests.bench.serving.texts import docstrings
from tests.bench.serving.usage import CORES

LIBRARIES = ("bentoml", "fastapi", "litserve", "mlflow", "onnxruntime", "torch", "transformers", "uvicorn")
APART = "With the load's CPU set apart: requests/s x cores / (cores - load's cores), over the bare engine's texts/s."


def classify(material: Material, peers: Sequence[Entry], given: argparse.Namespace) -> dict[str, Any]:
    """Print how fast texts are labelled."""
    tokens = material.tokens
    print(f"{len(tokens):,} texts of {min(tokens)} to {max(tokens)} tokens, {sum(tokens) / len(tokens):.0f} on average")
    with Contest(given.clients, given.seconds) as contest:
        bare = (Bare(batch, material.home(ENGINE, batch), material.bundle, material.file, CORES) for batch in (1, 8))
        contest.add(ENGINE, "bare engine, no server", bare)
        for entry in (Entry(SLUICE, "Sluice", ours), Entry(AGAIN, "Sluice again (control)", ours), *peers):
            contest.add(entry.name, entry.title, _started(entry, material))
        idle = contest.idle()
        contest.choose()
        turns = contest.play(given.rounds)
    found = list(judged(turns, CLASSIFY))
    titles = {one.name: one.title for one in contest.contenders}
    print("\n".join(["", *table(turns, titles, "request", ""), "", *targets_table(found), "", APART]), flush=True)
    return {"tokens": tokens, "idle_cores": idle, **as_json(turns, found)}


def converse(material: Material, given: argparse.Namespace) -> dict[str, Any]:
    """Print how fast answers are written."""
    bundle = model.decoder(material.folder / "decoder", docstrings())
    with Contest(chat.STREAMS, given.seconds) as contest:
        for name, title, start in (
            (SLUICE, "Sluice", chat.ours),
            (AGAIN, "Sluice again (control)", chat.ours),
            ("transformers", "transformers serve", chat.transformers_serve),
        ):
            contest.add(name, title, start(bundle, material.home("chat", name), material.texts))
        idle = contest.idle()
        contest.choose()
        turns = contest.play(given.rounds)
    found = list(judged(turns, CHAT))
    titles = {one.name: one.title for one in contest.contenders}
    print("\n".join(["", *table(turns, titles, "token", "first token "), "", *targets_table(found)]), flush=True)
    return {"idle_cores": idle, **as_json(turns, found)}


def machine() -> dict[str, Any]:
    """Where it was measured, and with what."""
    names = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    return {
        "cpu": names[0].partition(": ")[2] if names else platform.machine(),
        "cores": CORES,
        "load_before": os.getloadavg()[0],
        "python": platform.python_version(),
        "libraries": {name: version(name) for name in LIBRARIES},
    }


def _started(entry: Entry, material: Material) -> Iterator[Classifier]:
    for number, way in enumerate(entry.ways(material, CORES)):
        yield Classifier(way, material.home(entry.name, number), material.texts, material.labels)


def _arguments() -> argparse.Namespace:
    names = [*(entry.name for entry in ENTRIES), "chat"]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=names, default=names, help="beside ours and the bare engine")
    parser.add_argument("--rounds", type=whole, default=5)
    parser.add_argument("--seconds", type=whole, default=5, help="of one turn")
    parser.add_argument("--clients", type=whole, nargs="+", default=[1, 8, 32, 64])
    parser.add_argument("--folder", type=Path, help="where models and logs are kept, to be used again; else nowhere")
    parser.add_argument("--output", type=Path, help="the figures of every turn as JSON")
    parser.add_argument("--memory", action="store_true", help="only what ours holds over 20,000 requests")
    parser.add_argument("--cold", action="store_true", help="only what the engine costs when its caches are not warm")
    return parser.parse_args()


def main() -> None:
    """Read the command line and print."""
    given = _arguments()
    require_wrk()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda sent, _: sys.exit(128 + sent))  # so that whoever was started is ended, too
    with contextlib.ExitStack() as ends:
        folder = given.folder or Path(ends.enter_context(tempfile.TemporaryDirectory(prefix="bench-serve-")))
        material = prepare(folder.absolute())
        results: dict[str, Any] = {"machine": machine()}
        print(json.dumps(results["machine"]))
        peers = [entry for entry in ENTRIES if entry.name in given.only]
        if given.memory:
            results["memory"] = memory.watch(material)
        if given.cold:
            results["cold"] = cold.compare(material)
        contests = not (given.memory or given.cold)
        if peers and contests:
            results["classify"] = classify(material, peers, given)
        if given.output:
            write_json(given.output, results)
        if "chat" in given.only and contests:
            results["chat"] = converse(material, given)
    if given.output:
        write_json(given.output, results)


if __name__ == "__main__":
    told(main)
