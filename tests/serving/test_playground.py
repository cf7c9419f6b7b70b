"""The pages for people, in a real browser."""

from __future__ import annotations

import json
import os
import queue
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, Locator, Page, Route, expect, sync_playwright

from serving.slot import SlotDescription
from sluice.files import link_tree, write_json
from sluice.inference.bundle import Bundle, bundle_digest
from sluice.inference.engines.torch import TorchEngine
from sluice.inference.predictor import Predictor
from sluice.search.build import build
from sluice.search.documents import open_corpus
from sluice.search.searcher import embedder
from tests.search.vectors import settings, write_documents
from tests.serving.conftest import described
from tests.serving.live import Server, start

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
HOSTILE = "<img src=x onerror=\"document.title='taken'\"> & <script>document.title='taken'</script>"
QUOTED = 'it\'s "quoted" $HOME `x` \\n {"a": 1}\nand more ünïcode 🙂'

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


@contextmanager
def opened(browser: Browser, url: str, *expected: str, **more: Any) -> Iterator[Page]:
    """A page that fails the test on any script error, refused content or request to another host.

    Chromium reports an error's status on its console, too: `expected` are parts of such messages.
    """
    context = browser.new_context(base_url=url, permissions=["clipboard-read", "clipboard-write"], **more)
    context.set_default_timeout(15_000)
    page = context.new_page()
    troubles: list[str] = []
    page.on("console", lambda message: troubles.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: troubles.append(str(error)))
    page.on("request", lambda sent: None if sent.url.startswith((url, "data:")) else troubles.append(sent.url))
    try:
        yield page
    finally:
        context.close()
    assert [one for one in troubles if not any(part in one for part in expected)] == []


@pytest.fixture
def page(browser: Browser, server: Server) -> Iterator[Page]:
    """The page of a service of one model."""
    with opened(browser, server.url) as page:
        yield page


@pytest.fixture
def home(browser: Browser, house: Server) -> Iterator[Page]:
    """The page of a service of several models."""
    with opened(browser, house.url) as page:
        page.goto("/")
        yield page


@pytest.fixture
def flight(browser: Browser, rivals: Server) -> Iterator[Page]:
    """The page of a service with a canary and an index."""
    with opened(browser, rivals.url) as page:
        page.goto("/")
        yield page


@pytest.fixture(scope="module")
def rivals(
    description: SlotDescription, embed_bundle: Path, config_file: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    """A service of a champion, its canary, a model that searches and one that tags."""
    folder = tmp_path_factory.mktemp("rivals")
    canary = description.model_copy(update={"version": 8, "alias": "canary"})
    found = described(embed_bundle, "found", "embedding", index=indexed(embed_bundle, folder))
    tags = described(tagging(description.folder, folder / "tags"), "apitags", "token_classification")
    running = start(folder, description, canary, found, tags, SLUICE_CONFIG=str(config_file))
    yield running
    if running.process.poll() is None:
        assert running.stop() == 0


def indexed(bundle: Path, folder: Path) -> Path:
    chosen = settings(write_documents(folder / "rows.jsonl", 60))
    predictor = Predictor(bundle, TorchEngine(threads=1))
    index = folder / "index"
    index.mkdir()
    record = build(index, open_corpus(chosen, folder), embedder(predictor), chosen)
    record = {**record, "bundle": bundle_digest(bundle), "version": "found:1"}
    write_json(index / "manifest.json", {"record": record})
    return index


def tagging(bundle: Path, folder: Path) -> Path:
    """The tiny encoder with a head for each word: it has learnt nothing, so that every tag is some entity."""
    from transformers import ModernBertConfig, ModernBertForTokenClassification

    link_tree(bundle, folder)
    for name in ("bundle.json", "config.json", "model.safetensors"):
        (folder / name).unlink()  # links: not to be written to
    config = ModernBertConfig.from_pretrained(bundle, id2label={0: "B-NAME", 1: "B-TYPE"})
    ModernBertForTokenClassification(config).save_pretrained(folder)
    lineage = Bundle.read(bundle).lineage
    made = Bundle(task="token_classification", fields={"max_length": 64}, labels=("B-NAME", "B-TYPE"), lineage=lineage)
    made.write(folder)
    return folder


def choose(page: Page, title: str) -> None:
    page.get_by_label("Model", exact=True).select_option(title)


def text(page: Page) -> Locator:
    return page.get_by_label("Text", exact=True)


def ask(page: Page, words: str) -> None:
    text(page).fill(words)
    text(page).press("Enter")


def answers(page: Page) -> Locator:
    return page.get_by_role("region", name="Answer")


def bars(page: Page) -> Locator:
    return answers(page).get_by_role("list", name="Probability by label")


def part(page: Page, name: str) -> Locator:
    return page.locator(f".answer:not([hidden]) .{name}")


def copied(page: Page, language: str) -> str:
    page.get_by_label(language, exact=True).check(force=True)
    page.get_by_role("button", name="Copy").click()
    expect(page.get_by_role("button", name="Copied")).to_be_visible()
    return str(page.evaluate("navigator.clipboard.readText()"))


def fits(page: Page) -> bool:
    return bool(page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth"))


@pytest.mark.parametrize("key", ["Enter", "Control+Enter"])
def test_a_text_is_classified_from_the_keyboard(page: Page, key: str) -> None:
    page.goto("/")
    expect(text(page)).to_be_focused()
    page.keyboard.press(key)
    expect(bars(page).get_by_role("listitem")).to_have_count(5)
    expect(answers(page).locator(".version")).to_have_text("apidocs:7")
    assert part(page, "facts").inner_text().endswith(" ms")
    assert float(part(page, "value").first.inner_text().removesuffix(" %")) > 0
    widths = part(page, "fill").evaluate_all("bars => bars.map(bar => bar.getBoundingClientRect().width)")
    assert widths == sorted(widths, reverse=True)
    assert widths[0] > 0
    best = part(page, "name").first.inner_text()
    expect(page.get_by_role("status")).to_have_text(f"apidocs:7: {best}")


def test_one_model_is_not_asked_which(page: Page) -> None:
    page.goto("/")
    expect(page.locator("#command")).to_contain_text("/v1/classify")
    expect(page.get_by_label("Model", exact=True)).to_be_hidden()
    expect(page.get_by_label("Compare with")).to_be_hidden()


def test_all_labels_can_be_shown(page: Page) -> None:
    page.goto("/")
    page.get_by_role("button", name="Classify").click()
    page.get_by_role("button", name="Show all 6 labels").click()
    expect(bars(page).get_by_role("listitem")).to_have_count(6)
    page.get_by_role("button", name="Show fewer").click()
    expect(bars(page).get_by_role("listitem")).to_have_count(5)


def test_shift_enter_writes_a_new_line(page: Page) -> None:
    page.goto("/")
    text(page).fill("one")
    page.keyboard.press("Shift+Enter")
    assert text(page).input_value() == "one\n"
    expect(answers(page)).to_have_count(0)


def test_errors_are_readable(page: Page) -> None:
    page.goto("/")
    page.evaluate("() => { window.kept = fetch; window.fetch = () => Promise.reject(new TypeError()) }")
    page.get_by_role("button", name="Classify").click()
    expect(page.get_by_role("alert")).to_have_text("The service does not answer. Is it still running?")
    page.evaluate("""() => { window.fetch = async () => new Response(
        '{"error": {"type": "overloaded", "message": "too many requests", "param": null}}', {status: 429}) }""")
    page.get_by_role("button", name="Classify").click()
    expect(page.get_by_role("alert")).to_have_text("too many requests (429, overloaded)")
    page.evaluate("() => { window.fetch = async () => new Response('<h1>Bad Gateway</h1>', {status: 502}) }")
    page.get_by_role("button", name="Classify").click()
    expect(page.get_by_role("alert")).to_have_text("The answer is an error without a message. (502)")
    page.evaluate("() => { window.fetch = window.kept }")
    page.get_by_role("button", name="Classify").click()
    expect(page.get_by_role("alert")).to_be_hidden()
    expect(bars(page)).to_be_visible()


def test_the_service_s_own_refusal_is_shown(browser: Browser, server: Server) -> None:
    with opened(browser, server.url, "413") as page:
        page.goto("/")
        ask(page, "x" * 400_000)
        expect(page.get_by_role("alert")).to_contain_text("characters; at most")
        expect(page.get_by_role("alert")).to_contain_text("(413, too_large)")


def test_a_list_of_models_that_cannot_be_read_is_told(browser: Browser, server: Server) -> None:
    with opened(browser, server.url, "ERR_FAILED") as page:
        page.route("**/v1/models", lambda route: route.abort())
        page.goto("/")
        expect(page.get_by_role("alert")).to_have_text("The service does not answer. Is it still running?")
        page.unroute("**/v1/models")
        text(page).press("Enter")
        expect(bars(page)).to_be_visible()


def test_the_curl_command_works_when_copied(page: Page) -> None:
    page.goto("/")
    text(page).fill(QUOTED)
    done = subprocess.run(["sh", "-c", copied(page, "curl")], capture_output=True, text=True, check=True)
    with page.expect_response("**/v1/classify") as caught:
        page.get_by_role("button", name="Classify").click()
    assert json.loads(done.stdout)["model"] == "apidocs:7"
    assert caught.value.json() == json.loads(done.stdout)


def run_python(program: str) -> str:
    # With UTF-8 whatever the locale: the program prints what the model wrote.
    return subprocess.run(
        [sys.executable, "-X", "utf8", "-c", program], capture_output=True, encoding="utf-8", check=True
    ).stdout


def test_python_works_when_copied(flight: Page) -> None:
    choose(flight, "Classify: apidocs:8 (canary)")
    text(flight).fill(QUOTED)
    printed = run_python(copied(flight, "Python"))
    with flight.expect_response("**/v1/classify") as caught:
        flight.get_by_role("button", name="Classify").click()
    assert printed == f"{caught.value.json()}\n"
    assert "apidocs:8" in printed


@pytest.mark.parametrize(("title", "field"), [("Chat: apichat:1", "message"), ("Generate: apitexts:1", "text")])
def test_commands_of_models_that_write_work_when_copied(home: Page, title: str, field: str) -> None:
    choose(home, title)
    text(home).fill(QUOTED)
    done = subprocess.run(["sh", "-c", copied(home, "curl")], capture_output=True, text=True, check=True)
    choice = json.loads(done.stdout)["choices"][0]
    whole = choice["message"]["content"] if field == "message" else choice["text"]
    assert whole
    assert run_python(copied(home, "Python")) == whole
    text(home).press("Enter")
    expect(part(home, "facts")).to_contain_text("tokens/s")
    assert part(home, "text").text_content() == whole


def test_the_command_follows_what_is_typed_and_chosen(home: Page) -> None:
    text(home).fill("one")
    expect(home.locator("#command")).to_contain_text("""-d '{"input":"one"}'""")
    choose(home, "Embed: apipairs:1")
    expect(home.locator("#command")).to_contain_text("/v1/embed")
    expect(text(home)).to_have_value("one")
    text(home).fill("two")
    home.get_by_label("Python", exact=True).check(force=True)
    expect(home.locator("#command")).to_contain_text('body = {"input":"two"}')
    choose(home, "Chat: apichat:1")
    expect(home.locator("#command")).to_contain_text('model="apichat:1"')


@pytest.mark.parametrize("width", [320, 360, 1280])
def test_nothing_overflows(home: Page, width: int) -> None:
    home.set_viewport_size({"width": width, "height": 740})
    for title in ("Classify: apidocs:7", "Chat: apichat:1", "Generate: apitexts:1", "Embed: apipairs:1"):
        choose(home, title)
        expect(answers(home)).to_have_count(0)
        for language in ("Python", "curl"):
            home.get_by_label(language, exact=True).check(force=True)
        ask(home, "word " * 9 + "w" * 100)
        expect(part(home, "facts")).to_contain_text("ms")
        assert fits(home), title


def test_a_phone_shows_two_answers_below_each_other(flight: Page) -> None:
    flight.set_viewport_size({"width": 360, "height": 740})
    flight.get_by_label("Compare with").select_option("apidocs:8 (canary)")
    text(flight).press("Enter")
    expect(answers(flight)).to_have_count(2)
    upper, lower = (answers(flight).nth(at).bounding_box() for at in (0, 1))
    assert upper
    assert lower
    assert lower["y"] >= upper["y"] + upper["height"]
    assert fits(flight)


def test_two_versions_answer_side_by_side(flight: Page) -> None:
    flight.get_by_label("Compare with").select_option("apidocs:8 (canary)")
    text(flight).press("Enter")
    expect(answers(flight).locator(".version")).to_have_text(["apidocs:7", "apidocs:8"])
    expect(bars(flight)).to_have_count(2)
    left, right = (answers(flight).nth(at).bounding_box() for at in (0, 1))
    assert left
    assert right
    assert right["x"] >= left["x"] + left["width"]
    assert right["y"] == left["y"]
    flight.get_by_label("Compare with").select_option("Nothing")
    expect(answers(flight)).to_have_count(0)
    text(flight).press("Enter")
    expect(answers(flight)).to_have_count(1)


def test_only_what_does_the_same_can_be_compared(flight: Page) -> None:
    expect(flight.get_by_label("Compare with").get_by_role("option")).to_have_text(["Nothing", "apidocs:8 (canary)"])
    choose(flight, "Embed: found:1")
    expect(flight.get_by_label("Compare with")).to_be_hidden()


def test_one_of_two_may_fail(browser: Browser, rivals: Server) -> None:
    def refuse(route: Route) -> None:
        if "apidocs:8" in (route.request.post_data or ""):
            route.fulfill(status=429, json={"error": {"type": "overloaded", "message": "full", "param": None}})
        else:
            route.continue_()

    with opened(browser, rivals.url, "429") as page:
        page.goto("/")
        page.route("**/v1/classify", refuse)
        page.get_by_label("Compare with").select_option("apidocs:8 (canary)")
        text(page).press("Enter")
        expect(page.get_by_role("alert")).to_have_text("full (429, overloaded)")
        expect(answers(page).nth(1).locator(".version")).to_have_text("apidocs:8")
        expect(bars(page)).to_be_visible()


def test_hits_of_a_search_are_listed(flight: Page) -> None:
    choose(flight, "Search: found:1")
    with flight.expect_response("**/v1/search") as caught:
        ask(flight, "old iron")
    hits = caught.value.json()["results"][0]["hits"]
    expect(flight.get_by_role("list", name="Hits").get_by_role("listitem")).to_have_count(5)
    expect(part(flight, "hits .name")).to_have_text([hit["title"] for hit in hits])
    expect(part(flight, "passage")).to_have_text([hit["text"] for hit in hits])


def test_without_an_index_no_search_is_offered(home: Page) -> None:
    expect(home.get_by_label("Model", exact=True).get_by_role("option")).to_have_text(
        ["Classify: apidocs:7", "Chat: apichat:1", "Generate: apitexts:1", "Embed: apipairs:1"]
    )


def test_words_are_marked(flight: Page) -> None:
    choose(flight, "Tag: apitags:1")
    with flight.expect_response("**/v1/tag") as caught:
        ask(flight, "🙂 opens a file")
    entities = caught.value.json()["results"][0]["entities"]
    assert entities
    expect(flight.locator("mark")).to_have_text([one["text"] + one["type"] for one in entities])


def test_a_vector_is_summed_up(home: Page) -> None:
    choose(home, "Embed: apipairs:1")
    text(home).press("Enter")
    expect(part(home, "text")).to_contain_text("32 numbers: ")


def test_an_answer_is_text_whatever_it_looks_like(flight: Page) -> None:
    for title, result in {
        "Classify: apidocs:7": {"label": HOSTILE, "score": 1, "scores": {HOSTILE: 1}},
        "Search: found:1": {"hits": [{"text": HOSTILE, "title": HOSTILE, "source": "s", "id": "i", "score": 1}]},
        "Tag: apitags:1": {"entities": [{"type": HOSTILE, "text": "x", "start": 0, "end": 9, "score": 1}]},
        "Embed: found:1": {"text": HOSTILE},
    }.items():
        flight.route("**/v1/*", answering(result))
        choose(flight, title)
        ask(flight, HOSTILE)
        expect(answers(flight)).to_contain_text(HOSTILE)
        assert answers(flight).locator("img, script").count() == 0
        flight.unroute("**/v1/*")
    assert "<img src=x" in flight.locator("#command").inner_text()
    assert "taken" not in flight.title()


def answering(result: dict[str, Any], model: str = "apidocs:7") -> Callable[[Route], None]:
    """Gives every text this result, and leaves the rest to the service."""

    def answer(route: Route) -> None:
        if route.request.method == "POST":
            route.fulfill(json={"model": model, "results": [result]})
        else:
            route.continue_()

    return answer


def test_a_version_that_came_meanwhile_is_listed(page: Page) -> None:
    page.goto("/")
    expect(page.locator("#command")).to_contain_text("/v1/classify")
    (served,) = httpx.get(page.url + "v1/models").json()["data"]
    newer = {**served, "id": "apidocs:9", "version": 9}
    page.route("**/v1/models", lambda route: route.fulfill(json={"data": [newer, {**newer, "id": "apidocs:10"}]}))
    result = {"label": "files", "score": 1, "scores": {"files": 1}}
    page.route("**/v1/classify", answering(result, "apidocs:9"))
    ask(page, "kept")
    expect(answers(page).locator(".version")).to_have_text("apidocs:9")
    expect(page.get_by_label("Model", exact=True)).to_have_value("classify apidocs:9")
    expect(page.get_by_label("Compare with")).to_be_visible()
    expect(text(page)).to_have_value("kept")
    expect(page.locator("#command")).to_contain_text('"model":"apidocs:9"')


def test_the_keyboard_is_enough(flight: Page) -> None:
    press = flight.keyboard.press
    expect(text(flight)).to_be_focused()
    expect(flight.get_by_label("Compare with")).to_be_visible()
    press("Shift+Tab")
    expect(flight.get_by_label("Compare with")).to_be_focused()
    flight.keyboard.type("apidocs:8")
    expect(flight.get_by_label("Compare with")).to_have_value("classify apidocs:8")
    press("Tab")
    flight.keyboard.type(" and more")
    press("Tab")
    expect(flight.get_by_role("button", name="Classify")).to_be_focused()
    assert flight.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    press("Enter")
    expect(answers(flight)).to_have_count(2)
    for name in ("Show all 6 labels", "Show all 6 labels"):
        press("Tab")
        expect(flight.get_by_role("button", name=name).first).to_be_visible()
    press("Tab")
    expect(flight.get_by_label("curl", exact=True)).to_be_focused()
    press("ArrowRight")
    expect(flight.locator("#command")).to_contain_text("import json")
    press("Tab")
    press("Enter")
    expect(flight.get_by_role("button", name="Copied")).to_be_focused()


CONTRASTS = """() => {
  const numbers = (color) => color.match(/[\\d.]+/g).map(Number);
  const light = (color) => numbers(color).slice(0, 3).map((one) => one / 255)
    .map((one) => (one <= 0.04045 ? one / 12.92 : ((one + 0.055) / 1.055) ** 2.4))
    .reduce((sum, one, at) => sum + one * [0.2126, 0.7152, 0.0722][at], 0);
  const behind = (one) => {
    const color = getComputedStyle(one).backgroundColor;
    return numbers(color)[3] === 0 ? behind(one.parentElement) : color;
  };
  const worst = (one) => {
    const [low, high] = [light(getComputedStyle(one).color), light(behind(one))].sort((a, b) => a - b);
    return (high + 0.05) / (low + 0.05);
  };
  const own = (one) => [...one.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
  return [...document.body.querySelectorAll("*")].filter((one) => own(one) && one.checkVisibility())
    .map((one) => [worst(one), one.textContent.trim().slice(0, 40)]).filter(([ratio]) => ratio < 4.5);
}"""


@pytest.mark.parametrize("scheme", ["dark", "light"])
def test_dark_and_light_can_be_read(browser: Browser, rivals: Server, scheme: str) -> None:
    with opened(browser, rivals.url, "422", color_scheme=scheme) as page:
        page.goto("/")
        for title in ("Search: found:1", "Tag: apitags:1", "Classify: apidocs:7"):
            choose(page, title)
            text(page).press("Enter")
            expect(answers(page)).to_be_visible()
            assert page.evaluate(CONTRASTS) == []
        page.route("**/v1/classify", lambda route: route.fulfill(status=422, json={"error": {"message": "no"}}))
        text(page).press("Enter")
        expect(page.get_by_role("alert")).to_be_visible()
        expect(page.locator("[aria-busy]")).to_have_count(0)
        assert page.evaluate(CONTRASTS) == []
        dark = page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(15, 20, 19)"
        assert dark == (scheme == "dark")


def test_the_reference_renders_offline(page: Page) -> None:
    page.goto("/docs")
    expect(page.get_by_text("/v1/classify").first).to_be_visible()
    page.goto("/docs?bentoml")
    expect(page.get_by_text("/classify").first).to_be_visible()


class Slow(ThreadingHTTPServer):
    """Passes everything on to a service, but for chats: of those the test says when the next piece comes."""

    daemon_threads = True

    def __init__(self, service: str) -> None:
        super().__init__(("127.0.0.1", 0), Passing)
        self.service = service
        self.events: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self.left = threading.Event()
        """Whether a caller broke off."""

    def say(self, word: str) -> None:
        """Send a piece, in two parts that no border of an event divides."""
        event = f"data: {json.dumps({'choices': [{'delta': {'content': word}}]})}\n\n"
        self.events.put(event[:9])
        self.events.put(event[9:])


class Passing(BaseHTTPRequestHandler):
    server: Slow

    def do_GET(self) -> None:
        found = httpx.get(self.server.service + self.path)
        self.send_response(found.status_code)
        for name in ("content-type", "content-security-policy"):
            self.send_header(name, found.headers[name])
        self.end_headers()
        self.wfile.write(found.content)

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("X-Model-Version", "apichat:1")
        self.end_headers()
        self.wfile.flush()
        try:
            while event := self.server.events.get(timeout=30):
                self.wfile.write(event.encode())
                self.wfile.flush()
        except (ConnectionError, queue.Empty):
            self.server.left.set()

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture
def slow(house: Server) -> Iterator[Slow]:
    with Slow(house.url) as running:
        thread = threading.Thread(target=running.serve_forever, daemon=True)
        thread.start()
        yield running
        running.events.put(None)
        running.shutdown()


@pytest.fixture
def chat(browser: Browser, slow: Slow) -> Iterator[Page]:
    with opened(browser, f"http://127.0.0.1:{slow.server_port}") as page:
        page.goto("/")
        choose(page, "Chat: apichat:1")
        yield page


def test_a_chat_appears_piece_by_piece(chat: Page, slow: Slow) -> None:
    ask(chat, "open the file")
    expect(answers(chat).locator(".version")).to_have_text("apichat:1")
    for piece, so_far in (("One ", "One "), ("twö ", "One twö "), ("<b>", "One twö <b>")):
        slow.say(piece)
        expect(part(chat, "text")).to_have_text(so_far, use_inner_text=False)
    expect(chat.get_by_role("status")).to_be_empty()
    slow.events.put('data: {"choices": [], "usage": {"completion_tokens": 3}}\n\n')
    slow.events.put("data: [DONE]\n\n")
    slow.events.put(None)
    expect(part(chat, "facts")).to_contain_text("first token")
    expect(part(chat, "facts")).to_contain_text("tokens/s")
    expect(chat.get_by_role("status")).to_have_text("apichat:1: One twö <b>")
    expect(chat.get_by_role("button", name="Stop")).to_be_hidden()


def test_stop_ends_a_chat(chat: Page, slow: Slow) -> None:
    ask(chat, "open the file")
    slow.say("One ")
    expect(part(chat, "text")).to_have_text("One")
    chat.get_by_role("button", name="Stop").press("Enter")
    expect(part(chat, "facts")).to_contain_text("stopped")
    expect(text(chat)).to_be_focused()
    expect(part(chat, "text")).to_have_text("One")
    expect(chat.get_by_role("alert")).to_be_hidden()
    for _ in range(100):
        slow.say("more ")
        if slow.left.wait(0.1):
            break
    assert slow.left.is_set()


@pytest.mark.parametrize(
    ("ending", "told"),
    [
        ('data: {"error": {"type": "timeout", "message": "too slow"}}\n\n', "too slow (timeout)"),
        ("", "The connection broke off before the answer was complete."),
    ],
)
def test_an_error_amid_a_chat_is_shown_beside_what_there_is(chat: Page, slow: Slow, ending: str, told: str) -> None:
    ask(chat, "open the file")
    slow.say("One ")
    slow.events.put(ending)
    slow.events.put(None)
    expect(chat.get_by_role("alert")).to_have_text(told)
    expect(part(chat, "text")).to_have_text("One")


def test_another_model_ends_a_chat(chat: Page, slow: Slow) -> None:
    ask(chat, "open the file")
    slow.say("One ")
    expect(part(chat, "text")).to_have_text("One")
    choose(chat, "Generate: apitexts:1")
    expect(answers(chat)).to_have_count(0)
    expect(chat.get_by_role("button", name="Stop")).to_be_hidden()
