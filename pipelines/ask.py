"""A question answered from the documents of an index, by a model that writes."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

from pipelines.index import asked
from pipelines.search import open_searcher
from pipelines.shared.entry import main
from sluice.config import Config
from sluice.errors import UserError
from sluice.registry.store import Store
from sluice.registry.versions import CHAMPION, intact, lookup

if TYPE_CHECKING:
    from sluice.search.answers import Answered, Answerer

WIDTH = 110


def command(cfg: Config) -> None:
    """`make ask`."""
    if bool(cfg.question) == bool(cfg.questions):
        raise UserError(
            "what is the question? make ask ARGS=\"question='what does dijkstra_path return?'\", "
            'or for figures ARGS="questions=questions.jsonl"'
        )
    answerer = _open(cfg)
    if cfg.question:
        print(show(answerer.answer([cfg.question])[0]))
        return
    from sluice.search.answers import read_questions

    assert cfg.questions
    questions = read_questions(cfg.questions)
    figures = answerer.measure(questions)
    print(f"{len(questions):,} questions  " + "  ".join(f"{name} {value:.3f}" for name, value in figures.items()))


def _open(cfg: Config) -> Answerer:
    from sluice.inference.predictor import Predictor
    from sluice.search.answers import Answerer

    store = Store(cfg.root, cfg.tracking_uri)
    finds = asked(cfg, store)
    searcher = open_searcher(cfg, store, finds)
    writes = lookup(store, cfg.ask.model, CHAMPION)
    if writes is None:
        raise UserError(
            f"{cfg.ask.model} has no champion yet, and writes the answers: "
            'make train ARGS="experiment=chat" and make promote ARGS="name=apichat", or name another: ask.model='
        )
    writer = Predictor(intact(store, writes), cfg.serve.engine)
    print(f"{finds} finds in {searcher.record['corpus']}, {writes} writes")
    return Answerer(searcher, writer, cfg.ask)


def show(answered: Answered) -> str:
    """The answer, how much of it stands in the passages, and those passages, the named ones marked."""
    lines = [textwrap.fill(answered.text, WIDTH), f"grounded {answered.grounded:.2f}"]
    for number, hit in enumerate(answered.hits, 1):
        mark = "*" if number in answered.cited else " "
        text = textwrap.shorten(hit.text, WIDTH, placeholder=" ...")
        lines.append(f"{mark}[{number}] {hit.score:+.3f}  {hit.title or hit.id}  {hit.source}\n      {text}")
    return "\n".join(lines)


if __name__ == "__main__":
    main(command, record=False)
