"""CSV and TSV, read strictly: a stray quote or a missing field is an error, never a lost row."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Sequence

from sluice.data.sources.cells import Cells, Columns, check_columns
from sluice.errors import UserError

Record = tuple[int, list[str]]
"""The line on which a record starts (1-based) and its fields."""
LONGEST_FIELD = 1 << 30
"""Characters; the csv module's own limit of 131,072 is short for documents."""


def read_delimited(path: str, text: str, wanted: Columns, *, delimiter: str, quoted: bool, header: bool) -> Cells:
    """The wanted columns of every record. Newlines inside quoted fields are kept."""
    everything = list(read_records(path, io.StringIO(text, newline=""), delimiter, quoted))
    records = [record for record in everything if record[1]]
    blank = len(everything) - len(records)
    names = _names(path, records, header)
    hint = _delimiter_hint(names, delimiter)
    check_columns(path, wanted, names, hint)
    del records[: int(header)]
    for line, fields in records:
        if len(fields) != len(names):
            raise _wrong_width(path, line, fields, len(names), quoted, hint)
    places = {column: names.index(name) for column, name in wanted.items()}
    if quoted:
        _refuse_swallowed(path, records, list(places.values())[1:], len(names), delimiter)
    return Cells(
        values={column: [fields[place] for _, fields in records] for column, place in places.items()},
        lines=[line for line, _ in records],
        blank_lines=blank,
    )


def read_records(
    path: str, lines: Iterable[str], delimiter: str, quoted: bool, longest: int = LONGEST_FIELD
) -> Iterator[Record]:
    """(first line, fields) of each record; UserError for a stray quote or a field of over `longest` characters."""
    reader = csv.reader(
        lines,
        delimiter=delimiter,
        quoting=csv.QUOTE_MINIMAL if quoted else csv.QUOTE_NONE,
        strict=True,
    )
    before = csv.field_size_limit(longest)
    start = 1
    try:
        for fields in reader:
            yield start, fields
            start = reader.line_num + 1
    except csv.Error as error:
        raise UserError(
            f"{path}:{start}: a quote opens in this record and does not close as it should "
            f"(line {max(start, reader.line_num)}: {error}). "
            "If quotes are plain characters here: data.quoting=none"
        ) from error
    finally:
        csv.field_size_limit(before)


def _names(path: str, records: Sequence[Record], header: bool) -> list[str]:
    if len(records) <= int(header):
        raise UserError(f"{path}: no rows{' below the header' if records else ', the file is empty'}")
    first = records[0][1]
    if not header:
        return [str(number) for number in range(1, len(first) + 1)]
    names = [name.strip() for name in first]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise UserError(
            f"{path}:{records[0][0]}: two columns are called '{twice[0]}'. Rename one; "
            "if the first line is a row already: data.header=false"
        )
    return names


def _delimiter_hint(names: Sequence[str], delimiter: str) -> str:
    others = [other for other in ",;\t|" if other != delimiter and other in names[0]]
    if len(names) > 1 or not others:
        return ""
    return f". Is the file divided by {others[0]!r}? Then data.delimiter='\"{others[0]}\"'".replace("\t", "\\t")


def _wrong_width(path: str, line: int, fields: Sequence[str], width: int, quoted: bool, hint: str) -> UserError:
    if hint:
        cure = hint.removeprefix(". ")
    elif len(fields) > width:
        cure = "Quote the field that holds the delimiter" + ("" if quoted else ", and data.quoting=standard")
    else:
        cure = "Complete the line; a field of several lines needs quotes and data.quoting=standard"
    return UserError(f"{path}:{line}: {len(fields)} fields, expected {width}. {cure}")


def _refuse_swallowed(path: str, records: Sequence[Record], keys: Sequence[int], width: int, delimiter: str) -> None:
    """Refuse a quoted field that holds whole rows: lines of full width with a label of other rows."""
    known = {place: {fields[place] for _, fields in records} - {""} for place in keys}
    for line, fields in records:
        for value in fields:
            for inner in value.splitlines() if "\n" in value else ():
                parts = inner.split(delimiter)
                if len(parts) == width and any(parts[place] in known[place] for place in keys):
                    raise UserError(
                        f"{path}:{line}: a quote opens in this record and swallows rows after it, such as "
                        f"{inner[:60]!r}. If quotes are plain characters here: data.quoting=none"
                    )
