"""Cells read from a file, and the mistakes that files of every format share."""

from __future__ import annotations

import contextlib
import difflib
import gzip
import zlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from sluice.errors import UserError

Columns = Mapping[str, str]
"""Task column to file column."""


@dataclass
class Cells:
    """What was read: by task column one value a row, and the physical line (1-based) of each row."""

    values: dict[str, list[object]]
    lines: list[int] = field(default_factory=list)
    blank_lines: int = 0


def unpack(path: str, data: bytes) -> bytes:
    """A file's bytes, unpacked where its name ends in .gz."""
    if path.endswith(".gz"):
        try:
            data = gzip.decompress(data)
        except (OSError, EOFError, zlib.error) as error:
            raise UserError(f"{path}: not a whole gzip file ({error}). Fetch it again, or rename it") from error
    return data


def decode(path: str, data: bytes, encoding: str) -> str:
    """The text of a file, without a byte order mark. Raises UserError with the line of the first bad byte."""
    try:
        return data.decode(encoding).removeprefix("\ufeff")
    except LookupError as error:
        raise UserError(
            f"data.encoding={encoding}: no such encoding. Common: utf-8, latin-1, cp1252, gb18030"
        ) from error
    except UnicodeError as error:
        start = error.start if isinstance(error, UnicodeDecodeError) else 0
        line = data.count(b"\n", 0, start) + 1
        raise UserError(
            f"{path}:{line}: byte 0x{data[start]:02x} is not {encoding}. "
            f"Name the file's encoding: data.encoding={_guess(data)} (others: latin-1, cp1252, gb18030, utf-16)"
        ) from error


def _guess(data: bytes) -> str:
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return "utf-16"
    with contextlib.suppress(UnicodeDecodeError):
        data.decode()
        return "utf-8"
    return "cp1252" if any(byte in data for byte in range(0x80, 0xA0)) else "latin-1"


def check_columns(place: Path | str, wanted: Columns, found: Collection[str], hint: str = "") -> None:
    """Raise UserError where a wanted column is missing: what is there instead, and which option names it."""
    for column, name in wanted.items():
        if name not in found:
            near = difflib.get_close_matches(name, found, n=1, cutoff=0.5)
            raise UserError(
                f"{place}: no column '{name}'; found: {', '.join(found) or 'none'}. "
                f"Name the {column} column: data.columns.{column}={near[0] if near else '...'}{hint}"
            )
