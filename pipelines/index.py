"""Documents made searchable by one exact version of a model: what changed is embedded, the rest stays."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from pipelines.shared.entry import main
from pipelines.shared.session import named, shorten
from sluice.config import Config
from sluice.errors import UserError
from sluice.inference.bundle import Bundle
from sluice.part import digest
from sluice.registry.runs import open_run
from sluice.registry.store import Store
from sluice.registry.versions import CHAMPION, Version, intact, lookup
from sluice.search.documents import Corpus, open_corpus
from sluice.search.searcher import check_embeds
from sluice.search.shelf import STAGE, Origin, begin, retire
from sluice.workspace import Output, Workspace, stage_key

SAMPLE = "query='find the shortest path'"
LIBRARIES = ("lancedb", "numpy", "tokenizers", "torch", "transformers")
FIGURES = (
    "documents", "empty", "passages", "embedded", "removed", "seconds", "documents_per_second", "recall",
)  # fmt: skip


@dataclass(frozen=True)
class Job:
    """What is asked for: these documents, this model."""

    cfg: Config
    store: Store
    version: Version
    bundle: Path
    corpus: Corpus

    @cached_property
    def origin(self) -> Origin:
        """What the vectors depend on, and the settings."""
        engine = self.cfg.serve.engine
        sources = ("sluice.inference.predictor", type(engine).__module__)
        vectors = stage_key(self.version.digest, engine, sources=sources, libraries=LIBRARIES)
        return Origin(vectors, digest([vectors, self.cfg.index]))

    @cached_property
    def key(self) -> str:
        """The same for the same documents, model and settings."""
        return stage_key(self.origin.line, self.corpus.digest, sources=("sluice.search.build",), libraries=("lancedb",))


def command(cfg: Config) -> None:
    """`make index`."""
    workspace = Workspace(cfg.root / "work")
    corpus = open_corpus(cfg.index, workspace.root)
    store = Store(cfg.root, cfg.tracking_uri)
    version = asked(cfg, store)
    job = Job(cfg, store, version, intact(store, version), corpus)
    check_embeds(Bundle.read(job.bundle).resolve_task())
    print(f"{version} on {corpus.name}", flush=True)
    output = workspace.run(STAGE, job.key, lambda folder: _build(job, folder))
    if output.fresh:
        retire(output.folder, job.origin)
    print("\n".join(told(cfg, output)))


def asked(cfg: Config, store: Store) -> Version:
    """The champion, or the version that was asked for."""
    version = lookup(store, cfg.name, cfg.version or CHAMPION)
    if version is None:
        wanted = f"version {cfg.version}" if cfg.version else "champion yet"
        raise UserError(
            f"{cfg.name} has no {wanted}: run make train and make promote, or name one with name=, version="
        )
    return version


def _build(job: Job, folder: Path) -> dict[str, Any]:
    from sluice.inference.predictor import Predictor
    from sluice.search.build import build
    from sluice.search.searcher import embedder

    cfg, version, corpus = job.cfg, job.version, job.corpus
    title, tags = f"index-v{version.number}-{job.key[:6]}", {"sluice.type": "index"}
    embed = embedder(Predictor(job.bundle, cfg.serve.engine))
    with open_run(job.store, cfg.name, title, job.key, tags=tags) as run:
        run.params({"version": version, "corpus": corpus.name})
        run.tags({"sluice.version": str(version), "sluice.bundle": version.digest, "sluice.corpus": corpus.digest})
        continues = begin(folder, job.origin)
        record = build(folder, corpus, embed, cfg.index)
        run.metrics({name: record[name] for name in FIGURES if record[name] is not None})
    about = {"bundle": version.digest, "version": str(version), "corpus": corpus.name, "continues": continues}
    return record | about


def told(cfg: Config, output: Output) -> list[str]:
    """What an index holds, how it is searched, what comes next."""
    record, place = output.record, shorten(output.folder)
    if not output.fresh:
        return [f"unchanged: {place} holds these documents"]
    empty = f", {record['empty']:,} of them empty" if record["empty"] else ""
    removed = f", {record['removed']:,} others removed" if record["removed"] and record["continues"] else ""
    search = "exact"
    if record["probes"] is not None:
        groups = f"{record['probes']:,} of {record['partitions']:,} groups"
        search = f"approximate, through {groups}: recall@10 {record['recall']:.3f} against exact search"
    return [
        f"documents  {record['documents']:,}{empty}{removed}",
        f"passages   {record['passages']:,}, {record['embedded']:,} texts embedded",
        f"search     {search}",
        f"done in {record['seconds']:.1f} s, {record['documents_per_second']:,.0f} documents/s: {place}",
        f"Next: make search{named(cfg.name, SAMPLE)}",
    ]


if __name__ == "__main__":
    main(command)
