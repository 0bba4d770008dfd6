"""A carrier's system: fetches parcels at the dock, takes them over the border, leg by leg, and reports what its own scanners saw.

Its clock is right, and its events stand in the order of their times, in whatever order they come (contract, "Time and order"). It reports and does not wait for
an answer; of the site's orders it reads nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from devices.protocol import bodies
from devices.protocol.bodies import ProofOfDelivery
from devices.protocol.reasons import CustomsReason
from devices.protocol.vocabulary import CustomsDirection, EventType, PodMethod
from firmware_sim.firmware.actions import Thing
from firmware_sim.firmware.chores import Doer
from firmware_sim.firmware.steps import Rest, Scan, Step, Tell

LEG_MS: Final = 30_000
"""From one hub to the next."""
CUSTOMS_MS: Final = 15_000
LOADING_MS: Final = 2_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Passage:
    """An order's way abroad: hubs in their order, and the countries (ISO 3166-1 alpha-2) that it leaves and enters. `is_held`: customs want to see a paper."""

    order: str
    hubs: tuple[str, str, str]
    leaves: str
    enters: str
    is_held: bool = False


class Carrier(Doer):
    """A carrier that is handed parcels."""

    def __init__(self, *, site: str, device: str, passages: list[Passage], speed: float = 1.0) -> None:
        super().__init__(site=site, device=device, plans={(Thing.PARCELS, p.order): passing(p) for p in passages}, speed=speed)


def passing(p: Passage) -> list[Step]:
    """Three legs: out of the country, over the border, to the door."""
    first, second, third = p.hubs

    def scan(event_type: EventType, body: bodies.Body = bodies.Nothing()) -> Step:  # noqa: B008 -- a frozen value
        return Tell(Scan(type=event_type, body=body, order=p.order))

    held: list[Step] = (
        [scan(EventType.CUSTOMS_HELD, bodies.CustomsHeld(country=p.enters, reason=CustomsReason.PAPERS_MISSING)), Rest(CUSTOMS_MS)] if p.is_held else []
    )
    return [
        scan(EventType.PICKUP),
        Rest(LOADING_MS),
        scan(EventType.DEPART, bodies.AtHub(hub=first)),
        Rest(LEG_MS),
        scan(EventType.ARRIVE, bodies.AtHub(hub=second)),
        Rest(LOADING_MS),
        scan(EventType.CUSTOMS_ENTERED, bodies.CustomsEntered(country=p.leaves, direction=CustomsDirection.EXPORT)),
        Rest(CUSTOMS_MS),
        scan(EventType.CUSTOMS_CLEARED, bodies.AtBorder(country=p.leaves)),
        Rest(LOADING_MS),
        scan(EventType.DEPART, bodies.AtHub(hub=second)),
        Rest(LEG_MS),
        scan(EventType.BORDER_ENTERED, bodies.AtBorder(country=p.enters)),
        Rest(LOADING_MS),
        scan(EventType.CUSTOMS_ENTERED, bodies.CustomsEntered(country=p.enters, direction=CustomsDirection.IMPORT)),
        *held,
        Rest(CUSTOMS_MS),
        scan(EventType.CUSTOMS_CLEARED, bodies.AtBorder(country=p.enters)),
        Rest(LOADING_MS),
        scan(EventType.ARRIVE, bodies.AtHub(hub=third)),
        Rest(LEG_MS),
        scan(EventType.OUT_FOR_DELIVERY),
        Rest(LEG_MS),
        scan(EventType.DELIVERY, bodies.Delivery(pod=ProofOfDelivery(method=PodMethod.SIGNATURE))),
    ]
