"""A shop's system: creates orders, reports payments, approves, holds, releases, cancels, and completes what was delivered."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from devices.protocol import bodies
from devices.protocol.bodies import Line
from devices.protocol.bridge_messages import Receipt
from devices.protocol.reasons import CancelReason, HoldReason
from devices.protocol.vocabulary import EventType, OrderState, Outcome, Payment
from firmware_sim.firmware.actions import Thing
from firmware_sim.firmware.chores import Doer
from firmware_sim.firmware.steps import Await, Chore, Give, Rest, Scan, Step

CHANGE_OF_MIND_MS: Final = 4_000
"""From the pick list to the cancellation."""
HOLD_MS: Final = 12_000
FEED_LATE_MS: Final = 6_000
"""How long a late feed is behind the warehouse."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sale:
    """What a shop does with one order.

    `picked_by` is the scanner whose worker gets the pick list, None if the order never comes so far. `fed_late`: the warehouse starts before the shop's
    feed has told the bridge of the order. `is_held_twice`: while the first hold stands, there is a second reason for one.
    """

    order: str
    lines: tuple[tuple[str, int], ...]
    start_ms: int
    amount_minor: int
    payment: Payment = Payment.PREPAID
    is_paid: bool = True
    picked_by: str | None = None
    fed_late: bool = False
    is_held: bool = False
    is_held_twice: bool = False
    is_cancelled: bool = False
    is_completed: bool = False
    dest_country: str | None = None


class Shop(Doer):
    """A shop that reads the status of its orders."""

    def __init__(self, *, site: str, device: str, sales: list[Sale], channel: str = "sim", speed: float = 1.0) -> None:
        super().__init__(site=site, device=device, chores=[Chore(s.order, selling(s, channel)) for s in sales], speed=speed)

    def filters(self) -> tuple[str, ...]:
        return (f"{self.topics.base}/orders/+/status",)

    def on_verdict(self, scan: Scan, receipt: Receipt) -> None:
        """An order that was there before is a day that was lived through before: what follows would not be what the plan says."""
        if scan.type is EventType.CREATED and receipt.outcome is Outcome.NOOP:
            self.is_hopeless = True
            self.troubles.append(f"{self.device}: order {scan.order} was there before; take another seed, or a fresh site")


def selling(sale: Sale, channel: str) -> list[Step]:
    """The steps of a sale."""
    lines = [Line(sku=sku, qty=qty) for sku, qty in sale.lines]
    created = bodies.Created(channel=channel, lines=lines, allow_partial=False, payment=sale.payment, dest_country=sale.dest_country)
    steps: list[Step] = [Rest(sale.start_ms)]
    pick_list = [Give(sale.picked_by, Thing.PICK_LIST)] if sale.picked_by is not None else []
    if sale.fed_late:
        steps += [*pick_list, Rest(FEED_LATE_MS)]
    steps.append(Scan(type=EventType.CREATED, body=created, order=sale.order))
    if sale.payment == "prepaid" and sale.is_paid:
        steps.append(Scan(type=EventType.PAID, body=bodies.Paid(amount_minor=sale.amount_minor, currency="EUR"), order=sale.order))
    if sale.is_paid:
        steps.append(Scan(type=EventType.APPROVED, order=sale.order))
    if sale.is_held:
        steps.append(Scan(type=EventType.HELD, body=bodies.Because(reason=HoldReason.ADDRESS), order=sale.order))
    if sale.is_held_twice:
        steps.append(Scan(type=EventType.HELD, body=bodies.Because(reason=HoldReason.STOCK), order=sale.order))
    if not sale.fed_late:
        steps += pick_list
    return steps + _afterwards(sale)


def _afterwards(sale: Sale) -> list[Step]:
    steps: list[Step] = []
    if sale.is_held:
        steps += [Rest(HOLD_MS), Scan(type=EventType.RELEASED, body=bodies.Because(reason=HoldReason.ADDRESS), order=sale.order)]
    if sale.is_held_twice:
        steps += [Rest(HOLD_MS), Scan(type=EventType.RELEASED, body=bodies.Because(reason=HoldReason.STOCK), order=sale.order)]
    if sale.is_cancelled:
        steps += [Rest(CHANGE_OF_MIND_MS), Scan(type=EventType.CANCELLED, body=bodies.Because(reason=CancelReason.CUSTOMER_REQUEST), order=sale.order)]
    if sale.is_completed:
        steps += [Await(OrderState.DELIVERED), Scan(type=EventType.COMPLETED, order=sale.order)]
    return steps
