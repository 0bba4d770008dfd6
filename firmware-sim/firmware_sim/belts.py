"""Orders at a pace: belts, shops and carriers that tell what they see when they see it, and do not wait for an answer."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from devices.protocol import bodies
from devices.protocol.bodies import Body, Line, ProofOfDelivery
from devices.protocol.vocabulary import EventType, Payment, PodMethod, Role
from firmware_sim.firmware.feed import Due, Feed


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """Events per second, and for a while so many times more. Times in seconds of the run."""

    events_per_s: float
    until_s: float
    burst: float = 1.0
    burst_from_s: float = 0.0
    burst_for_s: float = 0.0

    def starts_ms(self) -> Iterator[float]:
        """When each order begins: evenly at the rate of the moment."""
        at_s = 0.0
        while at_s < self.until_s:
            yield at_s * 1000
            in_burst = self.burst_from_s <= at_s < self.burst_from_s + self.burst_for_s
            at_s += EVENTS_PER_ORDER / (self.events_per_s * (self.burst if in_burst else 1.0))


_LINES: Final = [Line(sku="SKU-1", qty=1), Line(sku="SKU-2", qty=2)]
_NOTHING: Final = bodies.Nothing()
_DAY: Final[tuple[tuple[str, int, EventType, Body, bool], ...]] = (
    ("shop", 0, EventType.CREATED, bodies.Created(channel="belt", lines=_LINES, allow_partial=False, payment=Payment.PREPAID), False),
    ("shop", 50, EventType.PAID, bodies.Paid(amount_minor=1_995, currency="EUR"), False),
    ("shop", 100, EventType.APPROVED, _NOTHING, False),
    ("belt", 1_000, EventType.PICK, bodies.Pick(sku="SKU-1", qty=1, bin="B-1"), False),
    ("belt", 2_000, EventType.PICK, bodies.Pick(sku="SKU-2", qty=2, bin="B-2"), False),
    ("belt", 3_000, EventType.PACK, bodies.Pack(items=_LINES, weight_g=700), True),
    ("belt", 4_000, EventType.STAGE, bodies.Stage(dock="dock-1"), True),
    ("carrier", 6_000, EventType.PICKUP, _NOTHING, False),
    ("carrier", 7_000, EventType.OUT_FOR_DELIVERY, _NOTHING, False),
    ("carrier", 10_000, EventType.DELIVERY, bodies.Delivery(pod=ProofOfDelivery(method=PodMethod.NONE)), False),
)
"""Who tells what of an order, ms after its start, and whether its label is scanned."""

EVENTS_PER_ORDER: Final = len(_DAY)
ROLES: Final = {"shop": Role.SYSTEM, "belt": Role.SCANNER, "carrier": Role.CARRIER}


def feeds(seed: int, lane: int, pace: Pace, *, site: str) -> dict[str, Feed]:
    """The three feeds of a lane, by device."""
    made = {}
    for part in ROLES:
        device = f"{part}-lane-{lane}"
        streams = [_stream(seed, lane, pace, *told[1:]) for told in _DAY if told[0] == part]
        made[device] = Feed(site=site, device=device, dues=heapq.merge(*streams, key=lambda due: due.at_ms))
    return made


def orders(seed: int, lane: int, pace: Pace) -> list[str]:
    """The orders of a lane."""
    return [_order(seed, lane, number) for number, _ in enumerate(pace.starts_ms())]


def _order(seed: int, lane: int, number: int) -> str:
    return f"lane{seed}-{lane}-{number:05}"


def _stream(seed: int, lane: int, pace: Pace, offset_ms: int, event_type: EventType, body: Body, is_labelled: bool) -> Iterator[Due]:
    for number, start_ms in enumerate(pace.starts_ms()):
        order = _order(seed, lane, number)
        yield Due(at_ms=start_ms + offset_ms, type=event_type, body=body, order=order, code=f"WB-{order}" if is_labelled else None)
