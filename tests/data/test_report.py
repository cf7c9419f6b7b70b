"""The report: one page that needs nothing else, holds no markup of the rows' and no text where none may be kept."""

import json
import os
import shutil
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from sluice.data.inspection.settings import Checks
from sluice.errors import UserError
from tests.data.test_checks import NOUNS, ROWS, SIDES

Prepare = Callable[..., dict[str, Any]]
SCRIPT = "<script>alert('row')</script>"
SHIFT = "quokka"
VOID = {"meta", "br"}


def hostile() -> tuple[list[tuple[str, str]], list[str]]:
    """Rows whose texts and labels are markup, a leak, a shift of the test, dropped rows and odd characters."""
    rows = [*ROWS[:150], *((f"{SHIFT} {SHIFT} {text} {SCRIPT}", label) for text, label in ROWS[150:])]
    rows += [
        ("", SCRIPT),
        (f"{ROWS[0][0]} ", ROWS[0][1]),
        (f"{SCRIPT} \x01 $x$", "<b>$\\frac"),
        ("a  <i> 你好", "<b>$\\frac"),
    ]
    return [*rows, (f"{rows[160][0]}!", "wet")], [*SIDES, "train", "train", "train", "test", "train"]


class Page(HTMLParser):
    """Collects tags and checks that they close."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.links: list[str] = []
        self.words: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.links += [value or "" for name, value in attrs if name in ("src", "href", "xlink:href", "srcset")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.words.append(data)


def read_page(folder: Path) -> Page:
    return Page((folder / "report.html").read_text())


def test_the_page_is_whole_shows_everything_and_escapes_it(prepared: Prepare, tmp_path: Path) -> None:
    rows, sides = hostile()
    prepared(rows, sides=sides, name="<b>rows</b>")
    page = read_page(tmp_path)
    assert page.open == []
    assert "script" not in page.tags
    assert all(link.startswith("#") for link in page.links)
    text = " ".join(page.words)
    for wanted in (
        "<b>rows</b>: data report",
        SCRIPT,
        SHIFT,
        "empty text",
        "leaked rows, near",
        "listed:161",
        "duplicate",
    ):
        assert wanted in text
    assert "<b>$\\frac" in text
    assert "\x01" not in text
    assert (tmp_path / "report.html").read_text().count("<svg") == 4


def test_without_texts_nothing_of_them_is_anywhere(prepared: Prepare, tmp_path: Path) -> None:
    rows, sides = hostile()
    shops = ["secretshop"] * 150 + ["hidden"] * (len(rows) - 150)
    prepared(rows, sides=sides, keep_texts=False, columns={"shop": shops}, keep=("shop",))
    for name in ("report.html", "report.json", "dropped.jsonl", "leaks.jsonl"):
        content = (tmp_path / name).read_text()
        assert "listed:161" in content or name == "dropped.jsonl"
        for word in (SHIFT, "alert", "你好", "secretshop", "hidden", *NOUNS):
            assert word not in content, (name, word)


def test_a_refusal_stands_on_the_page(prepared: Prepare, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="Report: "):
        prepared([*ROWS, ("new", "odd")], sides=[*SIDES, "test"])
    assert "the label 'odd' is in test but never in train" in " ".join(read_page(tmp_path).words)
    assert "never in train" in json.loads((tmp_path / "report.json").read_text())["refusal"]


def test_the_same_rows_give_the_same_bytes(prepared: Prepare, tmp_path: Path) -> None:
    prepared(ROWS)
    first = (tmp_path / "report.html").read_bytes()
    prepared(ROWS[::-1])
    again = (tmp_path / "report.html").read_text()
    assert first.decode().split("Checks</h2>")[0] == again.split("Checks</h2>")[0]
    prepared(ROWS)
    assert (tmp_path / "report.html").read_bytes() == first


def test_a_side_without_rows_still_gets_a_report(prepared: Prepare, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no rows for validation"):
        prepared([("one", "x"), ("two", "y")], sides=["train", "test"])
    assert read_page(tmp_path).open == []


CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


@pytest.mark.slow
@pytest.mark.skipif(
    CHROMIUM is None and "CI" not in os.environ, reason="no Chromium on this machine: apt-get install chromium"
)
@pytest.mark.parametrize("width", [360, 1280])
def test_the_page_is_no_wider_than_its_window(prepared: Prepare, tmp_path: Path, width: int) -> None:
    from playwright.sync_api import sync_playwright

    rows, sides = hostile()
    prepared([(f"{text} {'w' * 200}", label) for text, label in rows], sides=sides, checks=Checks(max_broken=None))
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": width, "height": 900})
        page.goto((tmp_path / "report.html").as_uri())
        page.evaluate("document.querySelectorAll('details').forEach(part => part.open = true)")
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        browser.close()
