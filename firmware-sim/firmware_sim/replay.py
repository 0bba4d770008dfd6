"""History over the wire: the rows of a shop's export, told by a scanner and a courier's phone that were offline all the time.

Ids, logs and seq follow from the file, so that a second replay sends the very same events and changes nothing. The orders themselves come in by the
bridge's own import; here is what happened to their parcels.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from bridge.shop import ShopMap, ShopOrder, derived_event_id, derived_log
from bridge.shop.events import state_said
from devices.protocol import bodies
from devices.protocol.bodies import Line, ProofOfDelivery
from devices.protocol.vocabulary import EventType, OrderState, PodMethod
from firmware_sim.firmware.backlog import Backlog, Told
from firmware_sim.firmware.base import NOTHING
from firmware_sim.firmware.dispatcher import Screen
from firmware_sim.link.mqtt import Record, drive
from firmware_sim.link.progress import Progress

PAUSE_MS_MAX: Final = 50
DELIVERED: Final = bodies.Delivery(pod=ProofOfDelivery(method=PodMethod.NONE))


@dataclass(frozen=True, slots=True, kw_only=True)
class Cast:
    """The three devices of a replay, and their passwords by name."""

    scanner: str
    courier: str
    watcher: str
    passwords: dict[str, str]


class Agreement(StrEnum):
    """How an order's status compares with its row. `missing`: the bridge shows no such order."""

    AGREES = "agrees"
    DIFFERS = "differs"
    MISSING = "missing"


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """One order: the state that its row says, and the one that the bridge shows."""

    order: str
    line: int
    said: str
    state: str | None

    @property
    def agreement(self) -> Agreement:
        if self.state is None:
            return Agreement.MISSING
        return Agreement.AGREES if self.state == self.said else Agreement.DIFFERS


@dataclass(slots=True, kw_only=True)
class Replayed:
    """What a replay did. `bad_rows` could not be read."""

    record: Record
    events: int
    compared: list[Compared]
    bad_rows: int = 0
    agreements: dict[str, int] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        """Whether every event was stored and answered, and every order shows what its row says."""
        return not self.record.errors and all(c.agreement is Agreement.AGREES for c in self.compared)


_HANDED_OVER: Final = frozenset({OrderState.SHIPPED, OrderState.OUT_FOR_DELIVERY, OrderState.DELIVERED, OrderState.COMPLETED})
_HANDED_OUT: Final = frozenset({OrderState.DELIVERED, OrderState.COMPLETED})


def handed_over_ms(order: ShopOrder) -> int | None:
    """When the parcel went to the carrier; None if it did not.

    If the status word says that it did and the row has no time for it, it is the last time that the row has. What became of a cancelled order's parcel
    stands in no row, so nothing is told of it.
    """
    if order.expected == OrderState.CANCELLED:
        return None
    if order.shipped_ms is None and order.expected in _HANDED_OVER:
        return _last_known_ms(order)
    return order.shipped_ms


def handed_out_ms(order: ShopOrder) -> int | None:
    """When the parcel was delivered; None if it was not. A missing time is filled in as in `handed_over_ms`."""
    if order.expected == OrderState.CANCELLED:
        return None
    if order.delivered_ms is None and order.expected in _HANDED_OUT:
        return handed_over_ms(order)
    return order.delivered_ms


def _last_known_ms(order: ShopOrder) -> int:
    return max(t for t in (order.created_ms, order.paid_ms, order.approved_ms) if t is not None)


def told_by_scanner(orders: Iterable[ShopOrder], shop: ShopMap) -> list[Told]:
    """The packing of every order that was handed over, in row order; the time is that of the hand-over."""
    return [_told(EventType.PACK, at_ms, o, shop, bodies.Pack(items=_items(o))) for o in orders if (at_ms := handed_over_ms(o)) is not None]


def told_by_courier(orders: Iterable[ShopOrder], shop: ShopMap) -> list[Told]:
    """The pickup and the delivery of every order that was handed over and out, in row order."""
    told = []
    for order in orders:
        if (at_ms := handed_over_ms(order)) is not None:
            told.append(_told(EventType.PICKUP, at_ms, order, shop, NOTHING))
        if (at_ms := handed_out_ms(order)) is not None:
            told.append(_told(EventType.DELIVERY, at_ms, order, shop, DELIVERED))
    return told


def _items(order: ShopOrder) -> list[Line]:
    return [Line(sku=sku, qty=qty) for sku, qty in order.items.items()]


def _told(kind: EventType, at_ms: int, order: ShopOrder, shop: ShopMap, body: bodies.Body) -> Told:
    event_id = derived_event_id(at_ms, shop.channel, order.order, kind)
    return Told(id=event_id, type=kind, at_ms=at_ms, order=order.order, parcel=f"{order.order}-1", body=body)


def replay(
    orders: list[ShopOrder],
    shop: ShopMap,
    *,
    site: str,
    address: tuple[str, int],
    cast: Cast,
    speed: float = 0.0,
    on_progress: Callable[[Progress], None] | None = None,
    timeout_s: float = 3_600.0,
) -> Replayed:
    """Tell the parcels' history of orders that were imported, and compare what the bridge shows.

    Args:
        orders: by creation, as `read_orders` gives them.
        address: (host, port) of the bridge.
        speed: how many times faster than history; 0 for as fast as the bridge takes it.

    Raises:
        SimError: the bridge cannot be reached, or does not admit a device.
    """
    scanner = _backlog(site, cast.scanner, told_by_scanner(orders, shop), shop, speed)
    courier = _backlog(site, cast.courier, told_by_courier(orders, shop), shop, speed)
    screen = Screen(site=site, device=cast.watcher)
    said = {o.order: state_said(o, shop) for o in orders}
    firmwares = {cast.scanner: scanner, cast.courier: courier, cast.watcher: screen}
    record = drive(firmwares, screen, *address, cast.passwords, said, on_progress, timeout_s)
    states = record.states
    compared = [Compared(order=o.order, line=o.line, said=said[o.order], state=states.get(o.order)) for o in orders]
    found = Counter(c.agreement for c in compared)
    return Replayed(record=record, events=sum(record.sent.values()), compared=compared, agreements={a.value: found[a] for a in Agreement})


def _backlog(site: str, device: str, told: list[Told], shop: ShopMap, speed: float) -> Backlog:
    boot = derived_log("boot", shop.channel, device)
    return Backlog(site=site, device=device, log=derived_log(shop.channel, device), boot=boot, told=told, speed=speed, pause_ms_max=PAUSE_MS_MAX)


def to_json(result: Replayed) -> dict[str, Any]:
    """A replay's result as plain data; of the orders only those that do not simply agree."""
    record = result.record
    return {
        "ok": result.ok,
        "events": record.sent,
        "acknowledged": record.acknowledged,
        "outcomes": record.outcomes,
        "again": record.again,
        "orders": len(result.compared),
        "agreements": result.agreements,
        "bad_rows": result.bad_rows,
        "not_agreed": [
            {"order": c.order, "line": c.line, "said": c.said, "state": c.state, "agreement": c.agreement.value}
            for c in result.compared
            if c.agreement is not Agreement.AGREES
        ],
        "errors": record.errors,
        "seconds": round(record.seconds, 3),
    }
