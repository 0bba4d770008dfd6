"""How commands speak: data to stdout, words and progress to stderr, tables and colours by rich and plain where it is no terminal."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from sqlalchemy import Engine

from bridge.config import CONFIG_NAME, DATABASE_NAME, Settings, load
from bridge.errors import NoSite
from bridge.store.sqlite import open_engine

SiteOption = Annotated[Path, typer.Option("--site", "-s", envvar="DOCKBRIDGE_SITE", help="The site's folder.", show_default="this folder")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print data as JSON.")]
LimitOption = Annotated[int, typer.Option("--limit", "-n", min=1, max=100_000, help="Rows at most.")]

DURATIONS: Final = frozenset({"mono_ms", "sent_mono_ms", "error_ms", "delay_ms"})
"""Fields in ms that are no moments."""

# No emoji: `:AB:` is a piece of a fingerprint, or of somebody's id.
_words = Console(stderr=True, highlight=False, soft_wrap=True, emoji=False)


def _stdout() -> Console:
    console = Console(highlight=False, emoji=False)
    # A table that is read by a program must not be cut at the width of a terminal that is not there.
    return console if console.is_terminal else Console(highlight=False, emoji=False, width=400)


def say(text: str) -> None:
    """A sentence for the person at the terminal."""
    _words.print(text, markup=False)


def emit(data: Any) -> None:
    """Data as one JSON document; bytes as lowercase hex."""
    print(json.dumps(data, default=_jsonable, ensure_ascii=False, indent=2))


def emit_line(data: Any) -> None:
    """Data as one line of JSON, at once."""
    print(json.dumps(data, default=_jsonable, ensure_ascii=False), flush=True)


def _jsonable(value: Any) -> Any:
    return value.hex() if isinstance(value, bytes) else str(value)


def table(columns: Sequence[str], rows: Iterable[Sequence[Any]], *, title: str | None = None) -> None:
    """A table on stdout."""
    found = Table(*columns, title=title, box=None, pad_edge=False, header_style="bold", title_justify="left")
    for row in rows:
        found.add_row(*("" if cell is None else _cell(cell) for cell in row))
    _stdout().print(found)


def details(row: Mapping[str, Any]) -> None:
    """One thing, a line for each of its fields: moments as dates, durations with their unit, lists in a line."""
    table(("", ""), [_detail(name, value) for name, value in row.items()])


def _detail(name: str, value: Any) -> tuple[str, Any]:
    if name in DURATIONS:
        return name.removesuffix("_ms"), span(value) if value is not None else None
    if name.endswith("_ms"):
        return f"{name.removesuffix('_ms')} (UTC)", moment(value)
    return name, ", ".join(map(str, value)) if isinstance(value, list) else value


def _cell(cell: Any) -> str:
    """A value as one line of a table. What others wrote must not steer the terminal: control characters are shown, not sent."""
    if isinstance(cell, bytes):
        return cell.hex()
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in str(cell)).replace("[", "\\[")


def show(renderable: Any) -> None:
    """Something of rich's on stdout."""
    _stdout().print(renderable)


def moment(ms: int | None) -> str:
    """A time for people: UTC, to the second."""
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S") if ms is not None else ""


def span(ms: int) -> str:
    """A duration for people."""
    for unit, size in (("d", 86_400_000), ("h", 3_600_000), ("min", 60_000), ("s", 1_000)):
        if abs(ms) >= size:
            return f"{ms / size:.1f} {unit}"
    return f"{ms} ms"


def progress() -> Progress:
    """A progress bar on stderr; nothing where that is no terminal."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, console=Console(stderr=True), disable=not sys.stderr.isatty(), transient=True)


def reader_of(site: Path) -> tuple[Engine, Settings]:
    """A site's database for reading, and its settings.

    Raises:
        NoSite: where there is none.
    """
    if not (site / CONFIG_NAME).exists() or not (site / DATABASE_NAME).exists():
        raise NoSite(f"there is no site in {site.absolute()}", fix="give its folder with --site DIR, or make one with `dockbridge init DIR`")
    return open_engine(site / DATABASE_NAME, read_only=True), load(site / CONFIG_NAME)
