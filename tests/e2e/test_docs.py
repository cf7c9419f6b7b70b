"""Every command that the README and the pages in docs/ show runs as it stands there, page by page, in one folder.

Only what makes it quick is added: small rows in place of the default ones, `debug=fast`, and a root in that folder.
"""

import json
import os
import re
import shlex
import shutil
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY, make_rows
from tests.e2e.conftest import House
from tests.model.test_decoders import SPEC as LLAMA
from tests.model.test_decoders import make_rows as talk
from tests.model.test_decoders import make_texts as plain
from tests.model.test_multilabel import make_rows as labelled
from tests.model.test_pair_classification import make_rows as compared
from tests.model.test_regression import make_rows as rated
from tests.model.test_seq2seq import make_rows as summarized
from tests.model.test_token_classification import make_rows as tagged
from tests.model.test_vectors import scored
from tests.search.vectors import write_rows

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
PAGES = sorted([REPOSITORY / "README.md", *(REPOSITORY / "docs").glob("*.md")])
MEASURED = "benchmarks.md"
"""The page whose commands are measurements: they take from minutes to hours."""
ELSEWHERE = {
    "help": "tests/code",
    "setup": ".ci/run",
    "check": ".ci/run",
    "test": ".ci/run",
    "test-all": ".ci/run",
    "test-fast": ".ci/run",
    "clean": "nothing: it would remove what tests stand on",
    "ask": "tests/e2e/test_search_way.py",
    "serve": "tests/serving",
    "canary": "tests/e2e/test_flight.py",
    "shadow": "tests/e2e/test_flight.py",
    "load": "tests/e2e/test_flight.py",
    "export": "tests/e2e/test_way.py",
    "compress": "tests/e2e/test_compress.py",
    "ui": "tests/e2e",
    "bench-train": "people: it takes minutes",
    "bench-kills": "people: it takes minutes",
    "bench-drift": "people: it takes minutes",
    "bench-pretrain": "people: it takes hours",
    "bench-index": "people: it takes minutes",
    "bench-near": "people: it takes minutes",
    "bench-large": "people: it takes minutes",
    "bench-serve": "people: it takes half an hour",
    "bench-swaps": "people: it takes minutes",
}
"""Commands that are not run here, and what runs them."""
SMALL = {
    "experiment=tag": ("names.jsonl", "apinames"),
    "experiment=summarize": ("short.jsonl", "apisummaries"),
    "experiment=embed": ("asked.jsonl", "apipairs"),
    "experiment=generate": ("plain.jsonl", "apitexts"),
    "experiment=chat": ("talk.jsonl", "apichat"),
}
"""Rows in place of a recipe's own, and what its models are called."""
REFUSED = 1


def commands(page: Path) -> list[str]:
    """The lines of a page's indented blocks that call make; a trailing backslash joins lines."""
    text = page.read_text().replace("\\\n", " ")
    return [line.strip() for line in text.splitlines() if re.match(r" {4}make [a-z]", line)]


def test_pages_show_commands_that_make_knows():
    makefile = (REPOSITORY / "Makefile").read_text().replace("\\\n", " ")
    known = set(re.findall(r"^([a-z-]+):.*## ", makefile, re.MULTILINE))
    stages = set(re.search(r"^STAGES := (.*)$", makefile, re.MULTILINE)[1].split())
    for page in PAGES:
        for line in commands(page):
            target = shlex.split(line, comments=True)[1]
            assert target in known, f"{page.name}: {line}"
            assert target in stages or target in ELSEWHERE, f"{page.name}: {line}: nothing runs it"


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory):
    """A folder with the files that the pages name, and a house with a champion that commands run in."""
    tmp_path = tmp_path_factory.mktemp("desk")
    write(tmp_path / "rows.csv", "text", "label")
    write(tmp_path / "reviews.csv", "review", "stars,shop")
    (tmp_path / "recipes").mkdir()
    case = {"name": "metals", "kind": "minimum_functionality", "texts": ["old iron and tin"], "expect": "metal"}
    (tmp_path / "cases.yaml").write_text(json.dumps({"cases": [case]}))
    intents = [{"text": text, "label": "oos" if label == "river" else label} for text, label in make_rows(300)]
    (tmp_path / "intents.jsonl").write_text("".join(json.dumps(row) + "\n" for row in intents))
    written = {
        "names": tagged(300), "short": summarized(300), "topics": labelled(300), "ratings": rated(300),
        "alike": scored(300), "plain": plain(300), "talk": talk(300), "questions": compared(300),
    }  # fmt: skip
    for name, rows in written.items():
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in as_lists(rows)))
    pairs = [f"{row['document']},{row['summary'][0]}" for row in as_lists(summarized(300))]
    (tmp_path / "pairs.csv").write_text("\n".join(["source,target", *pairs]) + "\n")
    (tmp_path / "texts.csv").write_text("text\nthe old gate of two\n")
    articles = [json.dumps({"body": text}) + "\n" for text, _ in make_rows(400, seed=1)]
    (tmp_path / "articles").mkdir()
    (tmp_path / "articles" / "one.jsonl").write_text("".join(articles))
    judged = {"query_id": "1", "doc_id": "articles/one.jsonl:1", "rel": 1}
    write_rows(tmp_path / "queries.jsonl", [{"id": "1", "text": "old iron"}])
    write_rows(tmp_path / "judgements.jsonl", [judged])
    asked = [{"query": " ".join(text.split()[:3]), "passage": text} for text, _ in make_rows(300)]
    write_rows(tmp_path / "asked.jsonl", asked)
    from transformers import AutoModelForCausalLM

    house = House(tmp_path / "mlruns", tmp_path / "rows.csv")
    for line in ("make train", "make promote"):
        assert run(house, line, tmp_path)[0] == 0
    shutil.copytree(next(house.root.glob("work/finetune/*/bundle")), tmp_path / "my-bert")
    made = LLAMA.tokenizer(plain(300)["text"], 64)
    LLAMA.model(AutoModelForCausalLM, [], made, []).save_pretrained(tmp_path / "my-llama")
    made.save_pretrained(tmp_path / "my-llama")
    yield house
    house.close()


def as_lists(rows: dict[str, list[str]]) -> list[dict[str, str | list[str]]]:
    """A row an entry; what lists several things as a list."""
    lists = [name for name, cells in rows.items() if any("\n" in cell for cell in cells)]
    lines = [dict(zip(rows, cells, strict=True)) for cells in zip(*rows.values(), strict=True)]
    return [{name: cell.split("\n") if name in lists else cell for name, cell in line.items()} for line in lines]


def write(path: Path, text: str, label: str) -> None:
    more = ",one" * label.count(",")
    lines = [f"{text},{label}", *(f"{one},{other}{more}" for one, other in make_rows(300))]
    path.write_text("\n".join(lines) + "\n")


@pytest.mark.parametrize(
    "page", [page for page in PAGES if commands(page) and page.name != MEASURED], ids=lambda page: page.name
)
@pytest.mark.thorough
def test_the_commands_of_a_page_run_in_their_order(page: Path, desk: House):
    folder = desk.root.parent
    for line in commands(page):
        stage = shlex.split(line, comments=True)[1]
        if stage in ELSEWHERE:
            continue
        code, output = run(desk, line, folder)
        may_refuse = stage in ("promote", "verify")
        assert code == 0 or (may_refuse and code == REFUSED), f"{line}\n{output}"
        assert "Traceback" not in output


def run(desk: House, line: str, folder: Path) -> tuple[int, str]:
    """One command line of a page: what it names outside the checkout lies in `folder`, a recipe is written there."""
    _, stage, *rest = shlex.split(line, comments=True)
    given = shlex.split(rest[0].removeprefix("ARGS=")) if rest else []
    receipts = sorted(desk.root.glob("work/receipts/*.json"), key=os.path.getmtime)
    given = [part.replace("=/", f"={folder}/") for part in given]
    given = [f"receipt={receipts[-1]}" if part.endswith("....json") else part for part in given]
    small = [f"hydra.searchpath=[file://{folder}/recipes]"]
    if not any(part.startswith("data=") for part in given):
        rows, name = next((SMALL[part] for part in given if part in SMALL), ("rows.csv", "apidocs"))
        small += ["data=files", f"data.train={rows}", f"name={name}"]
    if not any(part.startswith("root=") for part in given):
        small += [f"root={desk.root}"]
    if stage == "tune":
        small += [f"tune.save_as={folder}/recipes/experiment/apidocs-tuned.yaml"]
        given = [part for part in given if not part.startswith("tune.trials=")] + ["tune.trials=2"]
    if not any(part.startswith(("model=", "experiment=")) for part in given):
        small.append("model=tiny")
    flags = [part for part in given if part.startswith("-")]
    return desk.ask(stage, [*flags, *small, "debug=fast", *(part for part in given if part not in flags)], folder)
