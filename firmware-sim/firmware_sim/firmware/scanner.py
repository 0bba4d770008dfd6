"""A handheld in a warehouse: its worker picks, packs, labels and stages what is on the pick lists, and takes returns in.

A pick list or a returned parcel is handed over (`Handed`); the scanner itself reads nothing but its receipts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from devices.protocol import bodies
from devices.protocol.bodies import Line
from devices.protocol.reasons import Condition
from devices.protocol.vocabulary import EventType, LabelKind
from firmware_sim.firmware.actions import Thing
from firmware_sim.firmware.chores import CAREFUL, Doer, Habits
from firmware_sim.firmware.steps import Chore, Give, Rest, Scan, Step, TakeBack

DOCK: Final = "dock-1"
WRONG_DOCK: Final = "dock-9"
RETURNS_DOCK: Final = "dock-r"
LABEL_TOLD_AFTER_MS: Final = 20_000
"""From a label on a parcel that others take to the dock to the scan that tells of it."""
NOTICED_AFTER_MS: Final = 8_000
"""From a wrong label to the moment in which somebody sees it."""
FOUND_AFTER_MS: Final = 20_000
"""From a shelf that is empty to the goods that stood elsewhere."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ParcelToPack:
    """A parcel as the worker packs it.

    `code` is its label as the scanner reads it. `name` is the parcel's id, if the warehouse gives it one. With `labelled` the label is a scan of its
    own, after the pack.
    """

    items: tuple[tuple[str, int], ...]
    code: str
    kind: LabelKind
    name: str | None = None
    labelled: bool = False
    weight_g: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OthersParcel:
    """A parcel that lies on the same table. With `labels_again` its label is stuck back on it; else the mistake is voided."""

    order: str
    parcel: ParcelToPack
    labels_again: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class PickList:
    """What a worker is told about an order.

    `one_by_one`: each piece is a scan. `labels_only`: what is packed is scanned by its label, and no order is named. `staged_by` is the scanner whose worker
    brings it to the dock, None for the same; labels that are scans of their own are told after that. From the dock it goes to `goes_to`, if anywhere.
    `is_short`: what goes into the last parcel is not at its shelf, and is found later. `swapped` is another order's parcel, whose label is stuck on the first
    of these by mistake, and taken off again.
    """

    order: str
    lines: tuple[tuple[str, int], ...]
    parcels: tuple[ParcelToPack, ...]
    one_by_one: bool = False
    labels_only: bool = False
    staged_by: str | None = None
    goes_to: str | None = None
    is_short: bool = False
    swapped: OthersParcel | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Zone:
    """A part of the hall that a worker passes through. `access_point` None: no network there."""

    seconds: float
    access_point: str | None = "ap-1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Battery:
    """How long a charge lasts, and whether a new one goes in without the device losing power."""

    lasts_s: float
    is_hot_swap: bool = True
    percent: int = 100


SWAP_AT_PERCENT: Final = 5
ROAM_MS: Final = 150
"""From one access point to the next."""


class Scanner(Doer):
    """A scanner and its worker, who has one pair of hands.

    Args:
        workers: who works with it, one after the other.
        shift_s: how long each has it, if there are several.
        walk: the hall, zone by zone, over and over; empty: one access point everywhere.
        battery: None if it hangs on a cable.
    """

    HAS_BEEPER = True

    def __init__(
        self,
        *,
        workers: Sequence[str],
        lists: list[PickList],
        returns: list[PickList],
        to_stage: Sequence[PickList] = (),
        shift_s: float = 28_800.0,
        walk: Sequence[Zone] = (),
        battery: Battery | None = None,
        **more: Any,
    ) -> None:
        habits = more.get("habits", CAREFUL)
        plans = {(Thing.PICK_LIST, x.order): picking(x, habits) for x in lists} | {(Thing.RETURN, x.order): taking_back(x) for x in returns}
        plans |= {(Thing.PARCELS, x.order): staging(x, habits) for x in to_stage}
        super().__init__(hands=1, plans=plans, chores=[Chore("", [starting(workers[0])])], by=workers[0], **more)
        self._workers = workers
        self._shift = 0
        self._shift_ms = round(shift_s * 1000)
        self._shift_ended = False
        self._walk = walk
        self._access_point: str | None = None
        self._battery = battery
        self._began_ms: int | None = None
        self._charged_ms = 0
        self._charge = battery.percent if battery is not None else 100

    @property
    def is_finished(self) -> bool:
        return self._shift_ended and super().is_finished

    # --- the device -------------------------------------------------------------------------------------------------------

    def live(self) -> None:
        if self._began_ms is None:
            self._began_ms = self._charged_ms = self.now_ms
        if self._walk:
            self._go_on_walking(self.now_ms - self._began_ms)
        if self._battery is not None:
            self._drain(self._battery)

    def _go_on_walking(self, since_ms: int) -> None:
        """Which access point there is where the worker is now; roaming is a new connection."""
        at_s = since_ms / 1000 % sum(z.seconds for z in self._walk)
        for zone in self._walk:
            at_s -= zone.seconds
            if at_s < 0:
                break
        if not self._shift_ended:
            self.wake_at(self.now_ms + max(1, round(-at_s * 1000)))
        elif zone.access_point is None:
            zone = next((z for z in self._walk if z.access_point is not None), zone)  # on the way home the worker passes the charger
        if zone.access_point is None:
            self._access_point = None
            self.radio.lose_signal("is where no access point reaches")
        elif zone.access_point != self._access_point:
            if self._access_point is not None:
                self.radio.hang_up("roams to another access point")
                self.radio.connect_in(ROAM_MS)
            self._access_point = zone.access_point
            self.radio.find_signal(f"is back, at {zone.access_point}")

    def _drain(self, battery: Battery) -> None:
        used = (self.now_ms - self._charged_ms) / 10 / battery.lasts_s
        self.battery_percent = max(0, round(self._charge - used))
        if self.battery_percent > SWAP_AT_PERCENT:
            return
        self._charged_ms, self._charge = self.now_ms, 100
        self.battery_percent = 100
        self.note("gets a new battery" if battery.is_hot_swap else "gets a new battery, and starts anew")
        if not battery.is_hot_swap:
            self.radio.hang_up("its battery is out")
            self.start_anew()

    # --- its worker -------------------------------------------------------------------------------------------------------

    def act(self) -> None:
        self._change_hands()
        super().act()
        if not self._shift_ended and not self.plans and not self.hands.busy and not self.hands.aside:
            self._shift_ended = True
            self.begin(Chore("", [Scan(type=EventType.SHIFT_ENDED)]))
            super().act()

    def _change_hands(self) -> None:
        """The next worker takes the device over, with whatever lies in hand."""
        if self._began_ms is None or len(self._workers) < 2 or self._shift_ended:
            return
        ends_ms = self._began_ms + (self._shift + 1) * self._shift_ms
        if self.now_ms < ends_ms:
            self.wake_at(ends_ms)
            return
        self._shift += 1
        self._by = self._workers[self._shift % len(self._workers)]
        self.note("is handed to the next worker")
        self.record(EventType.SHIFT_ENDED)
        self.record(EventType.SHIFT_STARTED, bodies.ShiftStarted(worker=self._by))


def starting(worker: str) -> Scan:
    return Scan(type=EventType.SHIFT_STARTED, body=bodies.ShiftStarted(worker=worker))


def picking(what: PickList, habits: Habits = CAREFUL) -> list[Step]:
    """From the shelf to the dock: every piece or line, every parcel, every label, and the dock."""
    steps: list[Step] = []
    missing = dict(what.parcels[-1].items) if what.is_short else {}
    for sku, qty in what.lines:
        if sku in missing:
            steps.append(Scan(type=EventType.PICK, body=bodies.Pick(sku=sku, qty=qty, bin="A-01", short=True), order=what.order))
        else:
            steps += _from_the_shelf(what, sku, qty)
    labels = [_label(what.order, parcel) for parcel in what.parcels if parcel.labelled] if what.staged_by is not None else []
    for parcel in what.parcels[:-1] if missing else what.parcels:
        steps += _packing(what.order, parcel)[: 1 if labels else None]
    if what.swapped is not None:
        steps += _swapping(what.order, what.parcels[0], what.swapped)
    if missing:
        steps.append(Rest(FOUND_AFTER_MS))
        for sku, qty in missing.items():
            steps += _from_the_shelf(what, sku, qty)
        steps += _packing(what.order, what.parcels[-1])
    if what.staged_by is None:
        return [*steps, *staging(what, habits)]
    return [*steps, Give(what.staged_by, Thing.PARCELS), *([Rest(LABEL_TOLD_AFTER_MS), *labels] if labels else [])]


def _from_the_shelf(what: PickList, sku: str, qty: int) -> list[Step]:
    each = [1] * qty if what.one_by_one else [qty]
    code = sku if sku.isdigit() else None
    return [Scan(type=EventType.PICK, body=bodies.Pick(sku=sku, qty=n, bin="A-01"), order=what.order, code=code) for n in each]


def staging(what: PickList, habits: Habits = CAREFUL) -> list[Step]:
    """What was packed is brought to the dock."""
    steps: list[Step] = []
    for n, parcel in enumerate(what.parcels):
        # A label that the bridge knows says which order it belongs to; naming the order too is allowed.
        order = what.order if parcel.name and not what.labels_only else None
        if habits.slip and (n * 7 + len(what.order)) % 10 < habits.slip * 10:
            steps += [Scan(type=EventType.STAGE, body=bodies.Stage(dock=WRONG_DOCK), order=order, code=parcel.code), TakeBack()]
        steps.append(Scan(type=EventType.STAGE, body=bodies.Stage(dock=DOCK), order=order, code=parcel.code))
    return [*steps, Give(what.goes_to, Thing.PARCELS)] if what.goes_to is not None else steps


def _packing(order: str, parcel: ParcelToPack) -> list[Step]:
    body = bodies.Pack(items=[Line(sku=sku, qty=qty) for sku, qty in parcel.items], weight_g=parcel.weight_g)
    steps: list[Step] = [Scan(type=EventType.PACK, body=body, order=order, parcel=parcel.name, code=None if parcel.labelled else parcel.code)]
    return [*steps, _label(order, parcel)] if parcel.labelled else steps


def _label(order: str, parcel: ParcelToPack) -> Step:
    return Scan(type=EventType.LABELLED, body=bodies.Labelled(code=parcel.code, kind=parcel.kind), order=order, parcel=parcel.name)


def _swapping(order: str, mine: ParcelToPack, other: OthersParcel) -> list[Step]:
    """The wrong label is on a parcel for a while; then both are what they should be."""
    label = bodies.Labelled(code=other.parcel.code, kind=other.parcel.kind)
    mistake = Scan(type=EventType.LABELLED, body=label, order=order, parcel=mine.name)
    if not other.labels_again:
        return [mistake, Rest(NOTICED_AFTER_MS), TakeBack()]
    back = Scan(type=EventType.LABELLED, body=label, order=other.order, parcel=other.parcel.name)
    return [mistake, Rest(NOTICED_AFTER_MS), back, _label(order, mine)]


def taking_back(what: PickList) -> list[Step]:
    """A courier brought an order's parcels back."""
    body = bodies.Returned(dock=RETURNS_DOCK, condition=Condition.UNOPENED)
    order = None if what.labels_only else what.order
    return [Scan(type=EventType.RETURNED, body=body, order=order, code=p.code) for p in what.parcels]
