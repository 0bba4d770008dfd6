"""The events that follow from an order of a shop's file, given what its channel has said of the order before.

A file says how an order is; events say what happened. So a file is compared with what the channel said last, and only what is new becomes events: the first
time `created` and all that its status proves, later an `amended` with the changes, and how the order moved on. Ids derive from the channel, the order, the
event type and what was said before: however often an import is broken off and run again, each event is stored once.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

import cbor2

from bridge.domain.lifecycle import ORDER_RANK
from bridge.shop.assembly import ShopOrder
from bridge.shop.contact_cells import NOBODY, Contact
from bridge.shop.mapping import ShopMap
from devices.protocol.vocabulary import EventType, OrderState, PodMethod

Payload = tuple[EventType, bytes]
"""An event as it is sent: its type, and its payload in CBOR."""


SENDING: Final = ("carrier", "service", "tracking", "ship_by_ms")
"""The fields of an order's creation that say how it is sent."""
_OF_CARRIER: Final = ("service", "tracking")


@dataclass(slots=True, kw_only=True)
class Said:
    """What a channel has said of an order before, and where the order is now, if it is known.

    `sending` is how it is sent, as in `_sending`. `contact` is who gets it, in plain; if that `is_forgotten`, nothing of it is said again.
    """

    kinds: set[EventType] = field(default_factory=set)
    lines: dict[str, int] | None = None
    promise_ms: int | None = None
    sending: dict[str, Any] = field(default_factory=dict)
    contact: Contact = field(default_factory=dict)
    is_forgotten: bool = False
    amount_minor: int | None = None
    paid_minor: int = 0
    amendments: int = 0
    state: str | None = None
    parcels: tuple[str, ...] = ()


class News(NamedTuple):
    """What of an order is new: the events to send, how many of the file's are known already, and why nothing can be sent, if so."""

    events: list[Payload]
    known: int = 0
    problem: str | None = None


class _Fact(NamedTuple):
    """An event to be: `more` is what else its id derives from."""

    kind: EventType
    at_ms: int
    body: dict[str, Any]
    more: tuple[str, ...] = ()
    parcel: str | None = None


def derived_event_id(at_ms: int, *parts: str) -> bytes:
    """A UUIDv7 (RFC 9562 §5.7) with a hash as its random bits: the same row always gives the same id."""
    digest = bytearray(hashlib.sha256("\0".join(parts).encode()).digest()[:10])
    digest[0] = 0x70 | digest[0] & 0x0F
    digest[2] = 0x80 | digest[2] & 0x3F
    return at_ms.to_bytes(6, "big") + bytes(digest)


def derived_log(*parts: str) -> bytes:
    """The log id of events that are derived from a file."""
    return hashlib.sha256("\0".join(("log", *parts)).encode()).digest()[:8]


_THROUGH: Final[dict[OrderState, tuple[EventType, ...]]] = {
    OrderState.SHIPPED: (EventType.PICKUP,),
    OrderState.OUT_FOR_DELIVERY: (EventType.PICKUP, EventType.OUT_FOR_DELIVERY),
    OrderState.DELIVERED: (EventType.PICKUP, EventType.DELIVERY),
    OrderState.COMPLETED: (EventType.PICKUP, EventType.DELIVERY, EventType.COMPLETED),
    OrderState.RETURNING: (EventType.PICKUP, EventType.RETURN_STARTED),
    OrderState.RETURNED: (EventType.PICKUP, EventType.RETURNED),
}
"""What happened to an order that has left the warehouse."""
_BODIES: Final[dict[EventType, dict[str, Any]]] = {
    EventType.PICKUP: {},
    EventType.OUT_FOR_DELIVERY: {},
    EventType.DELIVERY: {"pod": {"method": PodMethod.NONE.value}},
    EventType.RETURN_STARTED: {"reason": "other"},
    EventType.COMPLETED: {},
}
_REACHED: Final = {
    EventType.PICKUP: OrderState.SHIPPED,
    EventType.OUT_FOR_DELIVERY: OrderState.OUT_FOR_DELIVERY,
    EventType.DELIVERY: OrderState.DELIVERED,
    EventType.COMPLETED: OrderState.COMPLETED,
}
"""The state that an event of `_THROUGH` leads to, if others come after it."""
_ENDED: Final = frozenset({OrderState.COMPLETED, OrderState.CANCELLED, OrderState.RETURNED})
_ARRIVED: Final = frozenset({OrderState.DELIVERED, OrderState.COMPLETED, OrderState.RETURNED})
"""States of an order to whose customer nothing is brought any more: what a later file says of them is not needed."""
_BEFORE: Final = frozenset({OrderState.PENDING_PAYMENT, OrderState.PAID, OrderState.APPROVED, OrderState.PICKING, OrderState.PACKED})
"""States of an order of which nothing has left."""
_RANKS: Final[dict[str, int]] = {state.value: rank for state, rank in ORDER_RANK.items()}

_SEQ: Final = {kind: seq for seq, kind in enumerate((EventType.CREATED, EventType.PAID, EventType.APPROVED, EventType.CANCELLED, EventType.COMPLETED), 1)} | {
    kind: seq for seq, kind in enumerate((EventType.PICKUP, EventType.OUT_FOR_DELIVERY, EventType.DELIVERY, EventType.RETURN_STARTED, EventType.RETURNED), 6)
}
"""One seq for each type, so that a later export of an order can add events that the first did not contain."""
_SEQ_AMENDED: Final = 11
_SECOND_EDITION: Final = {EventType.CREATED: "amount_minor", EventType.CANCELLED: "since_ms"}
"""Fields that the first edition did not send. With one of them an event has another id: under the old one, an order that was imported before would be
`id_reused`; this way its second creation or cancellation changes nothing."""


def state_said(order: ShopOrder, shop: ShopMap) -> str:
    """The state that the file says: with its status, or, if it has none, with its times."""
    if order.expected is not None:
        return order.expected
    if order.delivered_ms is not None:
        return OrderState.DELIVERED
    if order.shipped_ms is not None:
        return OrderState.SHIPPED
    if order.approved_ms is not None:
        return OrderState.APPROVED
    return OrderState.PAID if order.paid_ms is not None and payment_of(order, shop) == "prepaid" else OrderState.PENDING_PAYMENT


def payment_of(order: ShopOrder, shop: ShopMap) -> str:
    return order.payment or shop.payment


def order_events(order: ShopOrder, shop: ShopMap) -> list[Payload]:
    """The events of an order of which nothing was said before."""
    return order_news(order, shop, Said()).events


def order_news(order: ShopOrder, shop: ShopMap, said: Said) -> News:
    """What of an order is new.

    Each order has its own log, so that rows may come from any file and in any order.
    """
    state = OrderState(state_said(order, shop))
    if not order.items and EventType.CREATED not in said.kinds:
        return News([])  # it was cancelled before anything was said of it
    problem = _problem(order, state, said)
    if problem is not None:
        return News([], problem=problem)
    facts = _facts(order, state, shop, said)
    new = [fact for fact in facts if not _is_known(fact, said)]
    if said.lines is not None:
        new += _changes(order, state, shop, said)
    log = derived_log(shop.channel, order.order)
    return News([(fact.kind, _payload(fact, order.order, shop.channel, log, said)) for fact in new], sum(_is_known(fact, said) for fact in facts))


def _problem(order: ShopOrder, state: OrderState, said: Said) -> str | None:
    if EventType.CANCELLED in said.kinds and state is not OrderState.CANCELLED:
        return f"an earlier file cancelled it, and this one says {state}: take the cancellation back with `dockbridge events void`, then import it again"
    if said.state == OrderState.CANCELLED and state in _THROUGH and not said.kinds & set(_THROUGH[state]):
        return f"it is cancelled here, and the file says {state}: find out which is right; `dockbridge orders explain {order.order}` says who cancelled it"
    has_left = said.state is not None and said.state not in _BEFORE and said.state not in _ENDED
    if said.lines is not None and order.items != said.lines and has_left and state not in _THROUGH and state is not OrderState.CANCELLED:
        return f"its items changed, and it is {said.state} already: nothing of it can be changed any more"
    return None


# --- what the file says -----------------------------------------------------------------------------------------------------


def _facts(order: ShopOrder, state: OrderState, shop: ShopMap, said: Said) -> list[_Fact]:
    """Everything that the file says happened."""
    facts = [_Fact(EventType.CREATED, order.created_ms, _created(order, shop, said), _edition(EventType.CREATED, order.amount_minor))]
    is_cancelled, is_through = state is OrderState.CANCELLED, state in _THROUGH
    paid_ms = order.paid_ms if order.paid_ms is not None else order.approved_ms
    is_approved = is_through or state in _BEFORE - {OrderState.PENDING_PAYMENT, OrderState.PAID} or (is_cancelled and order.approved_ms is not None)
    if payment_of(order, shop) == "prepaid" and (is_approved or state is OrderState.PAID or (is_cancelled and paid_ms is not None)):
        facts.append(_paid(order, shop, paid_ms, said))
    if is_approved:
        facts.append(_Fact(EventType.APPROVED, order.approved_ms or paid_ms or order.created_ms, {}))
    if is_cancelled:
        # It binds from today, because until now nobody in the warehouse knew; it is shown as of when the shop cancelled, as far as the file says.
        since_ms = order.cancelled_ms if order.cancelled_ms is not None else order.created_ms
        body = {"reason": order.status[:64] or "cancelled", "since_ms": since_ms}
        facts.append(_Fact(EventType.CANCELLED, order.created_ms, body, _edition(EventType.CANCELLED, True)))
    if is_through:
        facts += _way(order, state, shop, said)
    return facts


def _edition(kind: EventType, has_field: Any) -> tuple[str, ...]:
    return (_SECOND_EDITION[kind],) if has_field else ()


def _paid(order: ShopOrder, shop: ShopMap, paid_ms: int | None, said: Said) -> _Fact:
    """A payment of all that is not paid yet, as far as the channel has said."""
    amount_minor = max(order.amount_minor - said.paid_minor, 0)
    more = (str(said.paid_minor),) if said.paid_minor else ()
    body = {"amount_minor": amount_minor, "currency": order.currency or shop.currency}
    return _Fact(EventType.PAID, paid_ms if paid_ms is not None else order.created_ms, body, more)


def _way(order: ShopOrder, state: OrderState, shop: ShopMap, said: Said) -> list[_Fact]:
    """How an order left, by the times of the file; what has no time happened at the last time before it."""
    at_ms = max(t for t in (order.created_ms, order.paid_ms, order.approved_ms) if t is not None)
    facts = []
    for kind in _THROUGH[state]:
        if kind is EventType.PICKUP and order.shipped_ms is not None:
            at_ms = order.shipped_ms
        elif kind is EventType.DELIVERY and order.delivered_ms is not None:
            at_ms = order.delivered_ms
        if kind is EventType.COMPLETED:
            facts.append(_Fact(kind, at_ms, {}))
            continue
        body = _BODIES[kind] if kind is not EventType.RETURNED else {"dock": shop.channel}
        facts += [_Fact(kind, at_ms, body, (parcel,), parcel) for parcel in said.parcels or (f"{order.order}-1",)]
    return facts


def _created(order: ShopOrder, shop: ShopMap, said: Said) -> dict[str, Any]:
    body: dict[str, Any] = {"channel": shop.channel, "lines": _lines(order), "allow_partial": False, "payment": payment_of(order, shop)}
    if order.amount_minor:
        body |= {"amount_minor": order.amount_minor, "currency": order.currency or shop.currency}
    if order.promised_ms is not None:
        body["promise_ms"] = order.promised_ms
    body |= _sending(order)
    if (country := order.country or shop.country) is not None:
        body["dest_country"] = country
    if order.contact and not said.is_forgotten:
        body["contact"] = order.contact
    return body


def _sending(order: ShopOrder) -> dict[str, Any]:
    """How it is sent: the fields of `SENDING`, as far as the file has them."""
    found = {"carrier": order.carrier, "service": order.service, "tracking": order.tracking, "ship_by_ms": order.ship_by_ms}
    return {name: value for name, value in found.items() if value is not None}


def _lines(order: ShopOrder) -> list[dict[str, Any]]:
    """The items by SKU: the order of a file's rows means nothing."""
    return [{"qty": qty, "sku": sku} for sku, qty in sorted(order.items.items())]


# --- what of it is new ------------------------------------------------------------------------------------------------------


def _is_known(fact: _Fact, said: Said) -> bool:
    if fact.kind is EventType.PAID:
        return fact.kind in said.kinds and not (said.paid_minor and fact.body["amount_minor"])
    if fact.kind in said.kinds:
        return True
    reached = _REACHED.get(fact.kind)
    # A state that only some parcels have (`partially_…`) has no rank: then each parcel is told of.
    return reached is not None and _RANKS.get(said.state or "", -1) >= ORDER_RANK[reached]


def _changes(order: ShopOrder, state: OrderState, shop: ShopMap, said: Said) -> list[_Fact]:
    """An amendment with what differs from what the channel said last. Of an order that is through, nothing is to be done any more: it may get its number, and,
    until it has arrived, another contact."""
    if state is OrderState.CANCELLED or said.state in _ENDED:
        return []
    sending = _sending(order)
    body = {name: value for name, value in sending.items() if value != said.sending.get(name)}
    if "carrier" in body:  # with another carrier, the service and the number of the one before end
        body |= {name: sending[name] for name in _OF_CARRIER if name in sending}
    if state not in _THROUGH:
        body |= _contents(order, shop, said)
    if state not in _ARRIVED and order.contact not in (NOBODY, said.contact) and not said.is_forgotten:
        body["contact"] = order.contact
    if not body:
        return []
    changed = [name for field_, name in _CHANGED.items() if field_ in body]
    return [_Fact(EventType.AMENDED, order.created_ms, {"changed": changed, **body}, (str(said.amendments),))]


def _contents(order: ShopOrder, shop: ShopMap, said: Said) -> dict[str, Any]:
    """What differs of what was ordered."""
    body: dict[str, Any] = {}
    if order.items != said.lines:
        body["lines"] = _lines(order)
    if order.promised_ms is not None and order.promised_ms != said.promise_ms:
        body["promise_ms"] = order.promised_ms
    if said.amount_minor and order.amount_minor and order.amount_minor != said.amount_minor:
        body |= {"amount_minor": order.amount_minor, "currency": order.currency or shop.currency}
    return body


_CHANGED: Final = {
    "lines": "lines",
    "promise_ms": "promise",
    "amount_minor": "amount",
    "carrier": "carrier",
    "service": "service",
    "tracking": "tracking",
    "ship_by_ms": "ship_by",
    "contact": "contact",
}


def _payload(fact: _Fact, order: str, channel: str, log: bytes, said: Said) -> bytes:
    """An event in core deterministic encoding. Its keys are written in that order, which takes a third of the time of having them sorted."""
    event = {
        "id": derived_event_id(fact.at_ms, channel, order, fact.kind, *fact.more),
        "log": log,
        "seq": _SEQ.get(fact.kind, _SEQ_AMENDED + said.amendments),
        "body": _in_order(fact.body),
        "boot": log,
        "at_ms": fact.at_ms,
        "order": order,
        **({"parcel": fact.parcel} if fact.parcel is not None else {}),
        "mono_ms": fact.at_ms,
        "sent_boot": log,
        "sent_mono_ms": fact.at_ms,
    }
    return cbor2.dumps(event)


def _in_order(body: dict[str, Any]) -> dict[str, Any]:
    """A body with its keys in deterministic order (RFC 8949 §4.2.1: shorter keys first). What is in its lists and in its contact is in order already."""
    return {name: body[name] for name in sorted(body, key=_by_length)} if len(body) > 1 else body


def _by_length(name: str) -> tuple[int, str]:
    return len(name), name
