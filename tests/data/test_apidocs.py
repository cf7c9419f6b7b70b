"""`ApiDocs`: the same pins give the same rows, on every Python and with any number of processes."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from sluice.data.rows import notes_of
from sluice.data.sources import docstrings
from sluice.data.sources.apidocs import ApiDocs
from sluice.errors import UserError

COLUMNS = {"text": "text", "label": "text"}
MODULE = '''"""Gates of the tinylib package, which hold the water back.

A second paragraph, with much more to say about it.
"""
def short():
    "Too short."
if True:
    class Gate:
        r"""A gate that TinyLib opens\\w when the level is high enough."""
        async def open(self):
            """Open the gate as wide as the level of the water asks."""
'''


@pytest.fixture
def tinylib(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in (
        "__init__.py",
        "gates.py",
        "pumps/__init__.py",
        "tests/test_gates.py",
        "_vendor/other.py",
        "_version.py",
    ):
        path = tmp_path / "tinylib" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(MODULE if name != "__init__.py" else "raise RuntimeError('never import what is only read')")
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


def source(**fields: object) -> ApiDocs:
    return ApiDocs.model_validate({"name": "x", "topics": {"tinylib": "gates"}, "aliases": ["tinylib"], **fields})


def test_rows_of_a_tiny_package(tinylib: Path) -> None:
    table = source(topics={"tinylib": "gates", "tinylib.pumps": "pumps"}, paragraphs=1).read(COLUMNS)
    rows = table.to_pylist()
    assert [(row["group"], row["label"]) for row in rows] == [("tinylib/gates.py", "gates")] * 3 + [
        ("tinylib/pumps/__init__.py", "pumps")
    ] * 3
    assert [row["origin"] for row in rows[:3]] == [f"tinylib/gates.py:{line}" for line in (1, 9, 11)]
    assert rows[0]["text"] == "Gates of the PKG package, which hold the water back."
    assert rows[1]["text"] == "A gate that PKG opens\\w when the level is high enough."
    assert notes_of(table)["left_out"] == {"too_short": 2, "over_cap": 0}


def test_knobs(tinylib: Path) -> None:
    texts = source(mask=False, max_characters=40).read(COLUMNS).column("text").to_pylist()
    assert texts[0] == "Gates of the tinylib package, which hold"
    assert len(source(topics={"tinylib": "gates", "tinylib.pumps": ""}).read(COLUMNS)) == 3
    capped = source(max_rows_per_label=1).read(COLUMNS)
    assert len(capped) == 2  # one distinct text, which stands in two files
    assert notes_of(capped)["left_out"]["over_cap"] == 4


def test_the_fingerprint_follows_contents_without_a_version(tinylib: Path) -> None:
    before = source().fingerprint()
    assert source(min_words=7).fingerprint() != before
    (tinylib / "tinylib" / "gates.py").write_text('"""Other words about the gates of this tiny library."""')
    assert source().fingerprint() != before


def test_pins_name_distributions_without_build_tags() -> None:
    pins = source(topics={"sklearn": "a", "mpl_toolkits": "b", "torch": "c"}).pins()
    assert [pin.partition("==")[0] for pin in pins] == ["matplotlib", "scikit-learn", "torch"]
    assert not any("+" in pin for pin in pins)


def test_a_missing_package_is_the_users_to_mend() -> None:
    with pytest.raises(UserError, match="'not_here', which is not installed"):
        source(topics={"not_here": "x"}).read(COLUMNS)
    with pytest.raises(UserError, match="'not_here', which is not installed"):
        source(topics={"not_here": "x"}).fingerprint()
    with pytest.raises(UserError, match="this task reads source, target"):
        source().read({"source": "text", "target": "text"})


def test_files_that_cannot_be_parsed_are_listed(tinylib: Path) -> None:
    (tinylib / "tinylib" / "broken.py").write_text("def (:")
    assert notes_of(source().read(COLUMNS))["unreadable"] == ["tinylib/broken.py"]


def test_the_number_of_processes_changes_nothing() -> None:
    files = docstrings.find_files("uvicorn")
    assert docstrings.parse_files(files, workers=1) == docstrings.parse_files(files, workers=3)


def test_real_packages_give_rows_for_every_topic() -> None:
    rows = source(topics={"uvicorn": "servers", "starlette": "web"}, aliases=["uvicorn", "starlette"]).read(COLUMNS)
    assert set(rows.column("label").to_pylist()) == {"servers", "web"}
    assert "starlette" not in " ".join(rows.column("text").to_pylist()).lower().split()


def other_python(version: str) -> str | None:
    found = shutil.which(f"python{version}")
    kept = sorted((Path.home() / ".pyenv" / "versions").glob(f"{version}.*/bin/python"))
    return str(kept[-1]) if kept else found


@pytest.mark.parametrize("version", ["3.11", "3.12", "3.13"])
def test_every_python_reads_the_same(version: str) -> None:
    python = other_python(version)
    if python is None:
        pytest.skip(f"Python {version} is not on this machine")
    files = docstrings.find_files("networkx") | docstrings.find_files("starlette")
    files = dict(sorted(files.items())[::4])
    job = json.dumps({"files": files, "paragraphs": None, "max_characters": 400, "min_words": 6})
    answers = [
        subprocess.run([name, "-I", docstrings.__file__], input=job, capture_output=True, text=True, check=True).stdout
        for name in (sys.executable, python)
    ]
    assert json.loads(answers[0])["docs"]
    assert answers[0] == answers[1]
