"""`dockbridge orders`: import, list, show, explain, watch."""

from __future__ import annotations

import time
from collections import Counter
from pathlib import Path
from typing import Annotated, Any

import typer

from bridge.cli.output import JsonOption, LimitOption, SiteOption, emit, emit_line, moment, progress, reader_of, say, span, table
from bridge.control import CALL_EVENTS_MAX, Caller
from bridge.domain.facts import DECIDED
from bridge.domain.fold import fold
from bridge.domain.view import OrderView
from bridge.errors import NotFound
from bridge.shop_file import order_events, read_map, read_orders
from bridge.store import queries
from bridge.words import counted

app = typer.Typer(no_args_is_help=True, help="Import orders, look at them, see why they are where they are.\n\nExample: `dockbridge orders explain PO-17`")

WATCH_EVERY_S = 0.2
OrderArgument = Annotated[str, typer.Argument(help="The order's id.")]


@app.command(name="import")
def import_(
    file: Annotated[Path, typer.Argument(help="The shop's export, CSV.")],
    mapping: Annotated[Path, typer.Option("--map", help="TOML: the channel, its columns and its status words.")],
    site: SiteOption = Path(),
    as_json: JsonOption = False,
) -> None:
    """Take orders from a shop's export. Importing twice changes nothing; bad rows are named, good rows are kept.

    Example: `dockbridge orders import orders.csv --map orders.toml`
    """
    shop = read_map(mapping)
    orders, bad = read_orders(file, shop)
    events = [(kind, payload.hex()) for order in orders for kind, payload in order_events(order, shop)]
    outcomes: Counter[str] = Counter()
    again = 0
    with Caller(site) as caller, progress() as bar:
        task = bar.add_task("importing", total=len(events))
        caller.call("channel", channel=shop.channel)
        for start in range(0, len(events), CALL_EVENTS_MAX):
            some = events[start : start + CALL_EVENTS_MAX]
            for receipt in caller.call("submit", device=shop.channel, events=some):
                outcomes[receipt["outcome"]] += 1
                again += receipt.get("again", False)
            bar.advance(task, len(some))
    for row in bad:
        say(f"{file}, line {row.line}: {row.reason}")
    if as_json:
        emit({"orders": len(orders), "events": len(events), "again": again, "outcomes": dict(outcomes), "bad_rows": [b._asdict() for b in bad]})
    else:
        told = f"{counted(len(orders), 'order')}, {counted(len(events), 'event')}: {len(events) - again} new, {again} known already"
        say(f"{told}; {counted(len(bad), 'row')} not used")
    if any("nothing behind it was read" in row.reason for row in bad):
        say("the file was not read to its end: mend that line and import it again")
        raise typer.Exit(1)
    if outcomes["rejected"]:
        say(f"{counted(outcomes['rejected'], 'event')} rejected: see `dockbridge quarantine list`")
        raise typer.Exit(1)


@app.command(name="list")
def list_(
    state: Annotated[str | None, typer.Option(help="Only orders in this state.")] = None,
    limit: LimitOption = 50,
    site: SiteOption = Path(),
    as_json: JsonOption = False,
) -> None:
    """List orders, the ones that changed last first.

    Example: `dockbridge orders list --state out_for_delivery`
    """
    reader, _ = reader_of(site)
    rows = queries.orders(reader, state=state, limit=limit)
    if as_json:
        emit(rows)
        return
    table(
        ("order", "state", "flags", "%", "parcels", "since (UTC)", "last"),
        [(r["order"], r["state"], " ".join(r["flags"]), r["percent"], r["progress"]["parcels"], moment(r["at_ms"]), r["last"]["type"]) for r in rows],
    )
    counts = queries.order_counts(reader)
    say(f"{counted(sum(counts.values()), 'order')}: " + ", ".join(f"{n} {s}" for s, n in sorted(counts.items())) if counts else "no orders yet")


@app.command()
def show(order: OrderArgument, site: SiteOption = Path(), as_json: JsonOption = False) -> None:
    """Show one order: its state, milestones and parcels.

    Example: `dockbridge orders show PO-17`
    """
    reader, _ = reader_of(site)
    found = queries.order(reader, order)
    if found is None:
        raise NotFound(f"there is no order {order}", fix=_missing(reader, order))
    if as_json:
        emit(found)
        return
    status = found["status"]
    table(("", ""), [(k, status[k]) for k in ("order", "state", "rev", "percent", "hash")] + [("flags", " ".join(status["flags"]))])
    table(("milestone", "at (UTC)", ""), [(m["state"], moment(m.get("at_ms")), "inferred" if m.get("inferred") else "") for m in status["milestones"]])
    if found["parcels"]:
        columns = ("parcel", "state", "flags", "where", "code")
        table(columns, [(p["parcel"], p["state"], " ".join(p["flags"]), p.get("where"), p["code"]) for p in found["parcels"]])


def _missing(reader: Any, order: str) -> str:
    waiting = len(queries.facts(reader, order))
    if waiting:
        return f"{counted(waiting, 'event')} of it came before it was created; import it"
    return "see them with `dockbridge orders list`"


@app.command()
def explain(order: OrderArgument, site: SiteOption = Path(), as_json: JsonOption = False) -> None:
    """Tell an order's story: every event in the order of time, how its time was known, what came of it, and the state after it.

    Example: `dockbridge orders explain PO-17`
    """
    reader, _ = reader_of(site)
    found = queries.facts(reader, order)
    if not found:
        raise NotFound(f"nothing is known of order {order}", fix="see orders with `dockbridge orders list`")
    whole = fold(order, [fact for fact, _, _ in found])
    rows_of = {(row.device, row.id): (row, receipt) for _, row, receipt in found}
    story = []
    for fact in (*whole.facts, *whole.voids):
        row, receipt = rows_of[fact.uid]
        verdict = whole.verdicts[fact.uid]
        outcome = receipt.get("outcome", verdict.outcome.value)
        story.append(
            {
                "at_ms": fact.event_ms,
                "known_by": row.source,
                "error_ms": row.error_ms,
                "delay_ms": row.received_ms - row.event_ms,
                "device": fact.device,
                "type": fact.type,
                "outcome": outcome,
                "reason": verdict.reason.value if verdict.reason else None,
                "state": verdict.state,
                "notes": [*([] if outcome != "late" else ["late"]), *(w.value for w in verdict.warn)],
            },
        )
    inferred = []
    if whole.exists:
        view = OrderView(whole.order)
        inferred = [m["state"] for m in view.core["milestones"] if m.get("inferred")]
    if as_json:
        emit({"order": order, "state": whole.order.state_word if whole.exists else None, "events": story, "inferred": inferred})
        return
    table(
        ("event time (UTC)", "known by", "arrived after", "device", "type", "outcome", "state after", "notes"),
        [
            (
                moment(s["at_ms"]),
                f"{s['known_by']} ±{span(s['error_ms'])}" if s["error_ms"] else s["known_by"],
                span(s["delay_ms"]),
                s["device"],
                s["type"] if s["type"] != DECIDED else "(decided)",
                s["outcome"] + (f": {s['reason']}" if s["reason"] else ""),
                s["state"],
                " ".join(s["notes"]),
            )
            for s in story
        ],
    )
    if inferred:
        say(f"inferred, never seen: {', '.join(inferred)}")
    if not whole.exists:
        say(f"order {order} was never created: its events wait")


@app.command()
def watch(
    orders: Annotated[list[str] | None, typer.Argument(help="Orders to follow.", show_default="all")] = None,
    wait: Annotated[bool, typer.Option("--wait", help="Wait for orders that are not there yet.")] = False,
    as_json: JsonOption = False,
    site: SiteOption = Path(),
) -> None:
    """Follow orders live, a line for each visible change, until Ctrl-C. With --wait also orders that are still to come.

    Example: `dockbridge orders watch PO-17`
    """
    reader, _ = reader_of(site)
    after = queries.status_log_end(reader)
    known = {order: queries.order(reader, order) for order in orders or ()}
    missing = [order for order, found in known.items() if found is None]
    if missing and not wait:
        raise NotFound(f"there is no order {', '.join(missing)}", fix=f"{_missing(reader, missing[0])}; --wait waits for it to come")
    if missing:
        say(f"there is no order {', '.join(missing)} yet")
    for found in known.values():
        if found is not None:
            status = found["status"]
            _line(status["updated_ms"], status["order"], status["state"], status["rev"], as_json=as_json)
    say("watching; Ctrl-C ends")
    while True:
        rows = queries.status_log(reader, after=after, order_ids=orders, limit=1_000)
        for row in rows:
            after = row["no"]
            _line(row["updated_ms"], row["order_id"], row["state"] or "(voided)", row["rev"], as_json=as_json)
        if not rows:
            time.sleep(WATCH_EVERY_S)


def _line(updated_ms: int, order: str, state: str, rev: int, *, as_json: bool) -> None:
    if as_json:
        emit_line({"at_ms": updated_ms, "order": order, "state": state, "rev": rev})
    else:
        print(f"{moment(updated_ms)}  {order:<24} {state:<28} rev {rev}", flush=True)
