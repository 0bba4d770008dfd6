"""What the site's settings say of carriers when an event arrives: which carrier it means, and by when the orders have to leave that count from it.

Both are written into the event's row: what the fold makes of them follows from the log alone, whatever the settings become.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from bridge.domain.access import Identity
from bridge.domain.carriers import CarrierRules
from bridge.domain.members import E, members
from devices.protocol import bodies
from devices.protocol.bodies import Body
from devices.protocol.messages import Event
from devices.protocol.vocabulary import Payment

CARRIED: Final = frozenset({E.CREATED, E.PAID, E.AMENDED, E.LABELLED, E.LOAD, E.PICKUP})
"""Types for which carriers matter."""
_PAYMENT: Final = members(Payment)


class Carrying(NamedTuple):
    """`carrier`: whom the event means, if it does not name it so itself; `pickups`: the next pickup of each carrier (`Timetable.all_after`)."""

    carrier: str | None
    pickups: str | None


NO_CARRYING: Final = Carrying(None, None)


def carrying_of(rules: CarrierRules, identity: Identity, event: Event[Body], event_ms: int) -> Carrying:
    """What the settings say of an event of a type in `CARRIED`."""
    body = event.body
    if isinstance(body, bodies.Paid):
        return Carrying(None, rules.timetable.all_after(event_ms))
    if isinstance(body, bodies.Load | bodies.Pickup):
        return Carrying(_carrier_of_scan(rules, identity, event, body), None)
    if not isinstance(body, bodies.Created | bodies.Amended | bodies.Labelled):
        return NO_CARRYING
    named = rules.named(body.carrier) if body.carrier is not None else None
    counts = body.payment is _PAYMENT.ON_DELIVERY if isinstance(body, bodies.Created) else isinstance(body, bodies.Amended) and named is not None
    return Carrying(named if named != body.carrier else None, rules.timetable.all_after(event_ms) if counts else None)


def _carrier_of_scan(rules: CarrierRules, identity: Identity, event: Event[Body], body: bodies.Load | bodies.Pickup) -> str | None:
    if body.carrier is not None:
        named = rules.named(body.carrier)
        return named if named != body.carrier else None
    if isinstance(body, bodies.Load):
        return rules.of_scan(vehicle=body.vehicle, dock=event.at or identity.at, device=identity.device)
    return rules.of_scan(vehicle=None, dock=None, device=identity.device)  # our own couriers pick up at a carrier's dock, too
