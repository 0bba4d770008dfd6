"""`dockbridge orders map`: looks at a shop's file and writes a first mapping."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from bridge.entrypoints.cli.output import say
from bridge.errors import Refused
from bridge.shop.guessing import Guess, guess_map, map_text
from bridge.shop.mapping import LEAVE_OUT, STATES, MapError, read_map
from bridge.words import counted

_QUESTIONS: Final = {
    "name": "A name for the shop's channel, such as shop1",
    "timezone": "The time zone of its times, such as Europe/Berlin",
    "currency": "The currency of its amounts, such as EUR",
    "time_format": "How its times are written, such as %d/%m/%Y %H:%M",
}


def map_(
    file: Annotated[Path, typer.Argument(help="The shop's export: CSV, TSV or .xlsx.", readable=False)],
    out: Annotated[Path | None, typer.Option(help="Write the mapping to this file.", show_default="print it", readable=False)] = None,
    name: Annotated[str | None, typer.Option(help="The shop's channel.", show_default="ask")] = None,
    timezone: Annotated[str | None, typer.Option(help="The time zone of times without one.", show_default="ask")] = None,
    currency: Annotated[str | None, typer.Option(help="The currency, if no column says it.", show_default="ask")] = None,
    time_format: Annotated[str | None, typer.Option(help="How times are written, if the file leaves it open.", show_default="ask")] = None,
    encoding: Annotated[str | None, typer.Option(help="The file's encoding, if it is not UTF-8.", show_default="UTF-8")] = None,
) -> None:
    """Look at a shop's export and write a first mapping for `orders import`. It asks what the file does not show; check the rest.

    Example: `dockbridge orders map orders.csv --out orders.toml`
    """
    if out is not None and out.exists():
        raise Refused(f"{out} exists already", fix="give another name with --out, or delete it")
    guess = guess_map(file, encoding)
    given = {"name": name, "timezone": timezone, "currency": currency, "time_format": time_format}
    _settle(guess, given)
    if sys.stdin.isatty():
        _ask_statuses(guess)
    text = map_text(guess, file.name)
    if out is None:
        print(text, end="")
    else:
        out.write_text(text, encoding="utf-8")
        try:
            read_map(out)
        except MapError:
            out.unlink()
            raise
        say(f"Wrote {out}. Check it, then try it: dockbridge orders import {file} --map {out} --dry-run")
    if "sku" not in guess.columns:
        say('The file has no column of article numbers: each row would count as a piece of "item". If it has one, add sku to [columns].')
    if not {"status", "approved", "paid"} & guess.columns.keys():
        say("It is not clear which column says how orders stand: they would all come in as not paid. If it has one, add status to [columns].")
    if guess.contact:
        say(f"[contact] has personal data, which is sealed before it is stored: {', '.join(guess.contact)}. Leave out what is not needed to deliver.")
    for column, kind in guess.numbers.items():
        say(f"{column!r} is left out: it looks like the number of {kind}.")
    if guess.unknown:
        words = ", ".join(f'"{word}"' for word in guess.unknown)
        say(f"It is not clear what {counted(len(guess.unknown), 'status', 'statuses')} mean: {words}. Complete these lines in [status].")


def _settle(guess: Guess, given: dict[str, str | None]) -> None:
    """Add to a guess what the file does not show: what was given, or what a person answers."""
    missing = [question for question in guess.questions if given[question] is None]
    if missing and not sys.stdin.isatty():
        options = ", ".join("--" + question.replace("_", "-") for question in missing)
        raise Refused(f"the file does not show everything: {options}", fix=f"add {options}, or run the command in a terminal, where it asks")
    answers: dict[str, Any] = given | {question: typer.prompt(_QUESTIONS[question], err=True) for question in missing}
    answers["timezone"] = answers["timezone"] or "UTC"
    answers["time_format"] = answers["time_format"] or guess.times[0]
    chosen = {key: value for key, value in answers.items() if value is not None}
    guess.channel = {"name": chosen["name"], "prefix": f"{chosen['name']}-"} | guess.channel | chosen


def _ask_statuses(guess: Guess) -> None:
    choices = ", ".join((*STATES, LEAVE_OUT))
    for word, rows in list(guess.unknown.items()):
        answer = typer.prompt(f'What does "{word}" mean ({counted(rows, "row")})? {choices}; empty for later', default="", show_default=False, err=True)
        if answer in (*STATES, LEAVE_OUT):
            guess.status[word] = answer
            del guess.unknown[word]
