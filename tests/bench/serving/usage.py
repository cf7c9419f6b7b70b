"""What a process and everything below it have used: CPU seconds, memory, as the kernel counts them."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

import psutil

CORES = len(os.sched_getaffinity(0))
"""Those that this machine gives us: as many workers are started."""


def tree(process_id: int) -> Iterator[psutil.Process]:
    """The process and all below it that still live."""
    with contextlib.suppress(psutil.NoSuchProcess):
        top = psutil.Process(process_id)
        yield top
        yield from top.children(recursive=True)


def cpu_seconds(process_id: int) -> float:
    """CPU time of the tree, in user mode and in the kernel; of children that have ended, too."""
    total = 0.0
    for process in tree(process_id):
        with contextlib.suppress(psutil.NoSuchProcess):
            total += sum(process.cpu_times()[:4])
    return total


def pss_bytes(process_id: int) -> int:
    """Memory of the tree: pages that several processes share are counted once, each its part."""
    total = 0
    for process in tree(process_id):
        with contextlib.suppress(psutil.NoSuchProcess):
            total += process.memory_full_info().pss
    return total
