"""What a desk's screen sees of a site, as a scenario: counts, weights and paces. No name, id or place of the site is ever in it."""

from __future__ import annotations

from collections import Counter
from typing import Final, TypeVar

from devices.protocol import encoding
from devices.protocol.bridge_messages import Alert, OrderStatus
from devices.protocol.device_messages import BOOT_UNKNOWN, Presence
from devices.protocol.encoding import PayloadError
from devices.protocol.topics import Topics
from devices.protocol.vocabulary import Flag, OrderState, partially
from firmware_sim.errors import SimError
from firmware_sim.faults.disconnect import Disconnect
from firmware_sim.record import Entry, Received, Refused, Subscribed
from firmware_sim.scenario import Couriers, Expect, Orders, Scanners, Scenario
from firmware_sim.workload import ORDER_EVERY_MS, Fate

AFTERWARDS_S: Final = 60
"""From the last order to the end of the faults."""
REFUSED: Final = 128
"""A SUBACK's code for a filter that is not granted (MQTT 3.1.1 §3.9.3)."""
ENDED: Final = frozenset({OrderState.COMPLETED, OrderState.CANCELLED, OrderState.RETURNED})

FATE_OF: Final[dict[str, Fate | None]] = {
    OrderState.PENDING_PAYMENT: Fate.UNPAID,
    OrderState.PAID: None,
    OrderState.APPROVED: None,
    OrderState.PICKING: None,
    OrderState.PACKED: Fate.AT_THE_DOCK,
    OrderState.SHIPPED: Fate.IN_THE_VAN,
    OrderState.CUSTOMS: Fate.ABROAD,
    OrderState.ENTERED: Fate.ABROAD,
    OrderState.OUT_FOR_DELIVERY: Fate.ON_THE_ROAD,
    OrderState.DELIVERED: Fate.DELIVERED,
    OrderState.COMPLETED: Fate.COMPLETED,
    OrderState.CANCELLED: Fate.CANCELLED,
    OrderState.RETURNING: Fate.NEVER_MET,
    OrderState.RETURNED: Fate.NEVER_MET,
    OrderState.EXCEPTION: None,
    partially(OrderState.PICKING): None,
    partially(OrderState.PACKED): None,
    partially(OrderState.SHIPPED): Fate.IN_THE_VAN,
    partially(OrderState.CUSTOMS): Fate.ABROAD,
    partially(OrderState.ENTERED): Fate.ABROAD,
    partially(OrderState.OUT_FOR_DELIVERY): Fate.ONE_DELIVERED,
    partially(OrderState.RETURNING): Fate.NEVER_MET,
}
"""What came of an order that was last seen in a state; None if that says nothing yet: the order is taken for one that is delivered."""

M = TypeVar("M")


class Observer:
    """Takes what a desk's device hears. `see` is called on the fleet's thread; the rest is for when it is over, or for a look in between."""

    def __init__(self, site: str, device: str) -> None:
        self.statuses: dict[str, OrderStatus] = {}
        self.codes: set[str] = set()
        self.lost = 0
        self.refused: list[str] = []
        self.is_listening = False
        self._topics = Topics(site)
        self._me = self._topics.presence(device)
        self._born: set[str] = set()
        self._moved: set[str] = set()
        self._devices: set[str] = set()
        self._couriers: set[str] = set()
        self._began_ms = self._ended_ms = 0

    @property
    def filters(self) -> tuple[str, ...]:
        base = self._topics.base
        return (f"{base}/orders/+/status", f"{base}/devices/+/presence", f"{base}/couriers/+/assignments/+", f"{base}/alerts/#")

    def __str__(self) -> str:
        orders = f"{len(self._born)} new orders, {len(self.statuses) - len(self._born)} from before"
        return f"{orders}, {len(self._devices)} devices, {len(self._couriers)} couriers, {self.lost} lost connections, {len(self.codes)} alerts"

    # --- hearing ----------------------------------------------------------------------------------------------------------

    def see(self, entry: Entry) -> None:
        if isinstance(entry, Refused):
            self.refused.append(f"CONNACK {entry.code}")
        elif isinstance(entry, Subscribed):
            self.refused += [f for f, code in entry.filters if code == REFUSED]
            self.is_listening = not self.refused
            self._began_ms = self._began_ms or entry.at_ms
        elif isinstance(entry, Received):
            self._ended_ms = entry.at_ms
            self._hear(entry)

    def _hear(self, heard: Received) -> None:
        kind, *rest = heard.topic.removeprefix(f"{self._topics.base}/").split("/")
        if not heard.payload:
            return
        if kind == "orders" and (status := _read(heard.payload, OrderStatus)) is not None:
            if not heard.retain:
                self._moved.add(status.order)
                if status.rev == 1:  # an order from before may change before its retained status comes
                    self._born.add(status.order)
            self.statuses[status.order] = status
        elif kind == "devices" and heard.topic != self._me and (presence := _read(heard.payload, Presence)) is not None:
            self._hear_presence(rest[0], presence, is_news=not heard.retain)
        elif kind == "couriers":
            self._couriers.add(rest[0])
        elif kind == "alerts" and (alert := _read(heard.payload, Alert)) is not None:
            self.codes.add(alert.code.value)

    def _hear_presence(self, device: str, presence: Presence, *, is_news: bool) -> None:
        """Who was there counts; a will, which has no clock, is a connection that was lost. Who never says anything of itself is no scanner and no phone."""
        if presence.boot == BOOT_UNKNOWN:
            return
        if presence.online or is_news:
            self._devices.add(device)
        if is_news and not presence.online and presence.at_ms is None:
            self.lost += 1

    # --- what it comes to -------------------------------------------------------------------------------------------------

    def scenario(self, name: str, seconds: float) -> Scenario:
        """The site as a scenario, after it was heard for so long.

        Raises:
            SimError: no order was seen.
        """
        at_work = [s for s in self.statuses.values() if s.order in self._moved or s.state not in ENDED]
        if not at_work:
            raise SimError("no order was seen at work: there is nothing to make a scenario of", fix="listen while the warehouse works, or longer")
        # Orders that came while it was listened to say how many there are; all that was at work says what comes of them.
        count = len(self._born) if len(self._born) > 1 else len(at_work)
        couriers = max(1, len(self._couriers))
        scanners = max(1, len(self._devices) - len(self._couriers))
        every_s = self._every_s(at_work, seconds)
        devices = scanners + couriers
        return Scenario(
            name=name,
            story=f"Recorded from a site at work in {seconds / 60:.3g} minutes: {self}.",
            day_s=_round(count * every_s + AFTERWARDS_S),
            orders=Orders(count=min(10_000, count), every_s=every_s, fates=dict(Counter(map(fate_of, at_work)))),
            scanners=[Scanners(count=min(1_000, scanners))],
            couriers=[Couriers(count=min(1_000, couriers))],
            faults=[Disconnect(every_s=_round(devices * seconds / self.lost))] if self.lost else [],
            settings={"broker": {"ack_flush_ms": 1_000}},
            expect=Expect(standing=[f"{code}/*" for code in sorted(self.codes)]),
        )

    def _every_s(self, at_work: list[OrderStatus], seconds: float) -> float:
        """How often an order comes: those that came while it was listened to, else those that were there by their first milestones."""
        if len(self._born) > 1:
            return _round(seconds / len(self._born))
        starts_ms = sorted(min((m.at_ms for m in s.milestones if m.at_ms is not None), default=s.at_ms) for s in at_work)
        apart_ms = (starts_ms[-1] - starts_ms[0]) / max(1, len(starts_ms) - 1)
        return _round(min(apart_ms, 86_400_000) / 1000) or ORDER_EVERY_MS / 1000


def fate_of(status: OrderStatus) -> Fate:
    """What came of an order, as far as its last status tells."""
    reached = {m.state for m in status.milestones}
    if status.state in (OrderState.RETURNING, OrderState.RETURNED):
        return Fate.SENT_BACK if OrderState.DELIVERED in reached else Fate.REFUSED if status.last.type == "refused" else Fate.NEVER_MET
    if status.state == OrderState.DELIVERED and reached & {OrderState.CUSTOMS, OrderState.ENTERED}:
        return Fate.ABROAD
    if Flag.HELD in status.flags:
        return Fate.HELD
    return FATE_OF[status.state] or Fate.DELIVERED


def _read(payload: bytes, kind: type[M]) -> M | None:
    try:
        return encoding.decode(payload, kind)
    except PayloadError:
        return None  # what breaks the contract is the business of others


def _round(value: float) -> float:
    """Three digits: enough for a scenario, and nothing of a site shows in the rest."""
    return float(f"{value:.3g}")
