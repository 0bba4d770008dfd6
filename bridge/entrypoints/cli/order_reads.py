"""`dockbridge orders list|show|explain|watch`: look at orders, and see why they are where they are."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Final

import typer

from bridge.domain.facts import DECIDED
from bridge.entrypoints.cli.order_stuck import print_waiting
from bridge.entrypoints.cli.orders import OrderArgument
from bridge.entrypoints.cli.output import JsonOption, LimitOption, is_narrow, print_json, print_json_line, print_lines, print_table, say
from bridge.entrypoints.cli.reading import SiteOption, may_see_workers, read
from bridge.entrypoints.cli.times import TzOption, dated, duration_ms, moment, now_ms, span, time_ms, zone_name
from bridge.operations import orders as operations
from bridge.operations.order_ports import Sort, Wanted
from bridge.operations.orders import Change, Step
from bridge.operations.ports import Row, SiteReader
from bridge.words import counted
from devices.protocol.vocabulary import ORDER_STATE_WORDS, Flag

WATCH_EVERY_S = 0.2
WATCHED_MAX = 10_000
"""Orders whose flags and parcels `watch` remembers, to print only what changes."""
VOIDED = "(voided)"
"""What is printed as the state of an order that was voided."""


def list_(
    state: Annotated[list[str] | None, typer.Option(help="Only orders in this state; may be given several times.", show_default=False)] = None,
    flag: Annotated[list[Flag] | None, typer.Option(help="Only with this flag; may be given several times.", show_choices=False, show_default=False)] = None,
    older_than: Annotated[str | None, typer.Option(metavar="TIME", help="Only if they are in their state for longer, such as 4h or 2d.")] = None,
    channel: Annotated[str | None, typer.Option(help="Only of this channel.")] = None,
    carrier: Annotated[str | None, typer.Option(help="Only with this carrier.")] = None,
    courier: Annotated[str | None, typer.Option(help="Only in an open job of this courier.")] = None,
    device: Annotated[str | None, typer.Option(help="Only with an event of this device: a scanner, a phone, a carrier's system.")] = None,
    text: Annotated[str | None, typer.Option(help="Only with this in their id, or in a code of a parcel.")] = None,
    promise_before: Annotated[
        str | None, typer.Option(metavar="TIME", help="Only if promised for before this time and still to be delivered, such as 2026-03-01T17:00.")
    ] = None,
    sort: Annotated[Sort, typer.Option(help="changed: the last changed first; since: the longest in their state first.")] = Sort.CHANGED,
    limit: LimitOption = 50,
    after: Annotated[str | None, typer.Option(metavar="ORDER", help="The page after this order.")] = None,
    site: SiteOption = Path(),
    as_json: JsonOption = False,
    tz: TzOption = None,
) -> None:
    """List orders, the last changed first.

    Example: `dockbridge orders list --flag held --older-than 4h --sort since`
    """
    wanted = Wanted(
        states=_states(state or []),
        flags=tuple(flag or ()),
        since_before_ms=now_ms() - duration_ms(older_than, "--older-than") if older_than is not None else None,
        channel=channel,
        carrier=carrier,
        courier=courier,
        device=device,
        text=text,
        promise_before_ms=time_ms(promise_before, "--promise-before") if promise_before is not None else None,
    )
    rows = read(site, operations.list_orders, wanted, sort=sort, after=after, limit=limit)
    if as_json:
        print_json(rows)
        return
    if is_narrow():
        for row in rows:
            print_lines(*_lines(row))
    elif rows or wanted == Wanted():
        columns = ("order", "state", "flags", "%", "parcels", dated("since"), "last", "carrier", dated("ship by"), dated("promise"))
        print_table(columns, [_listed(r) for r in rows])
    if wanted == Wanted():
        counts = read(site, operations.count_orders)
        say(f"{counted(sum(counts.values()), 'order')}: " + ", ".join(f"{n} {s}" for s, n in sorted(counts.items())) if counts else "no orders yet")
    elif not rows:
        say("no order is like this" if after is None else "there are no more")
    if len(rows) == limit:
        say(f"There may be more: --after {rows[-1]['order']}")


def _states(words: list[str]) -> tuple[str, ...]:
    for word in words:
        if word not in ORDER_STATE_WORDS:
            raise typer.BadParameter(f"{word!r} is not a state. Choose from {', '.join(ORDER_STATE_WORDS)}", param_hint="--state")
    return tuple(words)


def _listed(row: Row) -> tuple[object, ...]:
    flags, parcels = " ".join(row["flags"]), row["progress"]["parcels"]
    times = (moment(row["ship_by_ms"]), moment(row["promise_ms"]))
    return (row["order"], row["state"], flags, row["percent"], parcels, moment(row["at_ms"]), row["last"]["type"], row["carrier"], *times)


def _lines(row: Row) -> tuple[str, str]:
    """An order in two lines, for a narrow terminal."""
    carrier = f", with {row['carrier']}" if row["carrier"] else ""
    promise = f", to leave by {moment(row['ship_by_ms'])}" if row["ship_by_ms"] is not None else ""
    promise += f", promised for {moment(row['promise_ms'])}" if row["promise_ms"] is not None else ""
    about = f"since {moment(row['at_ms'])} {zone_name()}, last {row['last']['type']}, {counted(row['progress']['parcels'], 'parcel')}{carrier}{promise}"
    return "  ".join((row["order"], row["state"], f"{row['percent']} %", *row["flags"])), about


def show(order: OrderArgument, site: SiteOption = Path(), as_json: JsonOption = False, tz: TzOption = None) -> None:
    """Show one order: its state, what was ordered and what is left, milestones, parcels, jobs, and what it waits for.

    Example: `dockbridge orders show PO-17`
    """
    found = read(site, operations.show_order, order)
    if as_json:
        print_json(found)
        return
    status = found["status"]
    about = [(k, status[k]) for k in ("order", "state", "rev", "percent", "hash")]
    about += [("flags", " ".join(status["flags"])), ("holds", " ".join(f"{h['reason']} (by {h['device']})" for h in found["holds"]))]
    about += [("channel", found["channel"]), ("payment", f"{found['payment']}, {'paid' if found['paid'] else 'not paid'}")]
    about += [(what, f"{moment(at)} {zone_name()}") for what, at in (("promise", found["promise_ms"]), ("ship by", found["ship_by_ms"])) if at is not None]
    about += [(what, found[what]) for what in ("carrier", "service", "tracking") if found[what] is not None]
    print_table(("", ""), about)
    print_table(("article", "ordered", "picked", "packed", "left"), [tuple(line.values()) for line in found["lines"]])
    milestones = [(m["state"], moment(m.get("at_ms")), "inferred" if m.get("inferred") else "") for m in status["milestones"]]
    print_table(("milestone", dated("at"), ""), milestones)
    if found["parcels"]:
        sending = tuple(name for name in ("carrier", "service", "tracking") if any(name in p for p in found["parcels"]))
        columns = ("parcel", "state", "flags", "where", "codes", *sending, "attempts", "articles")
        print_table(columns, [_parcel(p, sending, found["items"].get(p["parcel"])) for p in found["parcels"]])
    if found["jobs"]:
        print_table(("job", "courier", "state", "rev"), [tuple(job.values()) for job in found["jobs"]])
    now = now_ms()
    for waiting in found["waits"]:
        print_waiting(waiting, now)
    if not found["waits"]:
        say("It waits for nobody.")


def _parcel(row: Row, sending: tuple[str, ...], items: dict[str, int] | None) -> tuple[object, ...]:
    articles = ", ".join(f"{qty} x {sku}" for sku, qty in (items or {}).items())
    sent = (row.get(name) for name in sending)
    return (row["parcel"], row["state"], " ".join(row["flags"]), row.get("where"), " ".join(row.get("codes", ())), *sent, row.get("attempts"), articles)


def explain(order: OrderArgument, site: SiteOption = Path(), as_json: JsonOption = False, tz: TzOption = None) -> None:
    """Explain an order: every event in the order of its time: who, where and what, how the time is known, its outcome, and the state after it.

    The id of an event is what `dockbridge events void` takes.

    Example: `dockbridge orders explain PO-17`
    """
    story = read(site, operations.explain, order, with_workers=may_see_workers(site))
    if as_json:
        print_json(story)
        return
    say(f"Times are {zone_name()}.")
    for step in story.events:
        print_lines(*_step(step))
    if story.inferred:
        say(f"inferred, not reported by any event: {', '.join(story.inferred)}")
    if story.state is None:
        say(f"order {order} was never created: its events wait")


def _step(step: Step) -> tuple[str, str, str]:
    """An event in three lines: what happened, who did it where with what, and how that is known."""
    kind = step.type if step.type != DECIDED else "(decided)"
    outcome = step.outcome + (f": {step.reason}" if step.reason else "")
    happened = f"{moment(step.at_ms)}  {kind}{f' ({step.why})' if step.why else ''}  {outcome}{f' -> {step.state}' if step.state else ''}"
    article = f"{step.qty} x {step.article}" if step.article and step.qty else step.article
    named = (
        ("courier", step.courier_name or step.courier),
        ("worker", step.worker),
        ("at", step.at),
        ("parcel", step.parcel),
        ("code", step.code),
        ("article", article),
    )
    about = ", ".join([step.device, *(f"{name} {value}" for name, value in named if value)])
    error = f" ±{span(step.error_ms)}" if step.error_ms else ""
    known = [f"time known by {step.known_by}{error}", f"arrived after {span(step.delay_ms)}", *step.notes, f"id {step.id}"]
    return happened, about, ", ".join(known)


def watch(
    orders: Annotated[list[str] | None, typer.Argument(help="Orders to follow.", show_default="all")] = None,
    wait: Annotated[bool, typer.Option("--wait", help="Also follow orders that do not exist yet.")] = False,
    as_json: JsonOption = False,
    site: SiteOption = Path(),
    tz: TzOption = None,
) -> None:
    """Follow orders live, with a line for each visible change, until Ctrl-C. With --wait they need not exist yet.

    Example: `dockbridge orders watch PO-17`
    """
    read(site, _watch, orders or [], wait=wait, as_json=as_json)


async def _watch(site: SiteReader, orders: list[str], *, wait: bool, as_json: bool) -> None:
    found = await operations.start_watching(site, orders, wait=wait)
    if found.missing:
        say(f"there is no order {', '.join(found.missing)} yet")
    printer = _Changes(as_json=as_json)
    printer.print(found.changes)
    say("Watching. Press Ctrl-C to end.")
    while True:
        found = await operations.changes_after(site, orders, after=found.after)
        printer.print(found.changes)
        if not found.changes:
            await asyncio.sleep(WATCH_EVERY_S)


class _Changes:
    """Prints a line for each change, with the flags and parcels that are other than in the last line of that order."""

    def __init__(self, *, as_json: bool) -> None:
        self._as_json = as_json
        self._last: OrderedDict[str, Change] = OrderedDict()

    def print(self, changes: list[Change]) -> None:
        for change in changes:
            before = self._last.get(change.order)
            if change.flags is not None:
                self._last[change.order] = change
                self._last.move_to_end(change.order)
                if len(self._last) > WATCHED_MAX:
                    self._last.popitem(last=False)
            if self._as_json:
                print_json_line({**change._asdict(), "state": change.state or VOIDED})
            else:
                words = "  ".join(_differences(before, change))
                print(f"{moment(change.at_ms)}  {change.order:<20} {change.state or VOIDED:<24} rev {change.rev:<4} {words}".rstrip(), flush=True)


def _differences(before: Change | None, change: Change) -> Iterator[str]:
    """What is other than before: `+held`, `-held`, `box-1 packed`; nothing of a change that another one followed at once."""
    if change.flags is None or change.parcels is None:
        return
    flags, parcels = (before.flags or (), before.parcels or {}) if before is not None else ((), {})
    yield from (f"+{flag}" for flag in change.flags if flag not in flags)
    yield from (f"-{flag}" for flag in flags if flag not in change.flags)
    yield from (f"{parcel} {state}" for parcel, state in change.parcels.items() if parcels.get(parcel) != state)
    yield from (f"-{parcel}" for parcel in parcels if parcel not in change.parcels)


COMMANDS: Final[dict[str, Callable[..., None]]] = {"list": list_, "show": show, "explain": explain, "watch": watch}
"""Commands of `dockbridge orders`, by name."""
