"""One training by several processes of this machine: gradients averaged by PyTorch's DistributedDataParallel."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sluice.errors import UserError
from sluice.files import write_json, write_text
from sluice.training.reporter import Log

Work = Callable[[Log], dict[str, Any]]
FIGURES, RESULT, MISTAKE = "figures.jsonl", "result.json", "mistake.txt"
POLL_SECONDS = 0.5


def spread(work: Work, count: int, folder: Path, log: Log) -> dict[str, Any]:
    """Run `work` in `count` new processes and return what the first of them returned.

    The first one's figures come to `log` here. An error in any of them, or in `log`, ends all; so does the end of this
    process, however it comes.
    """
    import torch
    from torch.multiprocessing.spawn import ProcessExitedException, start_processes

    gpus = torch.cuda.device_count()
    if 0 < gpus < count:
        raise UserError(f"train.processes={count}: each needs a GPU of its own, of which there are {gpus}")
    for name in (FIGURES, RESULT, MISTAKE):
        (folder / name).unlink(missing_ok=True)
    (folder / FIGURES).touch()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    processes: Any = start_processes(_worker, (work, count, port, folder), nprocs=count, join=False)  # type: ignore[no-untyped-call]
    try:
        with (folder / FIGURES).open(encoding="utf-8") as figures:
            while not processes.join(timeout=POLL_SECONDS):
                _pass_on(figures, log)
            _pass_on(figures, log)
    except ProcessExitedException:
        if (folder / MISTAKE).exists():
            raise UserError((folder / MISTAKE).read_text()) from None
        raise
    finally:
        for process in processes.processes:
            process.terminate()
            process.join()
    result: dict[str, Any] = json.loads((folder / RESULT).read_text())
    for name in (FIGURES, RESULT):
        (folder / name).unlink()
    return result


def _pass_on(figures: Any, log: Log) -> None:
    for line in figures:
        values, step = json.loads(line)
        log(values, step)


def _worker(rank: int, work: Work, count: int, port: int, folder: Path) -> None:
    import torch

    os.environ |= {
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
        "WORLD_SIZE": str(count),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
    }
    torch.set_num_threads(max(1, torch.get_num_threads() // count))

    def write(values: dict[str, float], step: int) -> None:
        with (folder / FIGURES).open("a", encoding="utf-8") as file:
            file.write(json.dumps([values, step]) + "\n")

    try:
        result = work(write)
    except UserError as error:
        write_text(folder / MISTAKE, str(error))
        raise SystemExit(1) from error
    if rank == 0:
        write_json(folder / RESULT, result)
    torch.distributed.destroy_process_group()
