"""What commands print: data to stdout, sentences and progress to stderr. Tables and colours are rich's, and plain if the output is not a terminal."""

from __future__ import annotations

import csv
import json
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Final, Self

import typer
from msgspec import Struct
from msgspec.structs import asdict
from rich.console import Console
from rich.padding import Padding
from rich.table import Column, Table

from bridge.entrypoints.cli.times import Dated, dated, moment, span

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

JsonOption = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
CsvOption = Annotated[bool, typer.Option("--csv", help="Print the result as CSV.")]
Why = Annotated[str, typer.Option("--reason", help="Why, for the audit log.")]
LimitOption = Annotated[int, typer.Option("--limit", "-n", min=1, max=100_000, help="Print at most this many rows.")]

FAILED: Final = 1
STOPPED: Final = 130
"""The exit code after Ctrl-C (128 + SIGINT)."""

DURATIONS: Final = frozenset({"mono_ms", "sent_mono_ms", "error_ms", "delay_ms"})
"""Fields in ms that are durations; all other fields in ms are times."""

_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")

RANGES_MAX: Final = 10
"""Ranges of numbers that a cell names."""
PIPE_WIDTH: Final = 400
"""Columns of a table that is not printed to a terminal: it is read by a program and must not be cut."""

WIDE: Final = 120
"""Columns that a terminal needs for a table with many columns."""
LINE_EVERY_S: Final = 5.0
"""How often a long command that does not run in a terminal says how far it is."""

# No emoji: `:AB:` is part of a fingerprint, or of an id.
_sentences = Console(stderr=True, highlight=False, soft_wrap=True, emoji=False)


def _stdout() -> Console:
    console = Console(highlight=False, emoji=False)
    return console if console.is_terminal else Console(highlight=False, emoji=False, width=PIPE_WIDTH)


def say(text: str) -> None:
    """Print a sentence to stderr."""
    _sentences.print(text, markup=False)


def print_json(data: Any) -> None:
    """Print data as one JSON document; bytes as lowercase hex."""
    print(json.dumps(_with_text_keys(data), default=_jsonable, ensure_ascii=False, indent=2))


def print_json_line(data: Any) -> None:
    """Print data as one line of JSON, without delay."""
    print(json_inline(data), flush=True)


def json_inline(value: Any) -> str:
    """A value as JSON on one line; bytes as lowercase hex."""
    return json.dumps(_with_text_keys(value), default=_jsonable, ensure_ascii=False)


def print_text(text: str) -> None:
    """Print a line to stdout as it is: never broken."""
    print(printable(text))


def _with_text_keys(value: Any) -> Any:
    """The same with keys that JSON has: what a client sent as CBOR may have others."""
    if isinstance(value, dict):
        return {k if isinstance(k, str) else k.hex() if isinstance(k, bytes) else str(k): _with_text_keys(v) for k, v in value.items()}
    return [_with_text_keys(v) for v in value] if isinstance(value, list) else value


def _jsonable(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.hex()
    return asdict(value) if isinstance(value, Struct) else str(value)


def print_table(columns: Sequence[str], rows: Iterable[Sequence[Any]], *, title: str | None = None) -> None:
    """Print a table to stdout. If a terminal is too narrow, long values are broken, never cut; times are not even broken."""
    _stdout().print(table_of(columns, rows, title=title))


def table_of(columns: Sequence[str], rows: Iterable[Sequence[Any]], *, title: str | None = None) -> Table:
    """The table that `print_table` prints."""
    headings = (Column(_cell(c), no_wrap=True, overflow="crop") if isinstance(c, Dated) else Column(_cell(c), overflow="fold") for c in columns)
    table = Table(*headings, title=title, box=None, pad_edge=False, header_style="bold", title_justify="left")
    for row in rows:
        table.add_row(*("" if cell is None else _cell(cell) for cell in row))
    return table


def print_csv(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Print a table to stdout as CSV. A text that a spreadsheet would take for a formula gets an apostrophe in front."""
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(columns)
    for row in rows:
        writer.writerow(["" if cell is None else f"'{cell}" if isinstance(cell, str) and cell.startswith(_FORMULA) else cell for cell in row])


def print_lines(first: str, *rest: str) -> None:
    """Print a line to stdout, and others below it, indented. A terminal breaks them between words; nothing is cut."""
    console = _stdout()
    console.print(_cell(first), soft_wrap=not console.is_terminal)
    for line in rest:
        console.print(Padding(_cell(line), (0, 0, 0, 2), expand=False), soft_wrap=not console.is_terminal)


def is_narrow() -> bool:
    """Whether stdout is a terminal on which a table with many columns would be broken everywhere."""
    return _stdout().width < WIDE


def print_command(command: str) -> None:
    """Print a command to stdout as it is typed: never broken, so that it can be copied."""
    print(f"  {printable(command)}")


def print_details(row: Mapping[str, Any]) -> None:
    """Print one thing with a line for each field: times as dates, durations with their unit, lists on one line."""
    print_table(("", ""), [_detail(name, value) for name, value in row.items()])


def _detail(name: str, value: Any) -> tuple[str, Any]:
    if name in DURATIONS:
        return name.removesuffix("_ms"), span(value) if value is not None else None
    if name.endswith("_ms"):
        return dated(name.removesuffix("_ms")), moment(value)
    return name, ", ".join(map(str, value)) if isinstance(value, list) else value


def _cell(cell: Any) -> str:
    """A value as one line of a table. Text from outside must not control the terminal: control characters are printed as escapes."""
    return cell.hex() if isinstance(cell, bytes) else printable(str(cell)).replace("[", "\\[")


def printable(text: str) -> str:
    """A text with its control characters as escapes."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def print_rich(renderable: Any) -> None:
    """Print something that rich renders to stdout."""
    _stdout().print(renderable)


def ranges(numbers: Sequence[Sequence[int]]) -> str:
    """Ranges of numbers, first and last of each, as people read them: `3, 7-9 and 12 more`."""
    named = ", ".join(str(a) if a == b else f"{a}-{b}" for a, b in numbers[:RANGES_MAX])
    return named + (f" and {len(numbers) - RANGES_MAX} more" if len(numbers) > RANGES_MAX else "")


def yes_no(value: bool) -> str:
    return "yes" if value else "no"


def progress() -> Progress:
    """A progress bar on stderr; nothing if that is not a terminal."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn  # only slow commands pay for loading it

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, console=Console(stderr=True), disable=not sys.stderr.isatty(), transient=True)


class Steps:
    """How far a long command is: a bar on a terminal, a line every `LINE_EVERY_S` otherwise. Use it as a context manager."""

    def __init__(self) -> None:
        self._bar = progress()
        self._task: TaskID | None = None
        self._said_s = time.monotonic()

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def show(self, what: str, done: int, total: int | None = None) -> None:
        """Show a step, and how much of it is done."""
        if not self._bar.disable:
            if self._task is None:
                self._task = self._bar.add_task(what)
            self._bar.update(self._task, description=what, completed=done, total=total)
        elif time.monotonic() - self._said_s >= LINE_EVERY_S:
            self._said_s = time.monotonic()
            say(f"{what}: {done}" + (f" of {total}" if total is not None else ""))
