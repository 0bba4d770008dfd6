"""Who may do what. The answer follows from the identity and the shape of the topic; there is no access list to maintain.

Three questions, each answered with a reason: may this identity send this event type, publish to this topic, subscribe to this filter?
A filter is granted only if everything that it can match is allowed.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final, NamedTuple

from devices.protocol.claims import CLAIM_PREFIX
from devices.protocol.topics import Topics, covers, escape, topic_filter_fault, topic_name_fault, unescape
from devices.protocol.vocabulary import EventType as E
from devices.protocol.vocabulary import Role

_TYPE = re.compile(r"[a-z_]{1,40}")
"""How event types look: what looks otherwise is not repeated, for it may be a name."""
_ORDER = frozenset({E.CREATED, E.PAID, E.REFUNDED, E.APPROVED, E.AMENDED, E.HELD, E.RELEASED, E.CANCELLED, E.COMPLETED, E.NOTE_ADDED})
_SHIFT = frozenset({E.SHIFT_STARTED, E.SHIFT_ENDED, E.BREAK_STARTED, E.BREAK_ENDED})
_WAREHOUSE = frozenset({E.PICK, E.PACK, E.UNPACK, E.LABELLED, E.AGGREGATED, E.DISAGGREGATED, E.STAGE, E.LOAD, E.UNLOAD})
_LINE_HAUL = frozenset({E.DEPART, E.ARRIVE, E.CUSTOMS_ENTERED, E.CUSTOMS_HELD, E.CUSTOMS_CLEARED, E.BORDER_ENTERED})
_DISPATCH = frozenset({E.ASSIGNED, E.UNASSIGNED})
_CASH = frozenset({E.CASH_COUNTED})
_DELIVERY = frozenset(
    {E.PICKUP, E.OUT_FOR_DELIVERY, E.STOP_ARRIVED, E.ATTEMPT_FAILED, E.AVAILABLE_FOR_PICKUP, E.DELIVERY, E.REFUSED, E.RETURN_STARTED, E.RETURNED},
)
_COURIER = _DELIVERY | _CASH | {E.CLAIM, E.DECLINE}
_OF_DESK = frozenset(
    {E.APPROVED, E.AMENDED, E.HELD, E.RELEASED, E.CANCELLED, E.COMPLETED, E.NOTE_ADDED, E.LABELLED, E.RETURN_STARTED, E.SHIFT_ENDED, E.VOID},
)
_CONDITION = frozenset({E.DAMAGED, E.LOST, E.FOUND})

MAY_SEND: Final[dict[Role, frozenset[E]]] = {
    Role.SCANNER: _SHIFT | _WAREHOUSE | _LINE_HAUL | _CONDITION | {E.RETURNED, E.DELIVERY, E.DESTROYED, E.VOID},
    Role.COURIER: _SHIFT | _COURIER | _CONDITION | {E.VOID},
    Role.SYSTEM: _ORDER | _DISPATCH | _CASH | _LINE_HAUL | _DELIVERY | _CONDITION | {E.DESTROYED, E.VOID},
    Role.CARRIER: _LINE_HAUL | _DELIVERY | _CONDITION | {E.DESTROYED, E.VOID},
    Role.DESK: _DISPATCH | _CASH | _OF_DESK,
    Role.LAB: frozenset(),
}
"""The role table of the contract."""

NOSUBSCRIBE: Final = "test/nosubscribe"
"""The filter that Eclipse Paho's interoperability tests expect to be refused."""

SHARE: Final = "$share"
"""Shared subscriptions belong to MQTT 5. If one were granted as an ordinary filter, its client would receive nothing and not know why."""


class Redeems(NamedTuple):
    """A claim that a client redeems: the device's, and the SHA-256 of its token (hex)."""

    device: str
    token_sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Who a connection is, according to its credentials and never to a payload.

    `courier` is the courier that a phone is bound to. `orders_prefix` limits a system to its own orders, in what it sends and in what it reads; with None it
    serves all orders of the site. `enrolled_ms` is when the device was enrolled, 0 if that is not known.
    `reads_everything` is set only for the clients of a laboratory (`dockbridge serve --lab`), `redeems` only for a client that redeems a claim: it may read
    the credentials of that device and do nothing else.
    """

    site: str
    device: str
    role: Role
    courier: str | None = None
    orders_prefix: str | None = None
    at: str | None = None
    enrolled_ms: int = 0
    reads_everything: bool = False
    redeems: Redeems | None = None

    def redeeming(self, claim: Redeems) -> Identity:
        """The identity of a client that redeems this device's claim. It has a name of its own: it is not the device, and reaches none of its sessions."""
        return replace(self, device=CLAIM_PREFIX + self.device, redeems=claim)


class Answer(NamedTuple):
    """Yes or no, and the rule that says so."""

    allowed: bool
    rule: str


class Kind(StrEnum):
    """What a publish is to the bridge."""

    EVENTS = "events"
    PRESENCE = "presence"
    LOCATION = "location"
    PLAIN = "plain"
    """Outside v1/."""
    DENIED = "denied"
    POISON = "poison"
    """Its content could not be settled."""


class Publishing(NamedTuple):
    """What a publish to an allowed topic is: `events` (with the event type), `presence` or `location`, or outside v1/ `plain`."""

    kind: Kind
    event_type: str | None = None


OpenOrders = Callable[[str, str], bool]
"""(courier, order) → whether the order is in an open job of the courier."""


def may_send(role: Role, event_type: str) -> Answer:
    """Whether a role may send an event type."""
    try:
        known = E(event_type)
    except ValueError:
        named = f"event type {event_type!r}" if _TYPE.fullmatch(event_type) else "event type of this name"
        return Answer(False, f"there is no {named}")
    if known in MAY_SEND[role]:
        return Answer(True, f"role {role} sends {event_type}")
    return Answer(False, f"role {role} does not send {event_type}")


def may_send_about(identity: Identity, order: str | None) -> Answer:
    """Whether an identity may send an event about an order; None is an order that is not known yet.

    The rule does not name the order: whose order a label or a job belongs to is not for another shop to learn.
    """
    prefix = identity.orders_prefix if identity.role is Role.SYSTEM else None
    if prefix is None:
        return Answer(True, f"role {identity.role} sends events about every order")
    rule = f"{identity.device} sends events about orders whose id begins with {prefix}"
    if order is None:
        return Answer(False, f"{rule}; of this one the order is not known: name it")
    return Answer(True, rule) if order.startswith(prefix) else Answer(False, f"{rule}; this one is about another order")


def may_publish(identity: Identity, topic: str) -> tuple[Answer, Publishing | None]:
    """Whether an identity may publish to a topic name, and what such a publish is."""
    if fault := topic_name_fault(topic):
        return Answer(False, fault), None
    if identity.redeems is not None:
        return Answer(False, "a client that redeems a claim publishes nothing"), None
    if topic.startswith("$") and not identity.reads_everything:
        return Answer(False, "topics that begin with $ are reserved for the broker"), None
    levels = topic.split("/")
    if levels[0] != "v1":
        if identity.role is not Role.LAB:
            return Answer(False, "outside v1/ only role lab publishes"), None
        return Answer(True, "role lab publishes outside v1/"), Publishing(Kind.PLAIN)
    if identity.role is Role.LAB:
        return Answer(False, "role lab does not publish in v1/"), None
    own = [*Topics(identity.site).base.split("/"), "devices", escape(identity.device)]
    if levels[: len(own)] != own:
        elsewhere = "" if levels[1:2] == own[1:2] else f", and this is site {identity.site}: the client is set up for another"
        return Answer(False, f"a device publishes only below its own devices/{{device}}/, which is {'/'.join(own)}/ here{elsewhere}"), None
    rest = levels[len(own) :]
    if rest == ["location"] and identity.role is not Role.COURIER:
        return Answer(False, "only role courier publishes its location"), Publishing(Kind.LOCATION)
    if rest in (["presence"], ["location"]):
        return Answer(True, f"a device publishes its own {rest[0]}"), Publishing(Kind(rest[0]))
    if len(rest) == 2 and rest[0] == "events":
        answer = may_send(identity.role, rest[1])
        if answer.allowed and identity.role is Role.SYSTEM and identity.orders_prefix is not None:
            answer = Answer(True, f"{answer.rule}, here about orders whose id begins with {identity.orders_prefix}")
        return answer, Publishing(Kind.EVENTS, rest[1])
    return Answer(False, "a device publishes events/{type}, presence and location, nothing else"), None


def readable(identity: Identity) -> tuple[str, ...]:
    """The widest filters that an identity may be granted, apart from those of single orders."""
    t = Topics(identity.site)
    base = t.base
    receipts = t.receipts(identity.device)
    match identity.role:
        case Role.SCANNER | Role.CARRIER:
            return (receipts, t.bridge_state)
        case Role.COURIER:
            return (receipts, t.bridge_state, *((t.assignments(identity.courier),) if identity.courier else ()))
        case Role.SYSTEM:
            return (receipts, t.bridge_state, *(() if identity.orders_prefix else (f"{base}/orders/#",)))
        case Role.DESK:
            wide = ("orders/#", "alerts/#", "devices/+/presence", "couriers/+/assignments/+", "bridge/state")
            return (receipts, *(f"{base}/{w}" for w in wide))
        case _:
            return ()


def may_subscribe(identity: Identity, topic_filter: str, in_open_job: OpenOrders) -> Answer:
    """Whether an identity may be granted a topic filter."""
    if fault := topic_filter_fault(topic_filter):
        return Answer(False, fault)
    if identity.reads_everything:
        levels = topic_filter.split("/")
        refused = topic_filter == NOSUBSCRIBE or levels[0] == SHARE or levels[:2] == ["$dockbridge", "none"]
        return Answer(not refused, f"a laboratory reads everything but {SHARE}/, $dockbridge/none/ and {NOSUBSCRIBE}")
    if identity.redeems is not None:
        own = Topics(identity.site).credentials(identity.redeems.device)
        return Answer(topic_filter == own, f"a client that redeems a claim reads {own} and nothing else")
    if topic_filter.startswith("$"):
        return Answer(False, "filters that begin with $ are not served")
    if identity.role is Role.LAB:
        free = topic_filter.split("/")[0] not in ("v1", "+", "#")
        return Answer(free, "role lab reads outside v1/ only")
    for allowed in readable(identity):
        if covers(allowed, topic_filter):
            return Answer(True, f"role {identity.role} reads {allowed}")
    return _single_order(identity, topic_filter, in_open_job)


def _single_order(identity: Identity, topic_filter: str, in_open_job: OpenOrders) -> Answer:
    """Topics of one order: of a courier's open jobs, or of a shop's own orders. Such a filter has no wildcard, so its levels are compared one by one."""
    base = Topics(identity.site).base.split("/")
    levels = topic_filter.split("/")
    refused = Answer(False, f"role {identity.role} reads only {', '.join(readable(identity)) or 'nothing'}")
    if levels[: len(base)] != base or len(levels) < len(base) + 3 or levels[len(base)] != "orders":
        return refused
    try:
        order = unescape(levels[len(base) + 1])
    except ValueError:
        return refused
    leaf = levels[len(base) + 2 :]
    if identity.role is Role.COURIER and identity.courier and leaf in (["status"], ["eta"]):
        held = in_open_job(identity.courier, order)
        return Answer(held, f"a courier reads status and eta of the orders in open jobs; {order} is {'in one' if held else 'in none'}")
    if identity.role is Role.SYSTEM and identity.orders_prefix:
        own = order.startswith(identity.orders_prefix)
        return Answer(own, f"this system reads orders whose id begins with {identity.orders_prefix}")
    return refused
