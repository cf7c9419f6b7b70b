"""An index asked: hits for a query, or figures for judged queries beside BM25."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

from pipelines.index import asked
from pipelines.shared.entry import main
from pipelines.shared.session import named
from sluice.config import Config
from sluice.errors import UserError
from sluice.registry.store import Store
from sluice.registry.versions import Version, intact
from sluice.search.shelf import newest

if TYPE_CHECKING:
    from sluice.search.searcher import Hit, Searcher

WIDTH = 110


def command(cfg: Config) -> None:
    """`make search`."""
    if bool(cfg.query) == bool(cfg.queries) or bool(cfg.queries) != bool(cfg.judgements):
        raise UserError(
            "what to look for? make search ARGS=\"query='find the shortest path'\", "
            'or for figures ARGS="queries=queries.jsonl judgements=judgements.jsonl"'
        )
    store = Store(cfg.root, cfg.tracking_uri)
    version = asked(cfg, store)
    if cfg.query:
        searcher = open_searcher(cfg, store, version)
        print(f"{version} in {searcher.record['corpus']}, {searcher.record['documents']:,} documents")
        print(show(searcher.search([cfg.query], cfg.k or cfg.search.k)[0]))
        return
    assert cfg.queries
    assert cfg.judgements
    from sluice.search.judged import compare, read

    judged = read(cfg.queries, cfg.judgements)
    figures = compare(open_searcher(cfg, store, version), judged)
    print(
        f"{version}: {len(judged.queries):,} judged queries, {judged.left_out:,} without a relevant document left out"
    )
    print(table({str(version) if name == "model" else name: found for name, found in figures.items()}))


def open_searcher(cfg: Config, store: Store, version: Version) -> Searcher:
    """The index that was made last for a version. Raises UserError where there is none."""
    folder = newest(cfg.root.absolute() / "work", version.digest)
    if folder is None:
        more = [f"version={cfg.version}"] if cfg.version else []
        raise UserError(f"{version} has no index yet: make index{named(cfg.name, *more)}")
    from sluice.inference.predictor import Predictor
    from sluice.search.searcher import Searcher, embedder

    return Searcher(folder, embedder(Predictor(intact(store, version), cfg.serve.engine)))


def show(hits: list[Hit]) -> str:
    """A ranked list: score, title or id and source, then the passage."""
    if not hits:
        return "nothing found"
    blocks = []
    for rank, hit in enumerate(hits, 1):
        name = hit.title or ("" if hit.id == hit.source else hit.id)
        head = f"{rank:>3}  {hit.score:+.3f}  {'  '.join(filter(None, [name, hit.source]))}"
        text = textwrap.shorten(hit.text, 3 * WIDTH, placeholder=" ...")
        blocks.append("\n".join([head, textwrap.indent(textwrap.fill(text, WIDTH), " " * 13)]))
    return "\n".join(blocks)


def table(figures: dict[str, dict[str, float]]) -> str:
    """A row a ranking, a column a figure."""
    names = list(next(iter(figures.values())))
    width = max(map(len, figures))
    head = " " * width + "".join(f"{name:>12}" for name in names)
    rows = [f"{name:<{width}}" + "".join(f"{row[one]:>12.3f}" for one in names) for name, row in figures.items()]
    return "\n".join([head, *rows])


if __name__ == "__main__":
    main(command, record=False)
