"""`dockbridge orders`: import, list, show, explain, watch."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path
from typing import Annotated, NamedTuple

import typer

from bridge.domain.facts import DECIDED
from bridge.entrypoints.cli.output import JsonOption, LimitOption, moment, print_json, print_json_line, print_table, progress, say, span
from bridge.entrypoints.cli.reading import SiteOption, read
from bridge.entrypoints.control.client import Caller
from bridge.operations import imports
from bridge.operations import orders as operations
from bridge.operations.imports import ImportedEvent
from bridge.operations.orders import Change, Step
from bridge.operations.ports import SiteReader
from bridge.shop_file import order_events, read_map, read_orders
from bridge.words import counted
from devices.protocol.vocabulary import Outcome

app = typer.Typer(no_args_is_help=True, help="Import orders, look at them, see why they are where they are.\n\nExample: `dockbridge orders explain PO-17`")

WATCH_EVERY_S = 0.2
FAILED = 1
VOIDED = "(voided)"
"""What is printed as the state of an order that was voided."""
OrderArgument = Annotated[str, typer.Argument(help="The order's id.")]


class Tally(NamedTuple):
    """How imported events ended: how many with each outcome, and how many were known already."""

    outcomes: Counter[Outcome]
    again: int


@app.command(name="import")
def import_(
    file: Annotated[Path, typer.Argument(help="The shop's export, CSV.")],
    mapping: Annotated[Path, typer.Option("--map", help="TOML: the channel, its columns and its status words.")],
    site: SiteOption = Path(),
    as_json: JsonOption = False,
) -> None:
    """Import orders from a shop's export. Importing it twice changes nothing; bad rows are reported, good rows are kept.

    Example: `dockbridge orders import orders.csv --map orders.toml`
    """
    shop = read_map(mapping)
    orders, bad = read_orders(file, shop)
    events = [ImportedEvent(kind, payload) for order in orders for kind, payload in order_events(order, shop)]
    tally = _submit(site, shop.channel, events)
    for row in bad:
        say(f"{file}, line {row.line}: {row.reason}")
    if as_json:
        bad_rows = [row._asdict() for row in bad]
        print_json({"orders": len(orders), "events": len(events), "again": tally.again, "outcomes": dict(tally.outcomes), "bad_rows": bad_rows})
    else:
        known = f"{len(events) - tally.again} new, {tally.again} known already"
        say(f"{counted(len(orders), 'order')}, {counted(len(events), 'event')}: {known}; {counted(len(bad), 'row')} not used")
    stopped = next((row for row in bad if row.ends_file), None)
    if stopped is not None:
        say(f"Import stopped at line {stopped.line}. Fix the file and run the import again.")
        raise typer.Exit(FAILED)
    if rejected := tally.outcomes[Outcome.REJECTED]:
        say(f"{counted(rejected, 'event')} rejected: see `dockbridge quarantine list`")
        raise typer.Exit(FAILED)


def _submit(site: Path, channel: str, events: list[ImportedEvent]) -> Tally:
    tally = Tally(Counter(), 0)
    with Caller(site) as caller, progress() as bar:
        task = bar.add_task("importing", total=len(events))
        caller.call(imports.open_channel, channel)
        for start in range(0, len(events), imports.PORTION_EVENTS_MAX):
            portion = events[start : start + imports.PORTION_EVENTS_MAX]
            done = caller.call(imports.submit, channel, portion)
            tally = Tally(tally.outcomes + Counter(done.outcomes), tally.again + done.again)
            bar.advance(task, len(portion))
    return tally


@app.command(name="list")
def list_(
    state: Annotated[str | None, typer.Option(help="Only orders in this state.")] = None,
    limit: LimitOption = 50,
    site: SiteOption = Path(),
    as_json: JsonOption = False,
) -> None:
    """List orders, the last changed first.

    Example: `dockbridge orders list --state out_for_delivery`
    """
    rows = read(site, operations.list_orders, state=state, limit=limit)
    if as_json:
        print_json(rows)
        return
    print_table(
        ("order", "state", "flags", "%", "parcels", "since (UTC)", "last"),
        [(r["order"], r["state"], " ".join(r["flags"]), r["percent"], r["progress"]["parcels"], moment(r["at_ms"]), r["last"]["type"]) for r in rows],
    )
    counts = read(site, operations.count_orders)
    say(f"{counted(sum(counts.values()), 'order')}: " + ", ".join(f"{n} {s}" for s, n in sorted(counts.items())) if counts else "no orders yet")


@app.command()
def show(order: OrderArgument, site: SiteOption = Path(), as_json: JsonOption = False) -> None:
    """Show one order: its state, milestones and parcels.

    Example: `dockbridge orders show PO-17`
    """
    found = read(site, operations.show_order, order)
    if as_json:
        print_json(found)
        return
    status = found["status"]
    print_table(
        ("", ""),
        [(k, status[k]) for k in ("order", "state", "rev", "percent", "hash")]
        + [("flags", " ".join(status["flags"])), ("holds", " ".join(status.get("holds", [])))],
    )
    milestones = [(m["state"], moment(m.get("at_ms")), "inferred" if m.get("inferred") else "") for m in status["milestones"]]
    print_table(("milestone", "at (UTC)", ""), milestones)
    if found["parcels"]:
        columns = ("parcel", "state", "flags", "where", "codes", "attempts")
        rows = [(p["parcel"], p["state"], " ".join(p["flags"]), p.get("where"), " ".join(p.get("codes", ())), p.get("attempts")) for p in found["parcels"]]
        print_table(columns, rows)


@app.command()
def explain(order: OrderArgument, site: SiteOption = Path(), as_json: JsonOption = False) -> None:
    """Explain an order: every event in the order of its time, how that time is known, its outcome, and the state after it.

    Example: `dockbridge orders explain PO-17`
    """
    story = read(site, operations.explain, order)
    if as_json:
        print_json(story)
        return
    columns = ("event time (UTC)", "known by", "arrived after", "device", "type", "outcome", "state after", "notes")
    print_table(columns, [_step(step) for step in story.events])
    if story.inferred:
        say(f"inferred, not reported by any event: {', '.join(story.inferred)}")
    if story.state is None:
        say(f"order {order} was never created: its events wait")


def _step(step: Step) -> tuple[str | None, ...]:
    return (
        moment(step.at_ms),
        f"{step.known_by} ±{span(step.error_ms)}" if step.error_ms else step.known_by,
        span(step.delay_ms),
        step.device,
        step.type if step.type != DECIDED else "(decided)",
        step.outcome + (f": {step.reason}" if step.reason else ""),
        step.state,
        " ".join(step.notes),
    )


@app.command()
def watch(
    orders: Annotated[list[str] | None, typer.Argument(help="Orders to follow.", show_default="all")] = None,
    wait: Annotated[bool, typer.Option("--wait", help="Also follow orders that do not exist yet.")] = False,
    as_json: JsonOption = False,
    site: SiteOption = Path(),
) -> None:
    """Follow orders live, with a line for each visible change, until Ctrl-C. With --wait they need not exist yet.

    Example: `dockbridge orders watch PO-17`
    """
    read(site, _watch, orders or [], wait=wait, as_json=as_json)


async def _watch(site: SiteReader, orders: list[str], *, wait: bool, as_json: bool) -> None:
    found = await operations.start_watching(site, orders, wait=wait)
    if found.missing:
        say(f"there is no order {', '.join(found.missing)} yet")
    _print_changes(found.changes, as_json=as_json)
    say("Watching. Press Ctrl-C to end.")
    while True:
        found = await operations.changes_after(site, orders, after=found.after)
        _print_changes(found.changes, as_json=as_json)
        if not found.changes:
            await asyncio.sleep(WATCH_EVERY_S)


def _print_changes(changes: list[Change], *, as_json: bool) -> None:
    for change in changes:
        if as_json:
            print_json_line({"at_ms": change.at_ms, "order": change.order, "state": change.state or VOIDED, "rev": change.rev})
        else:
            print(f"{moment(change.at_ms)}  {change.order:<24} {change.state or VOIDED:<28} rev {change.rev}", flush=True)
