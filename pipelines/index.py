"""Documents made searchable by one exact version of a model: what changed is embedded, the rest stays."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pipelines.shared.entry import main
from pipelines.shared.session import shorten
from sluice.config import Config
from sluice.errors import UserError
from sluice.part import digest
from sluice.registry.runs import open_run
from sluice.registry.store import Store
from sluice.registry.versions import CHAMPION, Version, intact, lookup
from sluice.search.documents import Corpus, open_corpus
from sluice.search.shelf import STAGE, Origin, begin, retire
from sluice.workspace import Output, Workspace, stage_key

LIBRARIES = ("lancedb", "numpy", "tokenizers", "torch", "transformers")
FIGURES = (
    "documents", "empty", "passages", "embedded", "removed", "seconds", "documents_per_second", "recall",
)  # fmt: skip


def command(cfg: Config) -> None:
    """`make index`."""
    workspace = Workspace(cfg.root / "work")
    corpus = open_corpus(cfg.index, workspace.root)
    store = Store(cfg.root, cfg.tracking_uri)
    version = asked(cfg, store)
    origin = _origin(cfg, version)
    key = stage_key(origin.line, corpus.digest, sources=("sluice.search.build",), libraries=LIBRARIES)
    print(f"{version} on {corpus.name}", flush=True)
    output = workspace.run(STAGE, key, lambda folder: _build(cfg, store, version, corpus, origin, key, folder))
    if output.fresh:
        retire(output.folder, origin)
        print("\n".join(lines(output.record)))
    print(_told(cfg, output))


def asked(cfg: Config, store: Store) -> Version:
    """The champion, or the version that was asked for."""
    version = lookup(store, cfg.name, cfg.version or CHAMPION)
    if version is None:
        wanted = f"version {cfg.version}" if cfg.version else "champion yet"
        raise UserError(
            f"{cfg.name} has no {wanted}: run make train and make promote, or name one with name=, version="
        )
    return version


def _origin(cfg: Config, version: Version) -> Origin:
    engine = cfg.serve.engine
    vectors = stage_key(
        version.digest, engine, sources=("sluice.inference.predictor", type(engine).__module__), libraries=LIBRARIES
    )
    return Origin(vectors, digest([vectors, cfg.index]))


def _build(
    cfg: Config, store: Store, version: Version, corpus: Corpus, origin: Origin, key: str, folder: Path
) -> dict[str, Any]:
    from sluice.inference.predictor import Predictor
    from sluice.search.build import build
    from sluice.search.searcher import embedder

    title, tags = f"index-v{version.number}-{key[:6]}", {"sluice.type": "index"}
    embed = embedder(Predictor(intact(store, version), cfg.serve.engine))
    with open_run(store, cfg.name, title, key, tags=tags) as run:
        run.params({"version": version, "corpus": corpus.name})
        run.tags({"sluice.version": str(version), "sluice.bundle": version.digest, "sluice.corpus": corpus.digest})
        begin(folder, origin)
        record = build(folder, corpus, embed, cfg.index)
        run.metrics({name: record[name] for name in FIGURES if record[name] is not None})
    return {**record, "bundle": version.digest, "version": str(version), "corpus": corpus.name}


def lines(record: dict[str, Any]) -> list[str]:
    """A record for people."""
    empty = f", {record['empty']:,} of them empty" if record["empty"] else ""
    removed = f", {record['removed']:,} removed" if record["removed"] else ""
    search = "search  exact"
    if record["probes"] is not None:
        groups = f"{record['probes']:,} of {record['partitions']:,} groups"
        search = f"search  approximate, through {groups}: recall@10 {record['recall']:.3f} against exact search"
    return [
        f"documents  {record['documents']:,}{empty}",
        f"passages  {record['passages']:,}, {record['embedded']:,} embedded{removed}",
        search,
    ]


def _told(cfg: Config, output: Output) -> str:
    place = shorten(output.folder)
    if not output.fresh:
        return f"unchanged: {place} holds these documents"
    seconds, rate = output.record["seconds"], output.record["documents_per_second"]
    return f"done in {seconds:.1f} s, {rate:,.0f} documents/s: {place}\nNext: make search ARGS=\"query='...'\""


if __name__ == "__main__":
    main(command)
