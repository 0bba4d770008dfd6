"""What a load sends: orders of 25 events from payment to delivery, encoded beforehand, so that encoding does not slow the generator down."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from devices.protocol import messages
from devices.protocol.topics import Topics
from devices.protocol.vocabulary import Role

SITE: Final = "main"
WATCHER: Final = "watcher"
SKUS: Final = tuple(f"sku-{n}" for n in range(10))
SHOP_EVENTS: Final = 3
_LINES: Final = [{"sku": sku, "qty": 1} for sku in SKUS]

Step = tuple[str, str, dict[str, Any]]
"""(who, type, body) of one event."""

ORDER_STORY: Final[tuple[Step, ...]] = (
    ("shop", "created", {"channel": "shop", "lines": _LINES, "allow_partial": False, "payment": "prepaid"}),
    ("shop", "paid", {"amount_minor": 4200, "currency": "EUR"}),
    ("shop", "approved", {}),
    *(("scan", "pick", {"sku": sku, "qty": 1}) for sku in SKUS),
    ("scan", "pack", {"weight_g": 1250}),
    ("scan", "labelled", {"kind": "waybill"}),
    ("scan", "stage", {"dock": "d1"}),
    ("scan", "load", {"vehicle": "v1"}),
    ("scan", "depart", {"hub": "h1"}),
    ("scan", "arrive", {"hub": "h2"}),
    ("scan", "depart", {"hub": "h2"}),
    ("scan", "arrive", {"hub": "h3"}),
    ("scan", "depart", {"hub": "h3"}),
    ("scan", "arrive", {"hub": "h4"}),
    ("scan", "damaged", {"severity": "minor"}),
    ("scan", "delivery", {"pod": {"method": "scan"}}),
)
"""The events of one order, from paid to delivered."""

_SHORT: Final = ("created", "paid", "approved", "pack", "labelled", "stage", "load", "depart", "arrive", "delivery")
SHORT_STORY: Final = tuple(next(s for s in ORDER_STORY if s[1] == kind) for kind in _SHORT)
"""An order of 10 events: a database of 10 million events holds a million of them."""


class Planned(NamedTuple):
    """One event for a device to send."""

    event_id: bytes
    event_type: str
    topic: bytes
    payload: bytes


@dataclass(slots=True)
class Device:
    """A simulated device: what it sends before the measurement, and what during it."""

    name: str
    role: Role
    before: list[Planned] = field(default_factory=list)
    todo: list[Planned] = field(default_factory=list)


@dataclass(slots=True)
class Plan:
    """A fleet, and the order in which an open loop sends its events (device by device)."""

    fleet: list[Device]
    sequence: list[Device]

    @property
    def events(self) -> int:
        return len(self.sequence)


def shops_of(devices: int) -> int:
    """How many of a fleet are shops. They send 3 events of 25 but are a fifth of the fleet, so that an order exists before it is picked."""
    return max(1, devices // 5)


def fleet_roles(devices: int) -> dict[str, Role]:
    """Names and roles of a fleet. A fleet of one is a scanner: its shop sends before the measurement begins, and is not counted."""
    shops = shops_of(devices)
    scanners = max(1, devices - shops)
    return {**{f"shop-{n}": Role.SYSTEM for n in range(shops)}, **{f"scan-{n}": Role.SCANNER for n in range(scanners)}}


def plan(devices: int, orders: int, *, now_ms: int, prefix: str = "b", seed: int = 1, contacts: bool = False) -> Plan:
    """Devices with their events. Every order goes through one shop and one scanner, so that each sends its events in order.

    The orders of the first block, one for each device, are created before the measurement: then no scan waits for its order, whatever a server's speed, and
    every contestant has the same work.
    """
    fleet = {name: Device(name, role) for name, role in fleet_roles(devices).items()}
    sequence = []
    log = hashlib.sha256(prefix.encode()).digest()[:4]
    for sent in events_of(devices, range(orders), now_ms=now_ms, prefix=prefix, seed=seed, log=log, seqs={}, contacts=contacts):
        device = fleet[sent.device]
        if sent.is_early:
            device.before.append(sent.planned)
        else:
            device.todo.append(sent.planned)
            sequence.append(device)
    return Plan(list(fleet.values()), sequence)


def contact_of(order: int) -> dict[str, Any]:
    """Who gets an order: as much as a shop usually says."""
    return {
        "name": f"Customer Number{order}",
        "phone": f"+49 30 {order:09}",
        "street": f"Long Street {order}",
        "city": "Berlin",
        "postcode": "10178",
        "country": "DE",
        "note": "Please ring twice, the bell is quiet.",
    }


class Sent(NamedTuple):
    """An event, who sends it, when it happens, and whether it is sent before the measurement."""

    device: str
    planned: Planned
    at_ms: int
    is_early: bool


def events_of(
    devices: int,
    orders: range,
    *,
    now_ms: int,
    prefix: str,
    seed: int,
    log: bytes,
    seqs: dict[str, int],
    story: Sequence[Step] = ORDER_STORY,
    order_every_ms: float = 0.0,
    contacts: bool = False,
) -> Iterator[Sent]:
    """The events of some orders in the order in which they happen: shops are a block of orders ahead of scanners.

    Args:
        orders: their numbers.
        log: the first half of every device's log id.
        seqs: the last number of each device in its log; numbering continues from there, and this is updated.
        contacts: each order says who gets it.
        order_every_ms: the time between the beginnings of two orders, in the mean: those of a block begin together, so that no device's counter goes back.
    """
    rng = random.Random(seed)
    topics = Topics(SITE)
    shops = shops_of(devices)
    scanners = max(1, devices - shops)
    boot = log + b"boot"
    base_ms = now_ms - 60_000
    names: dict[tuple[str, str], bytes] = {}

    def event(step: int, order: int) -> tuple[str, Planned, int]:
        who, kind, body = story[step]
        number = order % (shops if who == "shop" else scanners)
        device = f"{who}-{number}"
        seq = seqs[device] = seqs.get(device, 0) + 1
        since_ms = step + int(order // devices * devices * order_every_ms)
        at_ms = base_ms + since_ms
        event_id = at_ms.to_bytes(6, "big") + b"\x70" + rng.randbytes(1) + bytes((0x80 | rng.getrandbits(6),)) + rng.randbytes(7)
        fields = {
            "id": event_id,
            "log": log + number.to_bytes(4, "big"),
            "seq": seq,
            "boot": boot,
            "mono_ms": 60_000 + since_ms,
            "at_ms": at_ms,
            "sent_boot": boot,
            "sent_mono_ms": 60_000 + since_ms,
            "order": f"{prefix}-{order}",
            "body": {**body, "code": f"WB-{prefix}-{order}"}
            if kind == "labelled"
            else {**body, "contact": contact_of(order)}
            if contacts and not step
            else body,
        }
        topic = names.get((device, kind))
        if topic is None:
            topic = names[(device, kind)] = topics.event(device, kind).encode()
        return device, Planned(event_id, kind, topic, messages.encode_cbor(fields)), at_ms

    blocks = [orders[first : first + devices] for first in range(0, len(orders), devices)]
    for number, block in enumerate([*blocks, None]):
        shop = [(step, order) for step in range(SHOP_EVENTS) for order in block] if block is not None else []
        scans = [(step, order) for step in range(SHOP_EVENTS, len(story)) for order in blocks[number - 1]] if number else []
        for step, order in shop:
            yield Sent(*event(step, order), number == 0 or devices == 1)
        for step, order in scans:
            yield Sent(*event(step, order), False)
