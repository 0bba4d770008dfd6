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

from bridge.shop_file import ShopMap, ShopOrder, derived_event_id, derived_log
from devices.protocol import bodies
from devices.protocol.bodies import Line, ProofOfDelivery
from devices.protocol.vocabulary import EventType, OrderState
from firmware_sim.firmware.backlog import Backlog, Told
from firmware_sim.firmware.base import NOTHING
from firmware_sim.firmware.dispatcher import Screen
from firmware_sim.link.mqtt import Progress, Record, drive

PAUSE_MS_MAX: Final = 50
DELIVERED: Final = bodies.Delivery(pod=ProofOfDelivery(method="none"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Cast:
    """The three devices of a replay, and their passwords by name."""

    scanner: str
    courier: str
    watcher: str
    passwords: dict[str, str]


class Agreement(StrEnum):
    """How an order's status compares with its row.

    `unproven`: the status word says more, or something else, than the row's own times prove (delivered without a time of delivery, cancelled after the
    hand-over), and the order shows what the times prove. `missing`: the bridge shows no such order.
    """

    AGREES = "agrees"
    UNPROVEN = "unproven"
    DIFFERS = "differs"
    MISSING = "missing"


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """One order: what its row's status says, what its times prove, and what the bridge shows."""

    order: str
    line: int
    said: str | None
    proven: str
    state: str | None

    @property
    def agreement(self) -> Agreement:
        if self.state is None:
            return Agreement.MISSING
        if self.state == (self.said or self.proven):
            return Agreement.AGREES
        return Agreement.UNPROVEN if self.state == self.proven else Agreement.DIFFERS


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
        """Whether every event was stored and answered, and no order shows what its row does not."""
        return not self.record.errors and not self.agreements[Agreement.DIFFERS] and not self.agreements[Agreement.MISSING]


def told_by_scanner(orders: Iterable[ShopOrder], shop: ShopMap) -> list[Told]:
    """The packing of every order that was handed over, in row order; the time is that of the hand-over."""
    return [_told(EventType.PACK, o.shipped_ms, o, shop, bodies.Pack(items=_items(o))) for o in orders if o.shipped_ms is not None]


def told_by_courier(orders: Iterable[ShopOrder], shop: ShopMap) -> list[Told]:
    """The pickup and the delivery of every order that has these times, in row order."""
    told = []
    for order in orders:
        if order.shipped_ms is not None:
            told.append(_told(EventType.PICKUP, order.shipped_ms, order, shop, NOTHING))
        if order.delivered_ms is not None:
            told.append(_told(EventType.DELIVERY, order.delivered_ms, order, shop, DELIVERED))
    return told


def _items(order: ShopOrder) -> list[Line]:
    return [Line(sku=sku, qty=qty) for sku, qty in order.items.items()]


def _told(kind: EventType, at_ms: int, order: ShopOrder, shop: ShopMap, body: bodies.Body) -> Told:
    event_id = derived_event_id(at_ms, shop.channel, order.order, kind)
    return Told(id=event_id, type=kind, at_ms=at_ms, order=order.order, parcel=f"{order.order}-1", body=body)


def proven_state(order: ShopOrder, shop: ShopMap) -> str:
    """The state that a row's times prove: the furthest that has one. A cancellation has no time; it counts while the parcel is in the house."""
    if order.delivered_ms is not None:
        return OrderState.DELIVERED
    if order.shipped_ms is not None:
        return OrderState.SHIPPED
    if order.expected == OrderState.CANCELLED:
        return OrderState.CANCELLED
    if order.approved_ms is not None:
        return OrderState.APPROVED
    return OrderState.PAID if order.paid_ms is not None and shop.payment == "prepaid" else OrderState.PENDING_PAYMENT


def replay(
    orders: list[ShopOrder],
    shop: ShopMap,
    *,
    site: str,
    host: str,
    port: int,
    cast: Cast,
    speed: float = 0.0,
    on_progress: Callable[[Progress], None] | None = None,
    timeout_s: float = 3_600.0,
) -> Replayed:
    """Tell the parcels' history of orders that were imported, and compare what the bridge shows.

    Args:
        orders: by creation, as `read_orders` gives them.
        speed: how many times faster than history; 0 for as fast as the bridge takes it.

    Raises:
        SimError: where the bridge cannot be reached, or does not admit a device.
    """
    scanner = _backlog(site, cast.scanner, told_by_scanner(orders, shop), shop, speed)
    courier = _backlog(site, cast.courier, told_by_courier(orders, shop), shop, speed)
    screen = Screen(site=site, device=cast.watcher)
    proven = {o.order: proven_state(o, shop) for o in orders}
    firmwares = {cast.scanner: scanner, cast.courier: courier, cast.watcher: screen}
    record = drive(firmwares, screen, host, port, cast.passwords, proven, on_progress, timeout_s)
    states = record.states
    compared = [Compared(order=o.order, line=o.line, said=o.expected, proven=proven[o.order], state=states.get(o.order)) for o in orders]
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
            {"order": c.order, "line": c.line, "said": c.said, "proven": c.proven, "state": c.state, "agreement": c.agreement.value}
            for c in result.compared
            if c.agreement is not Agreement.AGREES
        ],
        "errors": record.errors,
        "seconds": round(record.seconds, 3),
    }
