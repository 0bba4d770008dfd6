"""Look at orders, see why they are where they are, and follow them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from msgspec import Struct

from bridge.domain.facts import DECIDED, Fact, Verdict
from bridge.domain.fold import OrderFold, fold
from bridge.domain.order.courier import duties
from bridge.domain.order.promise import ship_by
from bridge.domain.view import OrderView
from bridge.errors import NotFound
from bridge.operations.names import check_carrier, check_courier, check_device
from bridge.operations.order_ports import Sort, Wanted
from bridge.operations.ports import Row, SiteReader, StoredFact
from bridge.operations.stuck import waits_of
from bridge.operations.workers import Faces
from bridge.words import counted
from devices.protocol.messages import decode_event
from devices.protocol.vocabulary import EventType, Outcome

CHANGES_MAX: Final = 1_000
"""Changes that are read at once."""


class Step(Struct, frozen=True, kw_only=True):
    """One event of an order's story. `state` is the order's state after it.

    `by` is the worker's pseudonym and `worker` whose it is; both are None for those who may not know, and so is `courier_name`. `at` is the place, `article`
    the SKU, `why` the reason that the event gives, such as that of a hold. `id` is what `events void` takes.
    """

    id: str
    at_ms: int
    known_by: str
    error_ms: int
    delay_ms: int
    device: str
    courier: str | None
    courier_name: str | None
    by: str | None
    worker: str | None
    at: str | None
    type: str
    parcel: str | None
    code: str | None
    article: str | None
    qty: int | None
    why: str | None
    outcome: str
    reason: str | None
    state: str | None
    notes: list[str]


class Story(Struct, frozen=True, kw_only=True):
    """An order's events in the order of their time. `state` is None if it was never created; `inferred` are states that no event reported."""

    order: str
    state: str | None
    events: list[Step]
    inferred: list[str]


class Change(NamedTuple):
    """A visible change of an order. `state` is empty if the order was voided.

    `flags` and `parcels` (the state of each) are known of an order's last change only.
    """

    at_ms: int
    order: str
    state: str
    rev: int
    flags: tuple[str, ...] | None = None
    parcels: dict[str, str] | None = None


class Changes(Struct, frozen=True, kw_only=True):
    """Changes, the oldest first, and `after` which entry of the status log to go on. `missing` are orders that do not exist yet."""

    changes: list[Change]
    after: int
    missing: list[str]


async def list_orders(site: SiteReader, wanted: Wanted, *, sort: Sort = Sort.CHANGED, after: str | None = None, limit: int) -> list[Row]:
    """Statuses of orders, each with its `channel`, `carrier`, `promise_ms` and `ship_by_ms`; with `after`, those that follow this order.

    Raises:
        NotFound: if there is no order `after`, or none is found and the site does not know the channel, carrier, courier or device.
    """
    if after is not None and not site.queries.order_states([after]):
        raise NotFound(f"there is no order {after}", fix="give --after the last order of the page before")
    found = site.queries.orders(wanted, sort=sort, after=after, limit=limit)
    if not found:
        _check_names(site, wanted)
    return found


def _check_names(site: SiteReader, wanted: Wanted) -> None:
    if wanted.channel is not None and wanted.channel not in (known := site.queries.channels()):
        raise NotFound(f"no order came through a channel {wanted.channel}", fix=f"the channels are {', '.join(known)}" if known else "import orders first")
    if wanted.carrier is not None:
        check_carrier(site, wanted.carrier)
    if wanted.courier is not None:
        check_courier(site, wanted.courier)
    if wanted.device is not None:
        check_device(site, wanted.device)


async def count_orders(site: SiteReader) -> dict[str, int]:
    """How many orders are in each state."""
    return site.queries.order_counts()


async def show_order(site: SiteReader, order: str) -> Row:
    """One order: its `status` and the statuses of its `parcels`; what was ordered, what of it is picked, packed and left (`lines`); the `jobs` and `holds` that
    it has, and what it waits for (`waits`).

    Raises:
        NotFound: if there is no such order.
    """
    found = site.queries.order(order)
    if found is None:
        raise _not_found(site, order)
    whole = fold(order, [stored.fact for stored in site.queries.facts(order)])
    return {**found, **_details(site, whole), "waits": waits_of(whole, found["status"])}


def _details(site: SiteReader, whole: OrderFold) -> Row:
    order = whole.order
    created, contents, left = order.created, order.contents(), dict(order.left_to_pick())
    jobs = [site.queries.job(held.job) for held in duties(order)]
    return {
        "channel": created.channel if created is not None else None,
        "payment": created.payment if created is not None else None,
        "paid": order.paid,
        **{name: getattr(created, name, None) for name in ("promise_ms", "carrier", "service", "tracking")},
        "ship_by_ms": ship_by(order),
        "lines": [
            {"sku": sku, "ordered": qty, "picked": order.picked.get(sku, 0), "packed": contents.packed.get(sku, 0), "left": left.get(sku, 0)}
            for sku, qty in order.lines.items()
        ],
        "items": {parcel.id: parcel.items for parcel in order.parcels.values()},
        "holds": [{"reason": reason, "device": device} for reason, device in sorted(order.holds.items())],
        "jobs": [{"job": job.id, "courier": job.courier, "state": job.state, "rev": job.rev} for job in jobs if job is not None],
    }


async def explain(site: SiteReader, order: str, *, with_workers: bool = True) -> Story:
    """An order's story: every event, how its time is known, its outcome, and the state after it.

    Raises:
        NotFound: if no event of it is stored.
    """
    found = site.queries.facts(order)
    if not found:
        raise NotFound(f"nothing is known of order {order}", fix="list the orders with `dockbridge orders list`")
    whole = fold(order, [stored.fact for stored in found])
    stored_by_uid = {(stored.row.device, stored.row.id): stored for stored in found}
    faces = Faces(site) if with_workers else None
    steps = [_step(fact, whole.verdicts[fact.uid], stored_by_uid[fact.uid], faces) for fact in (*whole.facts, *whole.voids)]
    if not whole.exists:
        return Story(order=order, state=None, events=steps, inferred=[])
    inferred = [m["state"] for m in OrderView(whole.order).core["milestones"] if m.get("inferred")]
    return Story(order=order, state=whole.order.state_word, events=steps, inferred=inferred)


async def start_watching(site: SiteReader, orders: Sequence[str], *, wait: bool) -> Changes:
    """The orders as they are now, to be followed with `changes_after`.

    Raises:
        NotFound: if one of them does not exist, unless `wait` is set.
    """
    after = site.queries.status_log_end()
    found = {order: site.queries.order(order) for order in orders}
    missing = [order for order, row in found.items() if row is None]
    if missing and not wait:
        error = _not_found(site, missing[0])
        raise NotFound(f"there is no order {', '.join(missing)}", fix=f"{error.fix}; --wait waits until it is created")
    changes = [_seen(Change(row["status"]["updated_ms"], order, row["status"]["state"], row["status"]["rev"]), row) for order, row in found.items() if row]
    return Changes(changes=changes, after=after, missing=missing)


async def changes_after(site: SiteReader, orders: Sequence[str], *, after: int) -> Changes:
    """What has changed since; of all orders if none is named."""
    rows = site.queries.status_log(after=after, order_ids=orders, limit=CHANGES_MAX)
    changes = [Change(row["updated_ms"], row["order_id"], row["state"], row["rev"]) for row in rows]
    last = {change.order: number for number, change in enumerate(changes)}
    for order, number in last.items():
        changes[number] = _seen(changes[number], site.queries.order(order))
    return Changes(changes=changes, after=rows[-1]["no"] if rows else after, missing=[])


def _seen(change: Change, row: Row | None) -> Change:
    """The change with what the order shows now."""
    if row is None:
        return change._replace(flags=(), parcels={})
    return change._replace(flags=tuple(row["status"]["flags"]), parcels={p["parcel"]: p["state"] for p in row["parcels"]})


def _step(fact: Fact, verdict: Verdict, stored: StoredFact, faces: Faces | None) -> Step:
    by = decode_event(stored.row.payload, EventType(fact.type)).by if fact.type != DECIDED and faces is not None else None
    outcome = stored.receipt.get("outcome", verdict.outcome.value)
    return Step(
        id=fact.id.hex(),
        at_ms=fact.event_ms,
        known_by=stored.row.source,
        error_ms=stored.row.error_ms,
        delay_ms=stored.row.received_ms - stored.row.event_ms,
        device=fact.device,
        courier=fact.courier,
        courier_name=faces.courier(fact.courier) if faces is not None and fact.courier is not None else None,
        by=by,
        worker=faces.worker(by) if faces is not None and by is not None else None,
        at=fact.at,
        type=fact.type,
        parcel=verdict.parcel or fact.parcel,
        code=fact.code,
        article=fact.article or getattr(fact.body, "sku", None),
        qty=getattr(fact.body, "qty", None),
        why=getattr(fact.body, "reason", None),
        outcome=outcome,
        reason=verdict.reason.value if verdict.reason else None,
        state=verdict.state,
        notes=[*([Outcome.LATE.value] if outcome == Outcome.LATE else []), *(w.value for w in verdict.warn), *(stored.row.warn or "").split()],
    )


def _not_found(site: SiteReader, order: str) -> NotFound:
    waiting = site.queries.event_count(order)
    arrived_early = f"{counted(waiting, 'event')} of it arrived before it was created; import it"
    fix = arrived_early if waiting else "list the orders with `dockbridge orders list`"
    return NotFound(f"there is no order {order}", fix=fix)
