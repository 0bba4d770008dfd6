"""Which courier has parcels of which orders on board. `projections/positions.py` keeps it; the points of a phone are used only while its courier has one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

from bridge.ingest.relation import Deletion, Origin, Relation

_NONE: Final[Mapping[str, bool]] = {}


class CarriedRow(NamedTuple):
    """A courier, and an order of which he has a parcel; `is_out` if it is out for delivery, so that his position is shown for it."""

    courier: str
    order_id: str
    is_out: bool


CARRIED: Final = Relation(
    name="carried",
    row=CarriedRow,
    key=("courier", "order_id"),
    origin=Origin.DERIVED,
    note="derived: orders on the road, and the couriers who have them",
)
CARRIED_NO_MORE: Final = Deletion(CARRIED, ("courier", "order_id"))


class Aboard:
    """The rows of `CARRIED` in memory, by order and by courier."""

    __slots__ = ("_of_courier", "_of_order")

    def __init__(self) -> None:
        self._of_order: dict[str, dict[str, bool]] = {}
        self._of_courier: dict[str, dict[str, bool]] = {}

    def load(self, rows: Iterable[CarriedRow]) -> None:
        """Start with what is stored."""
        self.forget()
        for row in rows:
            self.put(row.order_id, {**self.of_order(row.order_id), row.courier: bool(row.is_out)})

    def forget(self) -> None:
        self._of_order.clear()
        self._of_courier.clear()

    def of_order(self, order_id: str) -> Mapping[str, bool]:
        """The couriers who have parcels of an order, each with whether it is out for delivery."""
        return self._of_order.get(order_id, _NONE)

    def is_laden(self, courier: str) -> bool:
        """Whether a courier has any parcel."""
        return courier in self._of_courier

    def of_courier(self, courier: str) -> list[str]:
        """The orders of which a courier has parcels, in the order of their ids."""
        return sorted(self._of_courier.get(courier, _NONE))

    def out_with(self, courier: str) -> list[str]:
        """The orders out for delivery that a courier has, in the order of their ids."""
        return sorted(order_id for order_id, is_out in self._of_courier.get(courier, _NONE).items() if is_out)

    def put(self, order_id: str, couriers: Mapping[str, bool]) -> None:
        """These couriers have parcels of an order now, and no others."""
        for courier in self._of_order.pop(order_id, _NONE):
            held = self._of_courier[courier]
            del held[order_id]
            if not held:
                del self._of_courier[courier]
        if couriers:
            self._of_order[order_id] = dict(couriers)
        for courier, is_out in couriers.items():
            self._of_courier.setdefault(courier, {})[order_id] = is_out
