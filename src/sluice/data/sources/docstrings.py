"""Docstrings of installed packages, parsed and never imported. Standard library only: it is its own worker.

Run as a script, it reads a job (JSON) on stdin and answers on stdout. Workers are started that way because
`multiprocessing` would import the parent's `__main__`, and with it whatever a pipeline imports.
"""

from __future__ import annotations

import ast
import gc
import importlib.util
import json
import os
import re
import subprocess
import sys
import warnings
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

SKIPPED_FOLDERS = frozenset(
    {
        *("tests", "test", "testing", "_testing", "test_utils", "benchmarks", "examples", "__pycache__"),
        *("vendor", "vendored", "_vendor", "_vendored", "third_party", "extern", "externals"),
    }
)
"""Tests, and copies of other packages."""
SKIPPED_FILES = re.compile(r"(__config__|_?version\w*|_version_meson|conftest|testing_utils|test_\w+|\w+_test)\.py")
"""Tests, and files that the build writes."""
Definition = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
PARAGRAPH_END = re.compile(r"\n[ \t]*\n\s*")


@dataclass(frozen=True)
class Doc:
    """One docstring: its file (relative to site-packages, posix), its line (1-based) and its text."""

    file: str
    line: int
    text: str
    lead: int
    """Characters of the text that are its first paragraph."""
    name: str = ""
    """What it is about, as its file calls it: `Class.method`; empty for the file itself."""


@dataclass(frozen=True)
class Parsed:
    """Docstrings in order of file and line, how many were too short, files that this Python cannot parse."""

    docs: list[Doc]
    classes: dict[str, list[str]]
    """Names of the classes that the files define, and what they are derived from: last parts of dotted names."""
    short: int
    unreadable: list[str]


def find_files(package: str) -> dict[str, str]:
    """A package's Python files, relative name to path. Raises ModuleNotFoundError if it is not installed."""
    spec = importlib.util.find_spec(package)
    if spec is None or spec.submodule_search_locations is None:
        raise ModuleNotFoundError(package)
    found: dict[str, str] = {}
    for location in spec.submodule_search_locations:
        root = Path(location).parent
        for folder, folders, names in os.walk(location):
            folders[:] = [name for name in folders if name not in SKIPPED_FOLDERS]
            for name in names:
                if name.endswith(".py") and not SKIPPED_FILES.fullmatch(name):
                    path = Path(folder, name)
                    found[path.relative_to(root).as_posix()] = str(path)
    return dict(sorted(found.items()))


def parse_files(
    files: dict[str, str],
    paragraphs: int | None = None,
    max_characters: int = 400,
    min_words: int = 6,
    workers: int | None = None,
) -> Parsed:
    """Parse files (relative name to path) in one process a core; the answer does not depend on how many."""
    count = max(1, min(workers or os.cpu_count() or 1, len(files)))
    by_size = sorted(files.items(), key=lambda item: (-Path(item[1]).stat().st_size, item[0]))
    limits = {"paragraphs": paragraphs, "max_characters": max_characters, "min_words": min_words}
    jobs = [json.dumps({"files": dict(by_size[start::count]), **limits}) for start in range(count)]
    with ThreadPoolExecutor(count) as pool:
        answers = [json.loads(answer) for answer in pool.map(_run_worker, jobs)]
    docs = [Doc(*row) for answer in answers for row in answer["docs"]]
    return Parsed(
        docs=sorted(docs, key=lambda doc: (doc.file, doc.line)),
        classes=_joined(answer["classes"] for answer in answers),
        short=sum(answer["short"] for answer in answers),
        unreadable=sorted(name for answer in answers for name in answer["unreadable"]),
    )


def clean(docstring: str, paragraphs: int | None, max_characters: int) -> str:
    """The first paragraphs on one line, cut at the last whole word within `max_characters`."""
    wanted = PARAGRAPH_END.split(docstring.strip())[:paragraphs]
    # A lone surrogate is legal in a literal and in nothing that reads the rows.
    text = " ".join(" ".join(wanted).split()).encode("utf-8", "replace").decode()
    if len(text) <= max_characters:
        return text
    return text[: max_characters + 1].rpartition(" ")[0] or text[:max_characters]


def raw_docstrings(tree: ast.Module) -> Iterator[tuple[int, str, str]]:
    """Line, name and literal value of each module, class and function docstring."""
    for name, node in _definitions(tree):
        docstring = ast.get_docstring(node, clean=False)
        if docstring:
            yield node.body[0].lineno, name, docstring


def class_bases(tree: ast.Module) -> dict[str, list[str]]:
    """Each class with the last parts of the names that it is derived from."""
    classes = (node for _, node in _definitions(tree) if isinstance(node, ast.ClassDef))
    bases = {node.name: map(ast.unparse, node.bases) for node in classes}
    return {name: [base.rpartition(".")[2] for base in own] for name, own in bases.items()}


def _joined(parts: Iterable[dict[str, list[str]]]) -> dict[str, list[str]]:
    """Bases by class, of classes of one name those of all."""
    found: dict[str, set[str]] = {}
    for part in parts:
        for name, bases in part.items():
            found.setdefault(name, set()).update(bases)
    return {name: sorted(found[name]) for name in sorted(found)}


def _definitions(tree: ast.Module) -> Iterator[tuple[str, Definition]]:
    """The module, its classes and functions, nested ones too, each with its dotted name within the file."""
    waiting: list[tuple[str, ast.AST]] = [("", tree)]
    while waiting:
        name, node = waiting.pop()
        if isinstance(node, Definition):
            name = ".".join(part for part in (name, getattr(node, "name", "")) if part)
            yield name, node
        # Only statements can hold definitions: leaving expressions out makes the walk several times faster.
        for field in ("body", "orelse", "finalbody", "handlers", "cases"):
            waiting += [(name, one) for one in getattr(node, field, ())]


def _run_worker(job: str) -> bytes:
    command = [sys.executable, "-I", "-W", "ignore", __file__]
    return subprocess.run(command, input=job.encode(), stdout=subprocess.PIPE, check=True).stdout


def _work(files: dict[str, str], paragraphs: int | None, max_characters: int, min_words: int) -> dict[str, object]:
    docs: list[tuple[str, int, str, int, str]] = []
    unreadable: list[str] = []
    classes: list[dict[str, list[str]]] = []
    short = 0
    for name, path in files.items():
        try:
            tree = ast.parse(Path(path).read_bytes())
            found = list(raw_docstrings(tree))
        except (SyntaxError, ValueError, RecursionError):
            unreadable.append(name)
            continue
        classes.append(class_bases(tree))
        for line, about, docstring in found:
            text = clean(docstring, paragraphs, max_characters)
            if len(text.split()) < min_words:
                short += 1
            else:
                docs.append((name, line, text, min(len(text), len(clean(docstring, 1, max_characters))), about))
    return {"docs": docs, "classes": _joined(classes), "short": short, "unreadable": unreadable}


if __name__ == "__main__":
    gc.disable()  # syntax trees have no cycles; collecting costs a quarter of the time
    warnings.simplefilter("ignore")
    json.dump(_work(**json.load(sys.stdin)), sys.stdout)
