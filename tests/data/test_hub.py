"""Rows of the hub: really downloaded, from a hub of our own, by processes with a cache of their own."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from sluice.data.sources.hub import Hub
from sluice.errors import UserError
from tests.data import hub

READ = """
import json, sys
from sluice.data.sources.hub import Hub
from sluice.data.rows import notes_of
from sluice.errors import UserError
answers = []
for fields in json.loads(sys.argv[1]):
    source = Hub.model_validate(fields)
    try:
        fingerprint = source.fingerprint()
        table = source.read({"text": "text", "label": "text"})
        answers.append({"rows": table.to_pylist(), "notes": notes_of(table), "fingerprint": fingerprint})
    except UserError as error:
        answers.append({"error": str(error)})
print(json.dumps(answers))
"""
FIELDS: dict[str, Any] = {
    "name": "x",
    "dataset": hub.NAME,
    "splits": {"train": "train", "test": "test"},
    "columns": {"text": "sentence", "label": "mood"},
    "keep": ["shop"],
}
Ask = Callable[..., list[dict[str, Any]]]


@pytest.fixture(scope="module")
def ask(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ask]:
    """Read `Hub`s with these fields, all in one process of its own."""
    folder = tmp_path_factory.mktemp("hub")
    hub.write_repository(folder / "repository")
    with hub.serve(folder / "repository") as address:

        def run(*fields: dict[str, Any], offline: bool = False, endpoint: str = address) -> list[dict[str, Any]]:
            clean = {key: value for key, value in os.environ.items() if not key.startswith("HF_")}
            environment = clean | {"HF_ENDPOINT": endpoint, "HF_HOME": str(folder / "home")}
            environment |= {"HF_HUB_OFFLINE": "1"} if offline else {}
            command = [sys.executable, "-c", READ, json.dumps([{**FIELDS, **some} for some in fields])]
            done = subprocess.run(
                command, env=environment, cwd=folder, capture_output=True, text=True, check=True, timeout=120
            )
            answers: list[dict[str, Any]] = json.loads(done.stdout.splitlines()[-1])
            return answers

        yield run


@pytest.mark.slow
def test_rows_of_a_pinned_commit_are_downloaded_and_read_again_without_network(ask: Ask) -> None:
    [pinned] = ask({"revision": hub.COMMIT})
    rows = pinned["rows"]
    assert len(rows) == 80
    assert rows[1] == {
        "text": "train review 7919 of the valve",
        "label": "good",
        "shop": "1",
        "group": None,
        "side": None,
        "origin": "team/reviews/train:2",
    }
    assert rows[5]["label"] == ""
    assert [row["side"] for row in rows[60:]] == ["test"] * 20
    assert pinned["notes"] == {"dataset": hub.NAME, "commit": hub.COMMIT}
    assert ask({"revision": hub.COMMIT}, offline=True) == [pinned]


@pytest.mark.slow
def test_a_branch_is_resolved_named_and_warned_of(ask: Ask) -> None:
    newest, named = ask({}, {"revision": "main"})
    assert newest["notes"]["commit"] == named["notes"]["commit"] == hub.COMMIT
    for answer in (newest, named):
        assert f"data.revision={hub.COMMIT}" in answer["notes"]["warnings"][0]
    assert newest["rows"] == named["rows"]


@pytest.mark.slow
def test_mistakes_are_one_or_two_lines(ask: Ask) -> None:
    pinned = {"revision": hub.COMMIT}
    cases: list[tuple[dict[str, Any], str]] = [
        ({"dataset": "team/none"}, "team/none (its newest commit): "),
        ({**pinned, "splits": {"train": "training"}}, 'Unknown split "training"'),
        ({**pinned, "subset": "large"}, "BuilderConfig 'large' not found"),
        ({**pinned, "columns": {"text": "sentence"}}, "data.columns.label="),
        ({**pinned, "keep": ["city"]}, "no column 'city'; found: sentence, mood, shop"),
    ]
    for answer, (_, wanted) in zip(ask(*(fields for fields, _ in cases)), cases, strict=True):
        assert wanted in answer["error"]
        assert answer["error"].count("\n") <= 1


@pytest.mark.slow
def test_without_network_the_error_says_what_would_do(ask: Ask) -> None:
    answers = ask({}, {"revision": "2e" * 20}, offline=True) + ask({}, endpoint="http://127.0.0.1:9")
    for answer in answers:
        assert "the hub cannot be reached" in answer["error"]
        assert "data.revision=" in answer["error"]
        assert answer["error"].count("\n") <= 1


def test_the_fingerprint_of_a_pinned_commit_needs_no_network() -> None:
    one, other = (Hub(**FIELDS, revision=digit * 40).fingerprint() for digit in "12")
    assert one != other


def test_a_folder_of_the_same_name_is_not_read_instead(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "team" / "reviews").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="a folder of that name lies here"):
        Hub(**FIELDS, revision="1" * 40).read({"text": "text", "label": "text"})


@pytest.mark.parametrize("splits", [{}, {"test": "test"}, {"train": "a", "dev": "b"}, {"train": "a", "test": "a"}])
def test_sides_that_make_no_sense_are_refused(splits: dict[str, str]) -> None:
    with pytest.raises(ValidationError):
        Hub(**{**FIELDS, "splits": splits})
