"""`TextReader`: a file of lines, opened, unpacked and decoded as it is read."""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any

from sluice.batch.blocks import BLOCK_BYTES
from sluice.batch.readers.reader import Reader
from sluice.errors import UserError


class TextReader(Reader):
    """A file of lines: opened, unpacked and decoded as it is read."""

    _newline = "\n"
    _line = 0

    @contextmanager
    def _open(self) -> Iterator[IO[str]]:
        encoding = self.settings.encoding
        try:
            with self.path.open("rb") as raw:
                unpacked: Any = gzip.GzipFile(fileobj=raw) if self.path.suffix == ".gz" else raw
                name = "utf-8-sig" if encoding.lower().replace("_", "-") in ("utf-8", "utf8") else encoding
                self._raw, self._size = raw, max(1, self.path.stat().st_size)
                yield io.TextIOWrapper(unpacked, name, newline=self._newline)
        except LookupError as error:
            raise UserError(f"predict.encoding={encoding}: no such encoding. Common: utf-8, latin-1, cp1252") from error
        except UnicodeError as error:
            raise UserError(
                f"{self.path}: {error}, after line {self._line}. "
                "Name the file's encoding: predict.encoding=cp1252 (others: latin-1, gb18030, utf-16)"
            ) from error
        except (gzip.BadGzipFile, EOFError, zlib.error) as error:
            raise UserError(
                f"{self.path}: not a whole gzip file ({error}), after line {self._line}. Fetch it again, or rename it"
            ) from error

    def _chunks(self, rows: Iterator[tuple[int, int, Any]]) -> Iterator[tuple[int, list[int], list[Any]]]:
        """(line, size, row) as numbered blocks: (number, lines, rows)."""
        number, size = 0, 0
        lines: list[int] = []
        kept: list[Any] = []
        for line, weight, row in rows:
            lines.append(line)
            kept.append(row)
            size += weight
            if len(kept) >= self.settings.block_rows or size >= BLOCK_BYTES:
                self.share = self._raw.tell() / self._size
                yield number, lines, kept
                number, size, lines, kept = number + 1, 0, [], []
        self.share = 1.0
        if kept:
            yield number, lines, kept
