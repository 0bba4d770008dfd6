"""By when an order, or a parcel of it, has to leave the warehouse: as the shop or the desk said, or else with the pickup that its payment was in time for.

The pickups of all carriers at the moment from which an order counts are in the log (`Fact.pickups`): a change of `[cutoffs]` moves no earlier order. What is
prepaid counts from its payment, what is paid on delivery from its creation, and after a change of its carrier from that change.
"""

from __future__ import annotations

from bridge.domain.cutoffs import pickup_ms_of
from bridge.domain.facts import Fact
from bridge.domain.lifecycle import DEAD, IN_CUSTODY
from bridge.domain.order.order import Order
from bridge.domain.order.parcel import Parcel
from bridge.domain.order.sending import carrier_of, is_same
from devices.protocol.vocabulary import Payment


def begin(order: Order, fact: Fact) -> None:
    """An order was created. If it is paid on delivery, it counts from now."""
    if order.created is not None and order.created.payment == Payment.ON_DELIVERY:
        order.pickups = fact.pickups


def count_from_payment(order: Order, fact: Fact) -> None:
    """A prepaid order is paid: it counts from now."""
    if order.created is not None and order.created.payment == Payment.PREPAID:
        order.pickups = fact.pickups


def count_anew(order: Order, before: str | None, fact: Fact) -> None:
    """Another carrier takes an order: its pickup counts from this change. One that gets its first carrier has waited for it since it began to count."""
    after = order.created.carrier if order.created is not None else None
    if order.pickups is not None and before is not None and not is_same(before, after):
        order.pickups = fact.pickups


def is_by_rule(order: Order) -> bool:
    """Whether nobody has said by when it has to leave, or to be there."""
    return order.created is not None and order.created.ship_by_ms is None and order.created.promise_ms is None


def ship_by_of(order: Order, parcel: Parcel) -> int | None:
    """By when a parcel has to leave, in ms since 1970 UTC."""
    return _ship_by(order, carrier_of(order, parcel))


def ship_by(order: Order) -> int | None:
    """By when an order has to leave: by the earliest of the pickups that those of its parcels need that have not left."""
    created = order.created
    if created is None:
        return None
    if not is_by_rule(order) or order.pickups is None:
        return created.ship_by_ms
    waiting = [p for p in order.parcels.values() if p.state not in DEAD and p.state not in IN_CUSTODY]
    carriers = {carrier_of(order, p) for p in waiting} or {created.carrier}
    return min((ms for ms in (_ship_by(order, carrier) for carrier in carriers) if ms is not None), default=None)


def _ship_by(order: Order, carrier: str | None) -> int | None:
    created = order.created
    if created is None or not is_by_rule(order):
        return created.ship_by_ms if created is not None else None
    return pickup_ms_of(order.pickups, carrier) if order.pickups is not None and carrier is not None else None
