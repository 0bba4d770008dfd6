"""Look at orders, see why they are where they are, and follow them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from msgspec import Struct

from bridge.domain.facts import Fact, Verdict
from bridge.domain.fold import fold
from bridge.domain.view import OrderView
from bridge.errors import NotFound
from bridge.operations.names import check_courier, check_device
from bridge.operations.order_ports import Sort, Wanted
from bridge.operations.ports import Row, SiteReader, StoredFact
from bridge.words import counted
from devices.protocol.vocabulary import Outcome

CHANGES_MAX: Final = 1_000
"""Changes that are read at once."""


class Step(Struct, frozen=True, kw_only=True):
    """One event of an order's story. `state` is the order's state after it."""

    at_ms: int
    known_by: str
    error_ms: int
    delay_ms: int
    device: str
    type: str
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
    """A visible change of an order. `state` is empty if the order was voided."""

    at_ms: int
    order: str
    state: str
    rev: int


class Changes(Struct, frozen=True, kw_only=True):
    """Changes, the oldest first, and `after` which entry of the status log to go on. `missing` are orders that do not exist yet."""

    changes: list[Change]
    after: int
    missing: list[str]


async def list_orders(site: SiteReader, wanted: Wanted, *, sort: Sort = Sort.CHANGED, after: str | None = None, limit: int) -> list[Row]:
    """Statuses of orders, each with its `channel` and `promise_ms`; with `after`, those that follow this order.

    Raises:
        NotFound: if there is no order `after`, or none is found and the site does not know the channel, courier or device.
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
    if wanted.courier is not None:
        check_courier(site, wanted.courier)
    if wanted.device is not None:
        check_device(site, wanted.device)


async def count_orders(site: SiteReader) -> dict[str, int]:
    """How many orders are in each state."""
    return site.queries.order_counts()


async def show_order(site: SiteReader, order: str) -> Row:
    """One order: its `status`, and the statuses of its `parcels`.

    Raises:
        NotFound: if there is no such order.
    """
    found = site.queries.order(order)
    if found is None:
        raise _not_found(site, order)
    return found


async def explain(site: SiteReader, order: str) -> Story:
    """An order's story: every event, how its time is known, its outcome, and the state after it.

    Raises:
        NotFound: if no event of it is stored.
    """
    found = site.queries.facts(order)
    if not found:
        raise NotFound(f"nothing is known of order {order}", fix="list the orders with `dockbridge orders list`")
    whole = fold(order, [stored.fact for stored in found])
    stored_by_uid = {(stored.row.device, stored.row.id): stored for stored in found}
    steps = [_step(fact, whole.verdicts[fact.uid], stored_by_uid[fact.uid]) for fact in (*whole.facts, *whole.voids)]
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
    statuses = [row["status"] for row in found.values() if row is not None]
    return Changes(changes=[Change(s["updated_ms"], s["order"], s["state"], s["rev"]) for s in statuses], after=after, missing=missing)


async def changes_after(site: SiteReader, orders: Sequence[str], *, after: int) -> Changes:
    """What has changed since; of all orders if none is named."""
    rows = site.queries.status_log(after=after, order_ids=orders, limit=CHANGES_MAX)
    changes = [Change(row["updated_ms"], row["order_id"], row["state"], row["rev"]) for row in rows]
    return Changes(changes=changes, after=rows[-1]["no"] if rows else after, missing=[])


def _step(fact: Fact, verdict: Verdict, stored: StoredFact) -> Step:
    outcome = stored.receipt.get("outcome", verdict.outcome.value)
    return Step(
        at_ms=fact.event_ms,
        known_by=stored.row.source,
        error_ms=stored.row.error_ms,
        delay_ms=stored.row.received_ms - stored.row.event_ms,
        device=fact.device,
        type=fact.type,
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
