"""Docstrings divided into the summary line and the body."""

from pathlib import Path

import pytest

from sluice.data.rows import notes_of
from sluice.data.sources.apidocs import ApiDocs
from sluice.data.sources.apisummaries import ApiSummaries
from sluice.errors import UserError

COLUMNS = {"document": "text", "summary": "list"}
MODULE = '''"""Gates of a small library.

They open and close, and between them the water stands still, as long as nobody opens two of them at once.
"""

def whole():
    """Only a summary line, however long it is, is nothing that could be written from a body."""

def short():
    """Open the gate.

    Too short a body.
    """
'''


@pytest.fixture
def docs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ApiDocs:
    folder = tmp_path / "sumlib"
    folder.mkdir()
    (folder / "__init__.py").write_text(MODULE)
    monkeypatch.syspath_prepend(str(tmp_path))
    return ApiDocs(name="docs", topics={"sumlib": "gates"}, max_characters=200)


def test_the_summary_is_what_stands_before_the_first_empty_line(docs: ApiDocs):
    table = ApiSummaries(name="summaries", docs=docs).read(COLUMNS)
    (row,) = table.to_pylist()
    assert row["summary"] == "Gates of a small library."
    assert row["document"].startswith("They open and close")
    assert row["document"].endswith("at once.")
    assert (row["origin"], row["group"]) == ("sumlib/__init__.py:1", "sumlib/__init__.py")
    assert notes_of(table)["left_out"] == {"too_short": 0, "no_summary_and_body": 2}


def test_another_task_is_told_where_to_look(docs: ApiDocs):
    with pytest.raises(UserError, match="has document and summary, or query and passage, this task reads text"):
        ApiSummaries(name="summaries", docs=docs).read({"text": "text"})
