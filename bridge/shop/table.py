"""A file as a table: CSV and TSV in any encoding, .xlsx, a file or standard input. Rows come one at a time, with their lines."""

from __future__ import annotations

import csv
import io
import re
import sys
import zipfile
from collections import Counter
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import date, datetime, time
from pathlib import Path
from typing import IO, Any, Final, NamedTuple

from bridge.shop.map_parts import ISO, Layout, MapError

STANDARD_INPUT: Final = Path("-")
LINES_MAX: Final = 5_000_000
_WORKBOOK: Final = b"PK\x03\x04"
_OLD_WORKBOOK: Final = b"\xd0\xcf\x11\xe0"
_DIGITS: Final = re.compile(r"\d{4}")
"""What orders have, in dates, numbers and postcodes, and names of columns have not."""
_EXACT_DIGITS_MAX: Final = 15
"""A spreadsheet keeps so many digits of a number. Of a longer one it has changed the rest to zeros."""


Lines = Generator[tuple[int, list[str]], None, None]


class Stopped(Exception):
    """The file can't be read to its end. `line` is where it stopped."""

    def __init__(self, line: int, reason: str) -> None:
        super().__init__(reason)
        self.line = line


class Table(NamedTuple):
    """The names of the columns, and the rows with their lines.

    Raises:
        Stopped: while reading rows.
    """

    header: list[str]
    rows: Lines


@contextmanager
def open_table(path: Path, layout: Layout) -> Iterator[Table]:
    """Open a file as a table.

    Raises:
        MapError: if the file can't be read, or a mapped column is missing.
    """
    try:
        with _opened(path) as file:
            start = file.peek(4)[:4]  # type: ignore[attr-defined]
            if start == _OLD_WORKBOOK:
                raise MapError(f"{path} is a workbook of an old format", fix="save it as .xlsx or as CSV")
            rows = _sheet(path, file, layout) if start == _WORKBOOK else _csv(file, layout)
            with closing(rows):
                header = [name.strip() for name in next(rows, (0, []))[1]]
                _check_header(path, header, layout)
                yield Table(header, rows)
    except FileNotFoundError:
        raise MapError(f"{path} does not exist", fix="give the path of the file") from None
    except UnicodeError as error:
        raise MapError(f"{path} is not in {layout.encoding}", fix="set channel.encoding, for example latin-1") from error
    except OSError as error:
        raise MapError(f"{path} can't be read: {error}", fix="give a CSV or .xlsx file whose first line names its columns") from error
    except Stopped as stopped:
        raise MapError(f"{path} can't be read: {stopped}", fix="give a CSV or .xlsx file whose first line names its columns") from stopped


@contextmanager
def _opened(path: Path) -> Iterator[IO[bytes]]:
    if path == STANDARD_INPUT:
        yield sys.stdin.buffer
    else:
        with path.open("rb") as file:
            yield file


def _check_header(path: Path, header: Sequence[str], layout: Layout) -> None:
    counts = Counter(header)
    for column in layout.file_columns:
        if column not in counts:
            raise MapError(f"{path} has no column {column!r}", fix=f"{named(header)}; correct the mapping")
        if counts[column] > 1:
            raise MapError(f"{path} has {counts[column]} columns {column!r}, and it is not clear which one is meant", fix="rename the others in the file")


def named(header: Sequence[str]) -> str:
    """The columns of a file, for messages: not if its first line may be a customer's."""
    if any("@" in name or _DIGITS.search(name) for name in header):
        return "its first line does not look like the names of columns: if they are in a later line, set channel.skip_lines"
    return f"its columns are {', '.join(header)}"


# --- CSV --------------------------------------------------------------------------------------------------------------------


def _csv(file: IO[bytes], layout: Layout) -> Lines:
    text = io.TextIOWrapper(file, encoding=layout.encoding, newline="")
    try:
        for _ in range(layout.skip_lines):
            text.readline()
        quoting = {"quotechar": layout.quote} if layout.quote else {"quotechar": None, "quoting": csv.QUOTE_NONE}
        reader = csv.reader(text, delimiter=layout.delimiter, strict=True, **quoting)
        yield from _records(reader, layout)
    finally:
        text.detach()


def _records(reader: Any, layout: Layout) -> Lines:
    width, before = 0, 0
    while True:
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            hint = ' (if quotes are ordinary characters in this file, set channel.quote = "")' if layout.quote else ""
            raise Stopped(reader.line_num + layout.skip_lines, f"not CSV: {error}{hint}") from error
        line = reader.line_num + layout.skip_lines
        if line > LINES_MAX:
            raise Stopped(line, f"more than {LINES_MAX} lines: split the file between two orders")
        if reader.line_num - before > 1 and width > 1 and any(_has_swallowed(cell, layout.delimiter, width) for cell in row):
            first = before + 1 + layout.skip_lines
            raise Stopped(line, f'the record of lines {first} to {line} has whole rows between two quotes: set channel.quote = "", or correct the quotes')
        before = reader.line_num
        if row:
            width = width or len(row)
            yield line, row


def _has_swallowed(cell: str, delimiter: str, width: int) -> bool:
    """Whether a cell holds the ends of rows and the beginnings of the next ones: as many delimiters as that many rows have."""
    ends = cell.count("\n")
    return ends > 0 and cell.count(delimiter) == ends * (width - 1)


# --- workbooks --------------------------------------------------------------------------------------------------------------


def _sheet(path: Path, file: IO[bytes], layout: Layout) -> Lines:
    try:
        from openpyxl import load_workbook
        from openpyxl.utils.exceptions import InvalidFileException
    except ImportError:
        raise MapError(f"{path} is a workbook, and openpyxl is not installed", fix="pip install 'dockbridge[xlsx]', or save the file as CSV") from None
    try:
        book = load_workbook(file if file.seekable() else io.BytesIO(file.read()), read_only=True, data_only=True, keep_links=False)
    except (InvalidFileException, zipfile.BadZipFile, KeyError, ValueError) as error:
        raise MapError(f"{path} is not an .xlsx workbook: {error}", fix="save it as .xlsx or as CSV") from error
    with closing(book):
        names = book.sheetnames
        if layout.sheet is not None and layout.sheet not in names:
            raise MapError(f"{path} has no sheet {layout.sheet!r}", fix=f"its sheets are {', '.join(names)}; correct channel.sheet")
        if layout.sheet is None and len(names) > 1:
            raise MapError(f"{path} has {len(names)} sheets", fix=f"set channel.sheet to one of {', '.join(names)}")
        width = 0
        for line, values in enumerate(book[layout.sheet or names[0]].iter_rows(min_row=layout.skip_lines + 1, values_only=True), layout.skip_lines + 1):
            if line > LINES_MAX:
                raise Stopped(line, f"more than {LINES_MAX} lines: split the file between two orders")
            row = [_text(value, layout) for value in values]
            if not width:
                while row and not row[-1]:
                    row.pop()
                width = len(row)
            elif not any(row[width:]):
                row = row[:width] + [""] * (width - len(row))
            yield line, row


def _text(value: Any, layout: Layout) -> str:
    """A cell of a workbook as the map's CSV would have it."""
    if value is None:
        return ""
    if isinstance(value, datetime):
        return value.isoformat(" ") if layout.time_format == ISO else value.replace(tzinfo=layout.timezone).strftime(layout.time_format)
    if isinstance(value, date):
        return _text(datetime.combine(value, time()), layout)
    if isinstance(value, float) and not isinstance(value, bool):
        if abs(value) >= 10**_EXACT_DIGITS_MAX:
            return f"{value:.5E}"  # refused where it is an id: its last digits are not those that were typed
        return str(int(value)) if value.is_integer() else format(value, ".10f").rstrip("0").replace(".", layout.decimal)
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) >= 10**_EXACT_DIGITS_MAX:
        return f"{value:.5E}"
    return str(value)
