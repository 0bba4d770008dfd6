"""What carriers are asked about a parcel, as it is stored beside its status: which one takes it, by when, and which scans gave it away."""

from __future__ import annotations

from typing import Final, NamedTuple

from bridge.domain.order import Order, Parcel
from bridge.domain.order.promise import ship_by_of
from bridge.domain.order.sending import sending_of
from devices.protocol.vocabulary import ParcelState

_READY: Final = frozenset({ParcelState.PACKED, ParcelState.STAGED})


class Carriage(NamedTuple):
    """The columns of `ParcelRow` that are about carriers; they are described there."""

    carrier: str = ""
    service: str = ""
    tracking: str = ""
    ready_for: str | None = None
    ship_by_ms: int | None = None
    given_to: str | None = None
    given_ms: int | None = None
    vehicle: str | None = None
    scans: str = ""
    weight_g: int | None = None


CARRIAGE_COLUMNS: Final = Carriage._fields
NO_CARRIAGE: Final = Carriage()


def carriage_of(order: Order, parcel: Parcel) -> Carriage:
    """What is stored of a parcel for its carrier."""
    sent = sending_of(order, parcel)
    given = parcel.load
    if given is None and sent.carrier is None and parcel.weight_g is None:
        return NO_CARRIAGE if sent == (None, None, None) else NO_CARRIAGE._replace(service=sent.service or "", tracking=sent.tracking or "")
    to = (given.carrier or sent.carrier) if given is not None else None
    return Carriage(
        carrier=sent.carrier or "",
        service=sent.service or "",
        tracking=sent.tracking or "",
        ready_for=sent.carrier if parcel.state in _READY else None,
        ship_by_ms=ship_by_of(order, parcel),
        given_to=to,
        given_ms=given.at_ms if given is not None and to is not None else None,
        vehicle=given.vehicle if given is not None else None,
        scans=" ".join(map(str, given.positions)) if given is not None else "",
        weight_g=parcel.weight_g,
    )
