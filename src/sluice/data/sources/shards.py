"""Files of unlabelled text, found by pattern and read one document after the other, never a whole file at once."""

from __future__ import annotations

import glob
import gzip
import json
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from sluice.data.sources.structured import json_object
from sluice.errors import UserError
from sluice.files import file_digest, write_json
from sluice.part import digest

DIGESTS = "digests.json"
"""File in the workspace that remembers digests by path, size and time of change: large files are hashed once."""


def find(patterns: Sequence[str]) -> list[Path]:
    """The files that the patterns match, each once. Raises UserError for a pattern without files."""
    found: dict[Path, None] = {}
    for pattern in patterns:
        names = glob.glob(str(Path(pattern).expanduser()), recursive=True)  # noqa: PTH207 (Path.glob takes none from /)
        files = sorted(path for path in map(Path, names) if path.is_file())
        if not files:
            raise UserError(
                f"pretrain.corpus={pattern} matches no file, looked for from {Path.cwd()}. "
                "Name yours: pretrain.corpus='docs/*.jsonl'"
            )
        for path in files:
            _reader(path)
            found[path] = None
    return list(found)


def digests(paths: Sequence[Path], workspace: Path) -> dict[Path, str]:
    """SHA-256 of each file; those whose size and time of change are known are not read again."""
    cache = workspace / DIGESTS
    try:
        known = json.loads(cache.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        known = {}
    fresh = {}
    for path in paths:
        stat, before = path.stat(), known.get(str(path.absolute()))
        mark = {"size": stat.st_size, "changed": stat.st_mtime_ns}
        remembered = before["sha256"] if before and before == {**before, **mark} else None
        fresh[str(path.absolute())] = {**mark, "sha256": remembered or file_digest(path)}
    if any(known.get(name) != entry for name, entry in fresh.items()):
        write_json(cache, known | fresh)
    return {path: str(fresh[str(path.absolute())]["sha256"]) for path in paths}


def contents(found: dict[Path, str]) -> str:
    """SHA-256 of the files as a set: neither their order nor their folder counts, their format does."""
    return digest(sorted([_suffix(path), content] for path, content in found.items()))


def documents(path: Path, column: str) -> Iterator[str]:
    """The texts of a file in order; a missing text is ''."""
    return _reader(path)(path, column)


def _suffix(path: Path) -> str:
    return Path(path.name.removesuffix(".gz")).suffix.lower()


def _reader(path: Path) -> Callable[[Path, str], Iterator[str]]:
    reader = READERS.get(_suffix(path))
    if reader is None or (reader is _parquet and path.suffix == ".gz"):
        raise UserError(f"{path}: expected {', '.join(READERS)} (.gz too, but not of Parquet) in pretrain.corpus")
    return reader


def _jsonl(path: Path, column: str) -> Iterator[str]:
    with _lines(path) as lines:
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            row = json_object(f"{path}:{number}", line, "a line of plain text each goes into a .txt file")
            if column not in row:
                raise _no_column(f"{path}:{number}", column, ", ".join(row))
            yield _text(row[column], f"{path}:{number}", column)


def _text_lines(path: Path, column: str) -> Iterator[str]:
    with _lines(path) as lines:
        for line in lines:
            if text := line.strip():
                yield text


def _parquet(path: Path, column: str) -> Iterator[str]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            if column not in file.schema_arrow.names:
                raise _no_column(str(path), column, ", ".join(file.schema_arrow.names))
            number = 0
            for batch in file.iter_batches(batch_size=1024, columns=[column]):
                for value in batch.column(0).to_pylist():
                    number += 1
                    yield _text(value, f"{path}:{number}", column)
    except pa.ArrowException as error:
        raise UserError(f"{path}: not a whole Parquet file ({str(error).splitlines()[0]})") from error


READERS: dict[str, Callable[[Path, str], Iterator[str]]] = {
    ".jsonl": _jsonl,
    ".ndjson": _jsonl,
    ".parquet": _parquet,
    ".txt": _text_lines,
}


@contextmanager
def _lines(path: Path) -> Iterator[Iterator[str]]:
    """The lines of a text file, unpacked on the way; what breaks while they are read names the file."""
    unpacked = gzip.open if path.suffix == ".gz" else open
    with unpacked(path, "rt", encoding="utf-8-sig") as file:
        try:
            yield iter(file)
        except UnicodeDecodeError as error:
            raise UserError(f"{path}: byte 0x{error.object[error.start]:02x} is not UTF-8. Convert the file") from error
        except (gzip.BadGzipFile, EOFError, zlib.error) as error:
            raise UserError(f"{path}: not a whole gzip file ({error}). Fetch it again, or rename it") from error


def _text(value: object, place: str, column: str) -> str:
    if value is None or isinstance(value, str):
        return value or ""
    raise UserError(
        f"{place}: {column} is {type(value).__name__} {str(value)[:40]!r}, expected a string. "
        "Name the column of the texts: pretrain.column=..."
    )


def _no_column(place: str, column: str, found: str) -> UserError:
    return UserError(f"{place}: no column '{column}'; found: {found or 'none'}. Name yours: pretrain.column=...")
