"""The load: wrk (compiled, so that it takes little of the cores it shares with the server), and what it measured."""

from __future__ import annotations

import json
import resource
import shutil
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sluice.errors import UserError

TIMEOUT_S = 60
"""Longest wait for an answer: a slow server is to be measured, not to be called broken."""
SCRIPT = """\
local bodies = {
%(bodies)s
}
local requests, at, threads = {}, 0, 0

function setup(thread)
    thread:set("number", threads)
    threads = threads + 1
end

function init(arguments)
    for place, body in ipairs(bodies) do
        requests[place] = wrk.format("POST", nil, {["Content-Type"] = "application/json"}, body)
    end
    at = tonumber(arguments[1]) + number * 31
end

function request()
    at = at %% #requests + 1
    return requests[at]
end

function done(summary, latency)
    local errors = summary.errors
    io.write(string.format(
        '\\n{"requests": %%d, "seconds": %%f, "p50_ms": %%f, "p99_ms": %%f, "refused": %%d, "broken": %%d}\\n',
        summary.requests, summary.duration / 1e6, latency:percentile(50) / 1e3, latency:percentile(99) / 1e3,
        errors.status, errors.connect + errors.read + errors.write + errors.timeout
    ))
end
"""


def write_script(path: Path, texts: Sequence[str], body: Callable[[str], Any]) -> Path:
    """A wrk script that asks for one text after the other."""
    lines = "\n".join(f"    {_quoted(json.dumps(body(text)))}," for text in texts)
    path.write_text(SCRIPT % {"bodies": lines}, encoding="ascii")
    return path


def wrk(url: str, script: Path, clients: int, seconds: int, start: int) -> dict[str, Any]:
    """Ask from `clients` connections for so long, beginning with text `start`. Returns wrk's figures."""
    options = ["-t1", f"-c{clients}", f"-d{seconds}s", f"--timeout={TIMEOUT_S}s", f"--script={script}"]
    with _own_cpu() as spent:
        done = subprocess.run(["wrk", *options, url, "--", str(start)], capture_output=True, text=True, check=False)
    lines = done.stdout.splitlines()
    if done.returncode or not lines or not lines[-1].startswith("{"):
        raise UserError(f"wrk failed on {url}: {done.stderr.strip() or done.stdout.strip()}")
    return {**json.loads(lines[-1]), "load_cpu_s": spent[0]}


def require_wrk() -> None:
    """Say how to get the load generator where there is none."""
    if shutil.which("wrk") is None:
        raise UserError("the load comes from wrk, which is not installed. On Debian or Ubuntu: apt install wrk")


@contextmanager
def _own_cpu() -> Iterator[list[float]]:
    """CPU seconds of the children that end within."""
    before, spent = resource.getrusage(resource.RUSAGE_CHILDREN), [0.0]
    yield spent
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    spent[0] = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def _quoted(text: str) -> str:
    """JSON, which is ASCII here, as a Lua string."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
