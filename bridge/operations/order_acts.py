"""What a dispatcher does with an order. Each act is an event of the console, like any other event; before it is sent, it is checked against what is known."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from msgspec import Struct
from msgspec.structs import asdict

from bridge.errors import NotFound, Refused
from bridge.operations import events
from bridge.operations.ports import Row, SiteContext
from devices.protocol.messages import Receipt
from devices.protocol.reasons import CancelReason, HoldReason
from devices.protocol.vocabulary import EventType, Flag, OrderState

_ENDED = frozenset({OrderState.COMPLETED, OrderState.CANCELLED, OrderState.RETURNED})


class VoidReason(StrEnum):
    """Why an event is taken back."""

    DID_NOT_OCCUR = "did_not_occur"
    INCORRECT_DATA = "incorrect_data"


async def hold(site: SiteContext, order: str, reason: HoldReason) -> Receipt:
    """Stop an order: nothing of it is picked, packed or staged until it is released.

    Raises:
        NotFound: if there is no such order.
        Refused: if it has ended, or is held for this reason already.
    """
    status = _open_order(site, order)
    if reason in status.get("holds", ()):
        raise Refused(f"order {order} is on hold for {reason} already", fix=f"`dockbridge orders show {order}` shows its holds")
    return await events.send(site, EventType.HELD, order, {"reason": reason.value})


async def release(site: SiteContext, order: str, reason: HoldReason | None = None, everything: bool = False) -> Receipt:
    """Lift a hold: the one for this reason, every one, or the only one.

    Raises:
        NotFound: if there is no such order.
        Refused: if it is not on hold, or it has several holds and it is not said which.
    """
    holds = _status(site, order).get("holds", [])
    if not holds:
        raise Refused(f"order {order} is not on hold", fix=f"`dockbridge orders show {order}` shows its state")
    if reason is not None and reason not in holds:
        raise Refused(f"order {order} is not on hold for {reason}", fix=f"it is on hold for {', '.join(holds)}")
    if reason is None and not everything and len(holds) > 1:
        raise Refused(f"order {order} is on hold for {', '.join(holds)}", fix="say which one with --reason, or --all")
    body: dict[str, Any] = {"all": True} if everything else {"reason": reason.value} if reason is not None else {}
    return await events.send(site, EventType.RELEASED, order, body)


async def confirm(site: SiteContext, order: str, reason: str = "") -> Receipt:
    """Confirm an order as it is now, after it was amended.

    Raises:
        NotFound: if there is no such order.
        Refused: if it does not wait for that.
    """
    status = _open_order(site, order)
    if Flag.NEEDS_CONFIRM not in status["flags"]:
        raise Refused(f"order {order} does not wait to be confirmed", fix=f"`dockbridge orders show {order}` shows its state")
    return await events.send(site, EventType.APPROVED, order, {})


async def cancel(site: SiteContext, order: str, reason: CancelReason, parcel: str | None = None) -> Receipt:
    """Cancel an order, or one parcel of it. What has left already is asked back: it shows `cancel_requested`.

    Raises:
        NotFound: if there is no such order.
        Refused: if it has ended.
    """
    _open_order(site, order)
    return await events.send(site, EventType.CANCELLED, order, {"reason": reason.value}, parcel=parcel)


class Sent(Struct, frozen=True, kw_only=True):
    """How an order, or a parcel of it, is to be sent from now on; None stays as it is."""

    carrier: str | None = None
    service: str | None = None
    tracking: str | None = None
    ship_by_ms: int | None = None


async def amend(
    site: SiteContext, order: str, lines: Mapping[str, int] | None, reason: str = "", sent: Sent | None = None, parcel: str | None = None
) -> Receipt:
    """Change what is ordered: SKU and quantity of each line, all of them; somebody has to confirm it if picking has begun. Or change how it is sent: of the
    whole order, or of one parcel.

    Raises:
        NotFound: if there is no such order, or it has no such parcel.
        Refused: if it has ended, no line is left, or nothing is to be changed.
    """
    _open_order(site, order)
    if lines is not None and not lines:
        raise Refused("an order has at least one line", fix="name every line that is to remain, or cancel the order")
    if parcel is not None:
        _check_parcel(site, order, parcel)
        if lines is not None or (sent is not None and sent.ship_by_ms is not None):
            raise Refused("lines and times are the order's, not a parcel's", fix="amend them without --parcel")
    changes = {name: value for name, value in asdict(sent or Sent()).items() if value is not None}
    if lines is not None:
        changes["lines"] = [{"sku": sku, "qty": qty} for sku, qty in lines.items()]
    if not changes:
        raise Refused("nothing is to be changed", fix="name every line that the order has from now on (--line), or how it is sent (--carrier, --tracking, …)")
    changed = [name.removesuffix("_ms") for name in changes]
    return await events.send(site, EventType.AMENDED, order, {"changed": changed, **changes}, parcel=parcel)


async def complete(site: SiteContext, order: str, reason: str = "") -> Receipt:
    """Complete an order by hand, where time would do it later.

    Raises:
        NotFound: if there is no such order.
        Refused: if it is not delivered.
    """
    status = _open_order(site, order)
    if status["state"] != OrderState.DELIVERED:
        raise Refused(f"order {order} is {status['state']}, not delivered", fix="wait for its delivery, or cancel it")
    return await events.send(site, EventType.COMPLETED, order, {})


async def void(site: SiteContext, event: str, reason: VoidReason = VoidReason.DID_NOT_OCCUR) -> Receipt:
    """Take back an event, as if it had never been sent. Its id is in `dockbridge orders explain` and `events list`.

    Raises:
        NotFound: if there is no such event.
        Refused: if it can't be taken back.
    """
    ref = event_ref(event)
    found = site.queries.events_with_id(ref)
    if not found:
        raise NotFound(f"there is no event {event}", fix="`dockbridge events list --order ORDER --json` shows the ids of its events")
    if found[0]["type"] == EventType.VOID:
        raise Refused("a void can't be taken back", fix="send the event again that it took back")
    return await events.send(site, EventType.VOID, found[0]["order"], {"ref": ref, "reason": reason.value})


async def relabel(site: SiteContext, order: str, code: str, replaces: str | None = None, parcel: str | None = None, reason: str = "") -> Receipt:
    """Record that a parcel has a new label, in place of another one if `replaces` names it.

    Raises:
        NotFound: if there is no such order, or it has no such parcel.
        Refused: if the code is taken, or it is not said which parcel is meant.
    """
    _status(site, order)
    parcels = _check_parcel(site, order, parcel)
    if parcel is None and replaces is None and len(parcels) > 1:
        raise Refused(f"order {order} has several parcels", fix=f"name one with --parcel: {', '.join(parcels)}; or the old label with --replaces")
    body = {"code": code, "kind": "plain", **({"replaces": replaces} if replaces else {})}
    return await events.send(site, EventType.LABELLED, order, body, parcel=parcel)


def _check_parcel(site: SiteContext, order: str, parcel: str | None) -> list[str]:
    """The parcels of an order; the one that is named has to be among them."""
    found = site.queries.order(order)
    parcels = [p["parcel"] for p in found["parcels"]] if found is not None else []
    if not parcels:
        raise Refused(f"order {order} has no parcel yet", fix="a parcel is there once it was packed")
    if parcel is not None and parcel not in parcels:
        raise NotFound(f"order {order} has no parcel {parcel}", fix=f"it has {', '.join(parcels)}")
    return parcels


def event_ref(event: str) -> bytes:
    """An event's id from its text, with or without hyphens; empty if it is none."""
    try:
        return bytes.fromhex(event.replace("-", ""))
    except ValueError:
        return b""


def _status(site: SiteContext, order: str) -> Row:
    found = site.queries.order(order)
    if found is None:
        raise NotFound(f"there is no order {order}", fix="list the orders with `dockbridge orders list`")
    status: Row = found["status"]
    return status


def _open_order(site: SiteContext, order: str) -> Row:
    status = _status(site, order)
    if status["state"] in _ENDED:
        raise Refused(f"order {order} is {status['state']}", fix=f"`dockbridge orders explain {order}` says why; an event can be taken back with `events void`")
    return status
