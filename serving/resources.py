"""What the processes of a service use: CPU, memory, GPU memory, as figures for Prometheus."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import psutil
from prometheus_client import Gauge, multiprocess

from serving import ADDED_UP

PROCESS_CPU = Gauge("sluice_process_cpu_seconds", "CPU seconds of all workers so far.", multiprocess_mode="livesum")
PROCESS_MEMORY = Gauge("sluice_process_memory_bytes", "Memory of all workers (PSS).", multiprocess_mode="livesum")
GPU_MEMORY = Gauge("sluice_gpu_memory_bytes", "GPU memory of all workers.", multiprocess_mode="livesum")
RESOURCES_S = 2.0


def forget_dead() -> None:
    """Take those workers out of the gauges that were killed: they could not do it themselves."""
    folder = os.environ.get(ADDED_UP)
    for path in Path(folder).glob("gauge_live*_*.db") if folder else ():
        process = int(path.stem.rpartition("_")[2])
        if not psutil.pid_exists(process):
            multiprocess.mark_process_dead(process)  # type: ignore[no-untyped-call]


async def note_resources() -> None:
    """Tell what this process uses, again and again, until cancelled: whoever is scraped tells it for all."""
    own = psutil.Process()
    while True:
        forget_dead()
        spent = own.cpu_times()
        PROCESS_CPU.set(spent.user + spent.system)
        PROCESS_MEMORY.set(await asyncio.to_thread(lambda: own.memory_full_info().pss))
        cuda = getattr(sys.modules.get("torch"), "cuda", None)  # not imported for this, or only half by now
        if getattr(cuda, "is_initialized", bool)():
            GPU_MEMORY.set(cuda.memory_reserved())  # type: ignore[union-attr]
        await asyncio.sleep(RESOURCES_S)
