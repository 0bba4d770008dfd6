"""`dockbridge orders stuck`: what waits for a person, and the command that moves it on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Final

import typer

from bridge.entrypoints.cli.output import JsonOption, LimitOption, print_command, print_json, print_lines, say
from bridge.entrypoints.cli.reading import SiteOption, read
from bridge.entrypoints.cli.times import TzOption, duration_ms, moment, now_ms, span, zone_name
from bridge.operations import stuck as operations
from bridge.operations.stuck import Waiting
from bridge.words import counted


def stuck(
    older_than: Annotated[str | None, typer.Option(metavar="TIME", help="Only what has waited for longer, such as 4h or 2d.")] = None,
    limit: LimitOption = 50,
    after: Annotated[str | None, typer.Option(metavar="ORDER", help="The page after this order.")] = None,
    site: SiteOption = Path(),
    as_json: JsonOption = False,
    tz: TzOption = None,
) -> None:
    """List every order that waits for a person: why, since when, who does what, and the command that moves it on. The longest in its state comes first.

    Events that wait for their order, and messages in quarantine, come last.

    Example: `dockbridge orders stuck --older-than 4h`
    """
    now = now_ms()
    older_than_ms = duration_ms(older_than, "--older-than") if older_than is not None else 0
    found = read(site, operations.list_stuck, now_ms=now, limit=limit, older_than_ms=older_than_ms, after=after)
    if as_json:
        print_json(found)
        return
    for waiting in (*found.orders, *found.events):
        print_waiting(waiting, now)
    orders = len({waiting.order for waiting in found.orders})
    say(f"{counted(orders, 'order')} {'waits' if orders == 1 else 'wait'} for a person" if orders else "no order waits for a person")
    if found.after is not None:
        say(f"There may be more: --after {found.after}")


def print_waiting(waiting: Waiting, now: int) -> None:
    subject = " ".join(filter(None, (waiting.order, f"({waiting.state})" if waiting.state is not None else None)))
    since = f"since {moment(waiting.since_ms)} {zone_name()}, {span(max(0, now - waiting.since_ms))}"
    print_lines(f"{subject}: {waiting.why}" if subject else waiting.why, since, waiting.who)
    if waiting.command is not None:
        print_command(waiting.command)


COMMANDS: Final[dict[str, Callable[..., None]]] = {"stuck": stuck}
"""Commands of `dockbridge orders`, by name."""
