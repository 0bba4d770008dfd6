"""`dockbridge top`: a site live: how fast it works, and what `status` shows that can change from second to second."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer
from msgspec import Struct

from bridge.entrypoints.cli.output import print_json_line, table_of
from bridge.entrypoints.cli.status import backup_of, disk_of, steps_of, store_of
from bridge.entrypoints.cli.times import TzOption, moment, now_ms, remember_site, span, zone_name
from bridge.entrypoints.control.client import ask
from bridge.operations import server
from bridge.operations.figure_ports import ServerFigures, StoredFigures
from bridge.operations.live import Rates, Reading, rates
from bridge.operations.stuck import count_stuck
from bridge.site_reader import ReadableSite
from bridge.words import counted

if TYPE_CHECKING:
    from bridge.surroundings import Surroundings

SLOW_EVERY_S: Final = 10.0
"""How old the number of stuck orders, and what is seen of the site's folder, may be."""

Directory = Annotated[
    Path, typer.Argument(help="The site's folder.", show_default="this folder", envvar="DOCKBRIDGE_SITE", callback=remember_site, is_eager=True, readable=False)
]


class Moment(Struct, frozen=True, kw_only=True):
    """A site at one moment. `rates` is None at first, and while no server runs."""

    at_ms: int
    running: bool
    rates: Rates | None
    server: ServerFigures | None
    stored: StoredFigures
    stuck: int
    around: Surroundings


def top(
    directory: Directory = Path(),
    every: Annotated[float, typer.Option(metavar="SECONDS", min=0.1, max=3_600, help="How often it looks.")] = 1.0,
    times: Annotated[int | None, typer.Option(min=1, help="End after so many lines or screens.", show_default="until Ctrl-C")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print each moment as one line of JSON.")] = False,
    tz: TzOption = None,
) -> None:
    """Watch a site live until Ctrl-C: events per second, how long each step takes, backlog, sessions, devices, orders, alerts.

    If stdout is not a terminal, it prints one line for each look.

    Example: `dockbridge top ams1`
    """
    moments = _moments(directory, every, times)
    try:
        if as_json:
            for found in moments:
                print_json_line(found)
        else:
            _show(moments)
    except KeyboardInterrupt:  # the way to end it
        return


def _moments(directory: Path, every_s: float, times: int | None) -> Iterator[Moment]:
    """Moments, `every_s` apart. The first comes after `every_s`: before that there are no rates."""
    from bridge.surroundings import look_around  # what certificates need takes its time to load

    site = ReadableSite(directory)
    end = site.queries.last_event()
    before = _read(directory, site, end)
    slow_s, stuck, around = float("-inf"), 0, look_around(directory)
    while times is None or times > 0:
        time.sleep(every_s)
        reading = _read(directory, site, before.stored.end)
        if reading.at_s - slow_s >= SLOW_EVERY_S:
            slow_s, stuck, around = reading.at_s, count_stuck(site.queries, now_ms=now_ms()), look_around(directory)
        is_running = reading.server is not None
        pace = rates(before, reading)
        yield Moment(at_ms=now_ms(), running=is_running, rates=pace, server=reading.server, stored=reading.stored, stuck=stuck, around=around)
        before = reading
        times = times - 1 if times is not None else None


_EVENTS_MAX: Final = 2**62


def _read(directory: Path, site: ReadableSite, after: int) -> Reading:
    figures = ask(directory, server.figures)
    return Reading(time.monotonic(), figures, site.queries.figures(after=after, events_max=_EVENTS_MAX))


def _show(moments: Iterator[Moment]) -> None:
    """A screen that changes, or, if there is none, lines."""
    from rich.console import Console
    from rich.live import Live

    console = Console(highlight=False, emoji=False)
    if not console.is_terminal:
        for found in moments:
            print("  ".join((moment(found.at_ms), *_words(found))), flush=True)
        return
    with Live(console=console, auto_refresh=False, transient=False) as live:
        live.update("Looking. Press Ctrl-C to end.", refresh=True)
        for found in moments:
            live.update(table_of(("", ""), _rows(found)), refresh=True)


def _words(found: Moment) -> Iterator[str]:
    """A moment on one line."""
    held, stored, pace = found.server, found.stored, found.rates
    if held is None:
        yield "not running"
    elif pace is not None:
        yield f"{pace.events_s:.0f} events/s"
        yield f"{pace.batches_s:.0f} commits/s"
        yield steps_of(pace.step_ms)
    if held is not None:
        yield f"backlog {held.counters['unstored']}" + (" FAILS" if held.counters["store_failing"] else "")
        yield f"lag {1_000 * held.lag_s:.0f} ms"
        yield f"owed {held.counters['waiting']}"
        yield f"on {held.devices_on}/{stored.devices}"
    yield f"orders {sum(stored.orders.values())}"
    yield f"stuck {found.stuck}"
    yield f"alerts {sum(stored.alerts.values())}"


def _rows(found: Moment) -> Iterator[tuple[str, str]]:
    """A moment on a screen."""
    held, stored, pace, around = found.server, found.stored, found.rates, found.around
    yield "site", f"{around.site} at {moment(found.at_ms)} {zone_name()}"
    if held is None:
        yield "server", "not running"
    else:
        yield "server", f"version {held.version}, up for {span(found.at_ms - held.since_ms)}; its loop is late by {1_000 * held.lag_s:.0f} ms at most"
        yield "store", f"{store_of(held.counters)} ({held.queue_bytes / 1e6:.1f} MB)"
    if pace is not None:
        yield "per second", f"{pace.events_s:.0f} events, {pace.messages_s:.0f} messages and changes, {pace.batches_s:.0f} commits"
        size = f"{pace.batch_messages:.1f} messages and changes; " if pace.batch_messages is not None else ""
        yield "a batch", size + steps_of(pace.step_ms)
        yield "network", f"{pace.received_bytes_s / 1e3:.1f} kB/s in, {pace.sent_bytes_s / 1e3:.1f} kB/s out"
    if held is not None:
        count = held.counters
        yield "connections", f"{count['connected']}; logins refused {count['refused']}, taken over {count['taken_over']}"
        yield (
            "sessions",
            f"{count['sessions']}; {counted(held.sessions_owed, 'session')} owed messages: {count['waiting']} wait, {count['in_flight']} in flight",
        )
    on = f"{held.devices_on} on, {max(0, stored.devices - held.devices_on)} off; " if held is not None else ""
    yield "devices", f"{stored.devices}: {on}{stored.owing} owe {counted(stored.owed, 'event')}"
    states = ", ".join(f"{count} {state}" for state, count in sorted(stored.orders.items()))
    yield "orders", f"{sum(stored.orders.values())}" + (f": {states}" if states else "")
    yield "wait", f"{counted(found.stuck, 'order')} stuck, {counted(stored.parked, 'event')} parked, {counted(stored.quarantined, 'message')} in quarantine"
    codes = ", ".join(f"{count} {code}" for code, count in sorted(stored.alerts.items()))
    yield "alerts", f"{sum(stored.alerts.values())}" + (f": {codes}" if codes else "")
    yield "disk", disk_of(around)
    yield "last backup", backup_of(around, found.at_ms)
