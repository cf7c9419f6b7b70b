"""The BentoML service: `bentoml serve serving.service:Sluice`.

BentoML brings processes, probes and packaging. Its own metrics are off: they label by raw path, so that any
caller could grow them without end. `/metrics` is ours.
"""

from __future__ import annotations

import asyncio
import logging
import os
from typing import Any

import bentoml

from serving import logs, process, resolve, traces
from serving.codecs import bentos
from serving.door import Front, Porter
from serving.resources import note_resources

log = logging.getLogger("bentoml.sluice")
os.environ.setdefault("BENTOML_DO_NOT_TRACK", "True")
os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
# For the workers: weights in pages of 2 MiB, where Linux leaves that to programs, are read 2 to 6 % faster.
os.environ.setdefault("GLIBC_TUNABLES", "glibc.malloc.hugetlb=1")

process.use_sharing_loop()
with process.plain_errors():
    settings = resolve.settings()
    # Settled before each worker sees one GPU alone, and takes it for all that there are.
    settings = settings.model_copy(update={"workers": settings.processes()})
front = Front()


class Served:
    """Serves the promoted models."""

    @bentoml.on_deployment
    @staticmethod
    def prepare() -> None:
        """Settle what to serve, once, before any worker starts."""
        with process.plain_errors():
            process.refuse_taken_ports(settings)
            resolve.hand_over(settings)
            process.bring_back_workers()
            process.share_connections(settings.processes())
            process.make_own_figures()

    def __init__(self) -> None:
        from serving.app import build
        from serving.reloader import Reloader, stamp

        process.choose_gpu()
        logs.start(settings.log_requests)
        traces.start(settings.traces)
        path = resolve.slots_path(settings)
        seen = stamp(path)
        self.core = core = Reloader.open(path, settings)

        def renew() -> None:
            front.app = build(core)

        renew()
        self.reloader = Reloader(path, core, renew, seen)
        for slot in core.table.slots:
            log.info("serving %s by %s, bundle %s", slot.description.id, slot.engine, slot.description.digest[:12])

    def __is_alive__(self) -> bool:
        return self.core.alive()

    @bentoml.on_startup
    async def begin(self) -> None:
        """Answer once before anybody asks; give requests in flight the configured time when told to stop."""
        await self.reloader.begin()
        process.spare_the_collector()
        self.tasks = [asyncio.create_task(one) for one in (self.reloader.follow(), note_resources())]
        if settings.grpc_port:
            from serving.codecs import inference_grpc

            self.grpc = await inference_grpc.start(self.core, os.environ[process.HOST], settings.grpc_port)
        process.end_within(settings.grace_s)

    @bentoml.on_shutdown
    async def end(self) -> None:
        """Change nothing any more; let calls over gRPC finish, as BentoML does with requests over HTTP."""
        for task in self.tasks:
            task.cancel()
        if settings.grpc_port:
            from serving.codecs import inference_grpc

            await inference_grpc.stop(self.grpc, settings.grace_s)
        await asyncio.to_thread(traces.end)


with process.plain_errors():
    for name, method in bentos.methods(resolve.tasks()).items():
        setattr(Served, name, method)
Sluice: Any = bentoml.service(
    name="Sluice",
    workers=settings.workers,
    http={"host": settings.host, "port": settings.port},
    metrics={"enabled": False},
    # Ours comes first and answers in our shape.
    traffic={"timeout": settings.timeout_s + settings.grace_s},
)(Served)
Sluice.add_asgi_middleware(Porter, ours=front, settings=settings)
