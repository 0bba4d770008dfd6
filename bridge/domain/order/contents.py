"""What is in the parcels of an order, and what of it is missing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

from bridge.domain.order.parcel import Parcel
from devices.protocol.vocabulary import ParcelState

_GONE: Final = frozenset({ParcelState.LOST, ParcelState.DESTROYED})


class Contents(NamedTuple):
    """Quantities by sku: what was ordered, picked, and is packed, and what was in parcels that are lost or destroyed.

    `is_unlisted`: a parcel was packed without a list, so that what is packed is a guess.
    """

    lines: Mapping[str, int]
    picked: Mapping[str, int]
    packed: Mapping[str, int]
    gone: Mapping[str, int]
    is_unlisted: bool

    @property
    def is_complete(self) -> bool:
        """Whether the parcels hold every line."""
        packed = self.packed
        return all(packed.get(sku, 0) >= qty for sku, qty in self.lines.items())

    def left(self, sku: str) -> int:
        """How many are neither picked nor packed. What was picked for a parcel that is gone has to be picked again."""
        picked = self.picked.get(sku, 0) - self.gone.get(sku, 0)
        return self.lines[sku] - max(picked, self.packed.get(sku, 0))

    def is_missing(self, sku: str) -> bool:
        """Whether not enough of it was picked or is packed. A parcel without a list does not make up for what is known to be missing."""
        packed = 0 if self.is_unlisted else self.packed.get(sku, 0)
        return max(self.picked.get(sku, 0) - self.gone.get(sku, 0), packed) < self.lines.get(sku, 0)

    @property
    def is_gone(self) -> bool:
        """Whether something is missing because its parcel is lost or destroyed."""
        return any(self.is_missing(sku) for sku in self.gone)

    def rest_of(self, parcels: Iterable[Parcel]) -> dict[str, int]:
        """What a parcel without a list holds: everything that the lists of these do not."""
        rest = dict(self.lines)
        for parcel in parcels:
            for sku, qty in (parcel.items or {}).items():
                rest[sku] = rest.get(sku, 0) - qty
        return {sku: qty for sku, qty in rest.items() if qty > 0}


def contents_of(lines: Mapping[str, int], picked: Mapping[str, int], parcels: Iterable[Parcel]) -> Contents:
    """Count what is in the parcels. One that was packed without a list holds everything that the lists of the others do not."""
    packed: dict[str, int] = {}
    gone: dict[str, int] = {}
    unlisted = unlisted_gone = False
    for parcel in parcels:
        if not parcel.is_packed:
            continue
        # What became of goods after they came back is the warehouse's affair, and no shortage of the order.
        is_gone = parcel.state in _GONE and ParcelState.RETURNED not in parcel.milestones
        if parcel.items is None:
            unlisted, unlisted_gone = unlisted or not is_gone, unlisted_gone or is_gone
            continue
        into = gone if is_gone else packed
        for sku, qty in parcel.items.items():
            into[sku] = into.get(sku, 0) + qty
    if unlisted or unlisted_gone:
        into = gone if unlisted_gone else packed
        for sku, qty in lines.items():
            rest = qty - packed.get(sku, 0) - gone.get(sku, 0)
            if rest > 0:
                into[sku] = into.get(sku, 0) + rest
    return Contents(lines, picked, packed, gone, unlisted)


def packed_if_none_gone(lines: Mapping[str, int], parcels: Iterable[Parcel]) -> Mapping[str, int] | None:
    """(sku → qty) what is packed, if no parcel is gone; else None. Nearly all orders are like this, so that nothing more has to be counted for them."""
    packed: dict[str, int] = {}
    is_unlisted = False
    for parcel in parcels:
        if parcel.is_packed:
            if parcel.state in _GONE:
                return None
            if parcel.items is None:
                is_unlisted = True
                continue
            for sku, qty in parcel.items.items():
                packed[sku] = packed.get(sku, 0) + qty
    return lines if is_unlisted else packed
