"""Every command that the README and the pages in docs/ show runs as it stands there, page by page, in its own folder.

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

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
PAGES = sorted([REPOSITORY / "README.md", *(REPOSITORY / "docs").glob("*.md")])
ELSEWHERE = {
    "help": "tests/code",
    "setup": ".ci/run",
    "check": ".ci/run",
    "test": ".ci/run",
    "test-fast": ".ci/run",
    "clean": "nothing: it would remove what tests stand on",
    "serve": "tests/serving",
    "ui": "tests/e2e",
    "bench-train": "people: it takes minutes",
    "bench-kills": "people: it takes minutes",
    "bench-pretrain": "people: it takes hours",
}
"""Commands that are not run here, and what runs them."""
REFUSED = 1


def commands(page: Path) -> list[str]:
    """The lines of a page's indented blocks that call make; a trailing backslash joins lines."""
    text = page.read_text().replace("\\\n", " ")
    return [line.strip() for line in text.splitlines() if re.match(r" {4}make [a-z]", line)]


def test_pages_show_commands_that_make_knows():
    known = set(re.findall(r"^([a-z-]+):.*## ", (REPOSITORY / "Makefile").read_text(), re.MULTILINE))
    stages = set(re.search(r"^STAGES := (.*)$", (REPOSITORY / "Makefile").read_text(), re.MULTILINE)[1].split())
    for page in PAGES:
        for line in commands(page):
            target = shlex.split(line, comments=True)[1]
            assert target in known, f"{page.name}: {line}"
            assert target in stages or target in ELSEWHERE, f"{page.name}: {line}: nothing runs it"


@pytest.fixture
def desk(tmp_path: Path):
    """A folder with the files that the pages name, and a house that commands run in."""
    write(tmp_path / "rows.csv", "text", "label")
    write(tmp_path / "reviews.csv", "review", "stars")
    articles = [json.dumps({"body": text}) + "\n" for text, _ in make_rows(400, seed=1)]
    (tmp_path / "articles").mkdir()
    (tmp_path / "articles" / "one.jsonl").write_text("".join(articles))
    house = House(tmp_path / "mlruns", tmp_path / "rows.csv")
    yield house
    house.close()


def write(path: Path, text: str, label: str) -> None:
    lines = [f"{text},{label}", *(f"{one},{other}" for one, other in make_rows(300))]
    path.write_text("\n".join(lines) + "\n")


@pytest.mark.parametrize("page", [page for page in PAGES if commands(page)], ids=lambda page: page.name)
def test_the_commands_of_a_page_run_in_their_order(page: Path, desk: House):
    folder = desk.root.parent
    assert run(desk, "make train", folder)[0] == 0
    bundle = next(desk.root.glob("work/finetune/*/bundle"))
    shutil.copytree(bundle, folder / "my-bert")
    for line in commands(page):
        if shlex.split(line, comments=True)[1] in ELSEWHERE:
            continue
        code, output = run(desk, line, folder)
        may_refuse = shlex.split(line, comments=True)[1] in ("promote", "verify")
        assert code == 0 or (may_refuse and code == REFUSED), f"{line}\n{output}"
        assert "Traceback" not in output


def run(desk: House, line: str, folder: Path) -> tuple[int, str]:
    """One command line of a page."""
    _, stage, *rest = shlex.split(line, comments=True)
    given = shlex.split(rest[0].removeprefix("ARGS=")) if rest else []
    receipts = sorted(desk.root.glob("work/receipts/*.json"), key=os.path.getmtime)
    given = [f"receipt={receipts[-1]}" if part.endswith("....json") else part for part in given]
    chosen = any(part.startswith("data=") for part in given)
    small = [] if chosen else ["data=files", "data.train=rows.csv", "name=apidocs"]
    return desk.ask(stage, [f"root={desk.root}", *small, "debug=fast", *given], folder)
