"""JSONL and Parquet, and the turn from their values to strings."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sluice.data.sources.cells import Cells, Columns, check_columns
from sluice.data.sources.labels import divided
from sluice.errors import UserError
from sluice.tasks.task import BREAK, Kind


def read_jsonl(path: str, text: str, wanted: Columns) -> Cells:
    """The wanted fields of one JSON object a line."""
    cells = Cells({column: [] for column in wanted})
    for number, line in enumerate(io.StringIO(text, newline="\n"), 1):
        if not line.strip():
            cells.blank_lines += 1
            continue
        row = json_object(f"{path}:{number}", line, "for another format: data.format=csv")
        if any(name not in row for name in wanted.values()):
            check_columns(f"{path}:{number}", wanted, list(row))
        for column, name in wanted.items():
            cells.values[column].append(row[name])
        cells.lines.append(number)
    if not cells.lines:
        raise UserError(f"{path}: no rows, the file is empty")
    return cells


def json_object(place: str, line: str, cure: str) -> dict[str, Any]:
    """The object that a line holds; UserError with `place` and, where it is not JSON at all, `cure`."""
    try:
        row = json.loads(line.rstrip("\r\n"))
    except json.JSONDecodeError as error:
        raise UserError(
            f"{place}: not JSON at column {error.colno} ({error.msg}), found {line[:60].strip()!r}. "
            f"Expected one object a line; {cure}"
        ) from error
    if not isinstance(row, dict):
        raise UserError(
            f'{place}: a JSON {type(row).__name__}, expected an object such as {{"text": "..."}}, one a line'
        )
    return row


def read_parquet(path: str, source: Any, wanted: Columns) -> Cells:
    """The wanted columns of a path or open file called `path`; a row's line is its number, from 1."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        file = pq.ParquetFile(source)
        check_columns(path, wanted, file.schema_arrow.names)
        table = file.read(columns=sorted(set(wanted.values())))
    except pa.ArrowException as error:
        raise UserError(
            f"{path}: not a Parquet file ({str(error).splitlines()[0]}). Another format? data.format=csv"
        ) from error
    if not len(table):
        raise UserError(f"{path}: no rows, the table is empty")
    values = {column: table.column(name).to_pylist() for column, name in wanted.items()}
    return Cells(values, lines=list(range(1, len(table) + 1)))


def to_strings(path: Path | str, column: str, cells: Cells, *, numbers: bool, kind: Kind = "text") -> list[str]:
    """A column as strings: null is '', numbers and booleans are written out where `numbers` allows them.

    Where `kind` allows lists, their items become a line each; where it asks for labels, cells of text are divided.
    """
    values, lists = cells.values[column], kind in ("list", "labels")
    if kind == "labels":
        values = divided(values)
    if kind == "talk":
        values = [_conversation(value) for value in values]
    strings = [
        _one_line(value, lists) if isinstance(value, str) else _string(value, numbers, lists) for value in values
    ]
    if None in strings:
        at = strings.index(None)
        raise UserError(
            f"{path}:{cells.lines[at]}: {column} is {type(values[at]).__name__} {str(values[at])[:40]!r}, "
            f"expected a string{' or a number' if numbers else ''}{' or a list of them' if lists else ''}. "
            f"Is it the right column? data.columns.{column}=..."
        )
    whole = [string for string in strings if string is not None]
    _refuse_surrogates(path, column, whole, cells.lines)
    return whole


def _conversation(value: object) -> object:
    """A list of messages as JSON; anything else as it is."""
    messages = isinstance(value, list | tuple) and all(isinstance(one, dict) for one in value)
    return json.dumps(list(value), ensure_ascii=False) if messages and value else value  # type: ignore[call-overload]


def _one_line(text: str, lists: bool) -> str:
    """Where a line is an item of a list, a text's own line breaks are written otherwise."""
    return BREAK.join(re.split(r"\r\n|\r|\n", text.strip())) if lists else text


def _string(value: object, numbers: bool, lists: bool = False) -> str | None:
    if lists and isinstance(value, list | tuple):
        items = [one if isinstance(one, str) else _string(one, numbers) for one in value]
        return None if None in items else "\n".join(_one_line(str(item), True) for item in items)
    if value is None or value != value:  # NaN is how pandas writes a missing number
        return ""
    return str(value) if numbers and isinstance(value, bool | int | float) else None


def _refuse_surrogates(path: Path | str, column: str, strings: Sequence[str], lines: Sequence[int]) -> None:
    for string, line in zip(strings, lines, strict=True):
        try:
            string.encode()
        except UnicodeEncodeError as error:
            found = string[error.start]
            raise UserError(
                f"{path}:{line}: {column} holds half of a surrogate pair ({found!r}), which is not text. "
                "Write the file again with whole characters"
            ) from error
