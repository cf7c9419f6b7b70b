"""The pages for people, in a real browser."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.serving.live import Server

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

pytestmark = pytest.mark.slow
if CHROMIUM is None and "CI" not in os.environ:
    pytest.skip("no Chromium on this machine: apt-get install chromium", allow_module_level=True)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    assert CHROMIUM is not None, "CI must have Chromium: apt-get install chromium"
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield running
        running.close()


@pytest.fixture
def page(browser: Browser, server: Server) -> Iterator[Page]:
    """A page that fails the test on any script error, refused content or request to another host."""
    context = browser.new_context(base_url=server.url, permissions=["clipboard-read", "clipboard-write"])
    page = context.new_page()
    troubles: list[str] = []
    page.on("console", lambda message: troubles.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: troubles.append(str(error)))
    page.on(
        "request",
        lambda request: None if request.url.startswith((server.url, "data:")) else troubles.append(request.url),
    )
    yield page
    context.close()
    assert not troubles


@pytest.mark.parametrize("key", ["Enter", "Control+Enter"])
def test_a_text_is_classified_from_the_keyboard(page: Page, key: str) -> None:
    page.goto("/")
    expect(page.get_by_label("Text", exact=True)).to_be_focused()
    page.keyboard.press(key)
    expect(page.get_by_label("Probability by label").get_by_role("listitem")).to_have_count(5)
    expect(page.locator("#version")).to_have_text("apidocs:7")
    assert page.locator("#latency").inner_text().endswith(" ms")
    assert float(page.locator(".value").first.inner_text().removesuffix(" %")) > 0
    widths = page.locator(".fill").evaluate_all("bars => bars.map(bar => bar.getBoundingClientRect().width)")
    assert widths == sorted(widths, reverse=True)
    assert widths[0] > 0


def test_all_labels_can_be_shown(page: Page) -> None:
    page.goto("/")
    page.get_by_role("button", name="Classify").click()
    page.get_by_role("button", name="Show all 6 labels").click()
    expect(page.get_by_label("Probability by label").get_by_role("listitem")).to_have_count(6)


def test_shift_enter_writes_a_new_line(page: Page) -> None:
    page.goto("/")
    page.get_by_label("Text", exact=True).fill("one")
    page.keyboard.press("Shift+Enter")
    assert page.get_by_label("Text", exact=True).input_value() == "one\n"
    expect(page.locator("#answer")).to_be_hidden()


def test_errors_are_readable(page: Page) -> None:
    page.goto("/")
    page.evaluate("() => { window.kept = fetch; window.fetch = () => Promise.reject(new TypeError()) }")
    page.get_by_role("button", name="Classify").click()
    expect(page.get_by_role("alert")).to_have_text("The service does not answer. Is it still running?")
    page.evaluate("""() => { window.fetch = async () => new Response(
        '{"error": {"type": "overloaded", "message": "too many requests", "param": null}}', {status: 429}) }""")
    page.get_by_role("button", name="Classify").click()
    expect(page.get_by_role("alert")).to_have_text("too many requests (429, overloaded)")
    page.evaluate("() => { window.fetch = window.kept }")
    page.get_by_role("button", name="Classify").click()
    expect(page.get_by_role("alert")).to_be_hidden()
    expect(page.locator("#answer")).to_be_visible()


def test_the_command_works_when_copied(page: Page, tmp_path: Path) -> None:
    import json
    import subprocess

    text = 'it\'s "quoted" $HOME `x`\nand more ünïcode'
    page.goto("/")
    page.get_by_label("Text", exact=True).fill(text)
    page.get_by_role("button", name="Copy").click()
    expect(page.get_by_role("button", name="Copied")).to_be_visible()
    command = page.evaluate("navigator.clipboard.readText()")
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["model"] == "apidocs:7"
    with page.expect_response("**/v1/classify") as caught:
        page.get_by_role("button", name="Classify").click()
    assert caught.value.json() == json.loads(done.stdout)


@pytest.mark.parametrize("width", [320, 390, 1280])
def test_nothing_overflows(page: Page, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 800})
    page.goto("/")
    page.get_by_role("button", name="Classify").click()
    expect(page.locator("#answer")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_the_reference_renders_offline(page: Page) -> None:
    page.goto("/docs")
    expect(page.get_by_text("/v1/classify").first).to_be_visible()
    page.goto("/docs?bentoml")
    expect(page.get_by_text("/classify").first).to_be_visible()


def test_one_of_several_models_is_chosen(browser: Browser, house: Server) -> None:
    with browser.new_context(base_url=house.url) as context:
        page = context.new_page()
        page.goto("/")
        page.get_by_label("Model", exact=True).select_option("Chat: apichat:1")
        page.get_by_label("Text", exact=True).fill("open the file")
        page.get_by_role("button", name="Chat").click()
        expect(page.locator("#version")).to_have_text("apichat:1")
        assert "/v1/chat" in page.locator("#curl").inner_text()
