"""Words of docstrings and what they name, told by a library made for it."""

from pathlib import Path

import pytest

from sluice.data.sources.apidocs import ApiDocs
from sluice.data.sources.apinames import ApiNames
from sluice.data.sources.mentions import Inventory, unmarked
from sluice.errors import UserError

COLUMNS = {"tokens": "list", "tags": "list"}
CLASSES = {"FlowError": ["Jam"], "Jam": ["ValueError"], "Gate": [], "WaterGate": ["Gate"], "E": []}
FILES = ["tinylib/__init__.py", "tinylib/pumps/rotary.py"]


def named(docstring: str) -> list[tuple[str, str]]:
    """The entities of a docstring as (kind, words)."""
    words, tags = Inventory.of(CLASSES, FILES).tag(docstring)
    assert len(words) == len(tags)
    found: list[tuple[str, str]] = []
    for word, tag in zip(words, tags, strict=True):
        if tag[0] == "B":
            found.append((tag[2:], word))
        elif tag[0] == "I":
            found[-1] = (found[-1][0], found[-1][1] + word)
    return found


@pytest.mark.parametrize(
    ("docstring", "found"),
    [
        ("A WaterGate may raise FlowError.", [("TYPE", "WaterGate"), ("EXCEPTION", "FlowError")]),
        ("Any Jam is a KeyError too", [("EXCEPTION", "KeyError")]),
        ("Any `Jam` is one", [("EXCEPTION", "Jam")]),
        ("Close the Gate; a ``Gate`` is open", [("TYPE", "Gate")]),
        ("see :class:`~tinylib.pumps.Gate` and :mod:`tinylib.pumps`", [("TYPE", "Gate"), ("MODULE", "tinylib.pumps")]),
        ("a list of `list`, its len(x)", [("TYPE", "list"), ("BUILTIN", "len")]),
        ("from tinylib.pumps.rotary import", [("MODULE", "tinylib.pumps.rotary")]),
        ("e.g. E of unknown.thing", []),
    ],
)
def test_names_are_found_where_they_are_names(docstring: str, found: list[tuple[str, str]]):
    assert named(docstring) == found


@pytest.mark.parametrize(
    ("docstring", "text", "code"),
    [
        ("a ``b`` c", "a b c", ["b"]),
        (":exc:`ValueError` of :py:func:`~a.b.len`", "ValueError of len", ["ValueError", "len"]),
        ("see `the docs <a.b.Gate>`_ there", "see a.b.Gate there", ["a.b.Gate"]),
        ("cut at :class:`torch.nn", "cut at ", []),
        ("no markup", "no markup", []),
    ],
)
def test_markup_is_taken_away_and_remembered(docstring: str, text: str, code: list[str]):
    found, places = unmarked(docstring)
    assert found == text
    assert [found[start:end] for start, end in places] == code


@pytest.fixture
def library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ApiDocs:
    folder = tmp_path / "gatelib"
    folder.mkdir()
    (folder / "__init__.py").write_text('"""All the gates of this small library, see `gatelib.locks`."""\n')
    (folder / "locks.py").write_text(
        'class LockJam(OSError):\n    """Raised by a `Lock` when its gate is stuck in the mud."""\n'
        'class Lock:\n    """Raises LockJam where the gate is stuck, as one would think."""\n'
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    return ApiDocs(name="docs", topics={"gatelib": "gates"})


def test_rows_are_words_tags_files_and_places(library: ApiDocs):
    table = ApiNames(name="names", docs=library).read(COLUMNS)
    rows = table.to_pylist()
    assert [row["origin"] for row in rows] == ["gatelib/__init__.py:1", "gatelib/locks.py:2", "gatelib/locks.py:4"]
    assert rows[2]["tokens"].split("\n")[:2] == ["Raises", "LockJam"]
    assert rows[2]["tags"].split("\n")[:2] == ["O", "B-EXCEPTION"]
    assert "B-TYPE" in rows[1]["tags"]
    assert rows[0]["tags"].split("\n")[-4:] == ["B-MODULE", "I-MODULE", "I-MODULE", "O"]


def test_another_task_is_told_where_to_look(library: ApiDocs):
    with pytest.raises(UserError, match="has tokens and tags, this task reads text"):
        ApiNames(name="names", docs=library).read({"text": "text"})
