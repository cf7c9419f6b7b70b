"""What this machine has, what of it Sluice will use, and what would stop a training."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shutil
import socket
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from pipelines.shared.entry import REFUSED, main
from pipelines.shared.session import REPOSITORY, shorten
from sluice.config import Config
from sluice.registry.git import state
from sluice.registry.upkeep import health
from sluice.registry.upkeep.folders import at_work
from sluice.registry.upkeep.health import Finding
from sluice.registry.upkeep.retention import size

LEAST_GIB, COMFORTABLE_GIB = 1, 5
"""Below the first no training gets through, below the second not many."""
GRPC, MLFLOW = 8001, 5000


def command(cfg: Config) -> int:
    """`make doctor`: a line each, ok, warn or fail, with what to do; exit code 1 when something stops a training."""
    failed = False
    for finding in findings(cfg):
        print(f"{finding.level:<5}{finding.name:<11}{finding.found}", flush=True)
        if finding.remedy:
            print(f"     {'':<11}-> {finding.remedy}", flush=True)
        failed = failed or finding.level == "fail"
    return REFUSED if failed else 0


def findings(cfg: Config) -> Iterator[Finding]:
    """All checks, the cheap ones first; none needs another to have passed."""
    root = cfg.root.absolute()
    yield _python()
    yield _packages()
    yield from _folders(root)
    yield _disk(root)
    if cfg.tracking_uri and cfg.tracking_uri.startswith("http"):
        answer = health.server(cfg.tracking_uri)
        yield answer
        if answer.level != "fail":
            yield health.served_champion(root, cfg.tracking_uri, cfg.name)
    elif cfg.tracking_uri:
        yield Finding("ok", "MLflow", f"{cfg.tracking_uri} (not looked into)")
    else:
        yield from health.database(root, cfg.name, at_work(root / "work"))
    yield health.receipts(root / "work" / "receipts")
    for port, use in ((cfg.serve.port, "make serve"), (GRPC, "gRPC"), (MLFLOW, "make ui")):
        yield _port(port, use)
    yield _git()
    yield _processor()


def _python() -> Finding:
    found = f"{platform.python_version()} in {sys.prefix}"
    if (3, 11) <= sys.version_info[:2] <= (3, 13):
        return Finding("ok", "Python", found)
    return Finding("fail", "Python", found, "3.11 to 3.13 is needed: make setup PYTHON=python3.12")


def _packages() -> Finding:
    """What is installed against constraints.txt, which is what everything here was tested with."""
    from packaging.requirements import Requirement

    other = []
    pins = [line for line in (REPOSITORY / "constraints.txt").read_text().splitlines() if line and line[0] not in "# "]
    for pin in map(Requirement, pins):
        if pin.marker and not pin.marker.evaluate():
            continue
        try:
            found = importlib.metadata.version(pin.name).split("+")[0]
        except importlib.metadata.PackageNotFoundError:
            continue  # of an extra that was not asked for
        if not pin.specifier.contains(found, prereleases=True):
            other.append(f"{pin.name} {found} ({pin.specifier})")
    if not other:
        return Finding("ok", "packages", "as in constraints.txt")
    remedy = "touch pyproject.toml && make setup brings the tested versions back"
    return Finding("warn", "packages", f"other than in constraints.txt: {', '.join(other)}", remedy)


def _folders(root: Path) -> Iterator[Finding]:
    bentos = Path(os.environ.get("BENTOML_HOME") or Path.home() / "bentoml")
    for name, folder, remedy in (
        ("root", root, "free it, or name another folder: root=/some/folder"),
        ("Bentos", bentos, "free it, or set BENTOML_HOME"),
        ("temporary", Path(tempfile.gettempdir()), "free it, or set TMPDIR"),
    ):
        place = folder
        while not place.exists():
            place = place.parent
        if os.access(place, os.W_OK | os.X_OK) and place.is_dir():
            yield Finding("ok", name, str(folder))
        else:
            yield Finding("fail", name, f"{place} cannot be written", remedy)


def _disk(root: Path) -> Finding:
    place = root
    while not place.exists():
        place = place.parent
    free = shutil.disk_usage(place).free / 2**30
    parts = [path for path in [*root.glob("*"), *root.glob("work/*")] if path.name != "work"]
    sizes = sorted(((size(path), path) for path in parts), reverse=True)[:6]
    used = ", ".join(f"{path.relative_to(root)} {taken / 2**20:,.0f}" for taken, path in sizes)
    found = f"{free:,.1f} GiB free; MiB in {shorten(root)}: {used or 'nothing yet'}"
    remedy = 'make gc ARGS="dry_run=true" lists what could go'
    if free < LEAST_GIB:
        return Finding("fail", "disk", found, remedy)
    return Finding("warn", "disk", found, remedy) if free < COMFORTABLE_GIB else Finding("ok", "disk", found)


def _port(port: int, use: str) -> Finding:
    with socket.socket() as probe:
        probe.settimeout(1)
        if probe.connect_ex(("127.0.0.1", port)):
            return Finding("ok", "port", f"{port} is free ({use})")
    remedy = f"{use} needs it: end that, or choose another port"
    return Finding("warn", "port", f"{port} is taken by {_listener(port)}", remedy)


def _listener(port: int) -> str:
    """Who listens on a port, as far as the system tells this user."""
    import psutil

    try:
        for one in psutil.net_connections("tcp"):
            if one.status == psutil.CONN_LISTEN and one.laddr.port == port and one.pid:
                return f"process {one.pid}: {' '.join(psutil.Process(one.pid).cmdline())[:80]}"
    except psutil.Error:
        pass
    return "a process of another user"


def _git() -> Finding:
    found = state(REPOSITORY)
    if found.endswith("+dirty"):
        return Finding("warn", "git", found, "commit first: a model's lineage names the commit")
    return Finding("ok", "git", found)


def _processor() -> Finding:
    import torch

    from sluice.training.precision import resolve_precision

    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else "none"
    cores = f"{os.cpu_count()} cores, {torch.get_num_threads()} threads"
    return Finding("ok", "processor", f"{cores}, GPU {gpu}; train.precision=auto trains in {resolve_precision('auto')}")


if __name__ == "__main__":
    main(command, record=False)
