"""`dockbridge trace`: how long each event of an order took, from the device to whoever is told of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from bridge.entrypoints.cli.orders import OrderArgument
from bridge.entrypoints.cli.output import JsonOption, print_json, print_lines, say
from bridge.entrypoints.cli.reading import SiteOption, read
from bridge.entrypoints.cli.times import TzOption, moment, span, zone_name
from bridge.entrypoints.control.client import ask
from bridge.ingest.steps import RECENT_BATCHES_MAX
from bridge.operations import server
from bridge.operations import trace as operations
from bridge.operations.trace import Delivery, EventTrace


def trace(order: OrderArgument, site: SiteOption = Path(), as_json: JsonOption = False, tz: TzOption = None) -> None:
    """Show how long each event of an order took, step by step: on the device, network, queue, commit, show, answer, and whether its receipt was fetched.

    What is not known is said to be unknown.

    Example: `dockbridge trace PO-17`
    """
    batches = read(site, operations.batches_of, order)
    found = read(site, operations.trace, order, ask(site, server.batch_times, batches) or [])
    if as_json:
        print_json(found)
        return
    for event in found.events:
        print_lines(_happened(event), ", ".join(_way(event)), _delivery(event))
    since = f"A status of the order waits for at least one session since {moment(found.status_since_ms)}." if found.status_since_ms is not None else ""
    say(f"Times are {zone_name()}. {since or 'No session waits for a status of the order.'}")
    for note in _notes(found.events):
        say(note)


def _happened(event: EventTrace) -> str:
    known = [duration for duration in (event.commit_us, event.show_us, event.answer_us) if duration is not None]
    whole = f", answered after {_us((event.queue_ms or 0) * 1_000 + sum(known))}" if event.queue_ms is not None else ""
    return f"{moment(event.at_ms)}  {event.type}  {event.outcome}, {event.device}, received {moment(event.received_ms)}{whole}"


def _way(event: EventTrace) -> Iterator[str]:
    yield f"on the device {_ms(event.on_device_ms)}"
    yield f"network {_ms(event.network_ms)}" + (" over its fastest" if event.network_ms is not None else "")
    at_least = f"unknown, at least {span(event.queue_ms_min)}" if event.queue_ms_min else "unknown"
    yield f"queue {_ms(event.queue_ms) if event.queue_ms is not None else at_least}"
    for name, duration_us in (("commit", event.commit_us), ("show", event.show_us), ("answer", event.answer_us)):
        yield f"{name} {_us(duration_us)}"


def _delivery(event: EventTrace) -> str:
    if event.receipt is Delivery.WAITS:
        return f"receipt waits for {event.device} since {moment(event.receipt_since_ms)}"
    return "receipt: nothing waits" if event.receipt is Delivery.NOTHING_WAITS else "receipt unknown"


def _ms(duration_ms: int | None) -> str:
    return span(duration_ms) if duration_ms is not None else "unknown"


def _us(duration_us: int | None) -> str:
    if duration_us is None:
        return "unknown"
    return f"{duration_us / 1_000:.1f} ms" if duration_us < 1_000_000 else f"{duration_us / 1_000_000:.1f} s"


def _notes(events: list[EventTrace]) -> Iterator[str]:
    """What the steps mean, and why something is unknown."""
    if any(event.commit_us is not None for event in events):
        yield "Commit, show and answer are those of the event's whole batch."
    if any(event.on_device_ms is None for event in events):
        yield "On the device is unknown if it was restarted between the event and its sending."
    if any(event.network_ms is None for event in events):
        yield "Network is unknown if the event's time does not come from the counter of a boot that the server has heard."
    if any(event.commit_us is None for event in events):
        yield f"Queue, commit, show and answer are unknown unless the running server stored the event itself, among its last {RECENT_BATCHES_MAX:,} batches."
    if any(event.receipt is Delivery.UNKNOWN for event in events):
        yield "Receipt is unknown if the device has no session that is kept: then nothing waits for it."
