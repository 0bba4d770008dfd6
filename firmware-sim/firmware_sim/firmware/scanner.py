"""A handheld in a warehouse: its worker picks, packs, labels and stages what is on the pick lists, and takes returns in.

A pick list or a returned parcel is handed over (`Handed`); the scanner itself reads nothing but its receipts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from devices.protocol import bodies
from devices.protocol.bodies import Line
from devices.protocol.vocabulary import EventType
from firmware_sim.firmware.actions import Thing
from firmware_sim.firmware.chores import Chore, Doer, Scan, Step

DOCK: Final = "dock-1"
RETURNS_DOCK: Final = "dock-r"


@dataclass(frozen=True, slots=True, kw_only=True)
class ParcelToPack:
    """A parcel as the worker packs it.

    `code` is its label as the scanner reads it. `name` is the parcel's id, where the warehouse gives it one. With `labelled` the label is a scan of its
    own, after the pack.
    """

    items: tuple[tuple[str, int], ...]
    code: str
    kind: Literal["sscc", "waybill"]
    name: str | None = None
    labelled: bool = False
    weight_g: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PickList:
    """What a worker is told about an order. `one_by_one`: each piece is a scan."""

    order: str
    lines: tuple[tuple[str, int], ...]
    parcels: tuple[ParcelToPack, ...]
    one_by_one: bool = False


class Scanner(Doer):
    """A scanner and its worker, who has one pair of hands."""

    def __init__(self, *, site: str, device: str, worker: str, lists: list[PickList], returns: list[PickList], speed: float = 1.0) -> None:
        plans = {(Thing.PICK_LIST, x.order): picking(x) for x in lists} | {(Thing.RETURN, x.order): taking_back(x) for x in returns}
        shift = Chore("", [Scan(type=EventType.SHIFT_STARTED, body=bodies.ShiftStarted(worker=worker))])
        super().__init__(site=site, device=device, hands=1, plans=plans, chores=[shift], by=worker, speed=speed, has_beeper=True)
        self._shift_ended = False

    @property
    def is_finished(self) -> bool:
        return self._shift_ended and super().is_finished

    def act(self) -> None:
        super().act()
        if not self._shift_ended and not self.plans and not self.hands.busy and not self.hands.aside:
            self._shift_ended = True
            self.begin(Chore("", [Scan(type=EventType.SHIFT_ENDED)]))
            super().act()


def picking(what: PickList) -> list[Step]:
    """From the shelf to the dock: every piece or line, every parcel, every label, and the dock."""
    steps: list[Step] = []
    for sku, qty in what.lines:
        each = [1] * qty if what.one_by_one else [qty]
        code = sku if sku.isdigit() else None
        steps += [Scan(type=EventType.PICK, body=bodies.Pick(sku=sku, qty=n, bin="A-01"), order=what.order, code=code) for n in each]
    for parcel in what.parcels:
        steps += _packing(what.order, parcel)
    # A label that the bridge knows says which order it belongs to; naming the order too is allowed.
    return steps + [Scan(type=EventType.STAGE, body=bodies.Stage(dock=DOCK), order=what.order if p.name else None, code=p.code) for p in what.parcels]


def _packing(order: str, parcel: ParcelToPack) -> list[Step]:
    body = bodies.Pack(items=[Line(sku=sku, qty=qty) for sku, qty in parcel.items], weight_g=parcel.weight_g)
    steps: list[Step] = [Scan(type=EventType.PACK, body=body, order=order, parcel=parcel.name, code=None if parcel.labelled else parcel.code)]
    if parcel.labelled:
        steps.append(Scan(type=EventType.LABELLED, body=bodies.Labelled(code=parcel.code, kind=parcel.kind), order=order, parcel=parcel.name))
    return steps


def taking_back(what: PickList) -> list[Step]:
    """A courier brought an order's parcels back."""
    body = bodies.Returned(dock=RETURNS_DOCK, condition="unopened")
    return [Scan(type=EventType.RETURNED, body=body, order=what.order, code=p.code) for p in what.parcels]
