"""How commands speak: data to stdout, words and progress to stderr; tables by rich, plain where it is no terminal."""

from __future__ import annotations

import json
import sys
from typing import Annotated, Any, Final

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

FAILED: Final = 1
USAGE: Final = 2

AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
ScenarioName = Annotated[str, typer.Argument(metavar="SCENARIO", help="A name of `firmware-sim list`, or the path of a .toml file.")]

_words = Console(stderr=True, highlight=False, soft_wrap=True, emoji=False)


def say(text: str) -> None:
    """A sentence for the person at the terminal."""
    _words.print(text, markup=False)


def emit(data: Any) -> None:
    """Data as one JSON document; bytes as lowercase hex."""
    typer.echo(json.dumps(data, default=_jsonable, ensure_ascii=False, indent=2))


def show(renderable: Any) -> None:
    """Something of rich's on stdout. What a program reads must not be cut at the width of a terminal that is not there."""
    console = Console(highlight=False, emoji=False)
    (console if console.is_terminal else Console(highlight=False, emoji=False, width=400)).print(renderable)


def progress() -> Progress:
    """A progress bar on stderr; nothing where that is no terminal."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, console=Console(stderr=True), disable=not sys.stderr.isatty(), transient=True)


def _jsonable(value: Any) -> Any:
    return value.hex() if isinstance(value, bytes) else str(value)
