"""A working day: which orders there are, what happens to each, who does it, and which state each must end in.

The expected states follow from the plan (`Fate`) alone; nothing here knows how the bridge folds events. The same seed gives the same day.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from random import Random
from typing import Any, Final, NamedTuple

from devices.protocol.vocabulary import OrderState, Payment, Role, partially
from firmware_sim.firmware.base import Firmware
from firmware_sim.firmware.carrier import Carrier, Passage
from firmware_sim.firmware.courier import Courier, Ending, Visit
from firmware_sim.firmware.dispatcher import Dispatcher, Route, Screen
from firmware_sim.firmware.gate import Cage, Gate, Hub, Transit
from firmware_sim.firmware.scanner import OthersParcel, ParcelToPack, PickList, Scanner
from firmware_sim.firmware.shop import Sale, Shop
from firmware_sim.wares import lines_of_an_order, parcels_of

ORDERS_MAX: Final = 100_000
DEPOT: Final = (523_700_000, 49_000_000)
"""Where parcels start and return to, (lat_e7, lon_e7)."""
AROUND_E7: Final = 300_000
"""How far doors are from the depot, degrees × 1e7: some three kilometres."""
ORDER_EVERY_MS: Final = 2_000
SHOP: Final = "shop-1"
DISPATCHER: Final = "dispatch-1"
SCREEN: Final = "desk-1"
CARRIER: Final = "carrier-1"
GATE: Final = "gate-1"
HUB: Final = "hub-1"
ORDERS_IN_A_CAGE: Final = 3
COUNTRIES: Final = ("NL", "DE", "GB", "CH", "CN", "US")


class Fate(StrEnum):
    """What happens to an order."""

    DELIVERED = "delivered"
    COMPLETED = "completed"
    PAID_AT_THE_DOOR = "paid_at_the_door"
    SECOND_TRY = "second_try"
    HELD = "held"
    FED_LATE = "fed_late"
    CANCELLED = "cancelled"
    REFUSED = "refused"
    NEVER_MET = "never_met"
    ONE_DELIVERED = "one_delivered"
    UNPAID = "unpaid"
    AT_THE_DOCK = "at_the_dock"
    IN_THE_VAN = "in_the_van"
    ON_THE_ROAD = "on_the_road"
    SENT_BACK = "sent_back"
    ABROAD = "abroad"
    SHORT = "short"
    IN_A_CAGE = "in_a_cage"
    CROSS_DOCKED = "cross_docked"
    SWAPPED = "swapped"
    HELD_TWICE = "held_twice"


class Course(NamedTuple):
    """What a fate means: the state that the order ends in, how the courier's visit ends (None: no courier), and how many parcels it takes at least."""

    expected: str
    visit: Ending | None
    parcels_min: int = 1


COURSES: Final[dict[Fate, Course]] = {
    Fate.DELIVERED: Course(OrderState.DELIVERED, Ending.DELIVERED),
    Fate.COMPLETED: Course(OrderState.COMPLETED, Ending.DELIVERED),
    Fate.PAID_AT_THE_DOOR: Course(OrderState.DELIVERED, Ending.DELIVERED),
    Fate.SECOND_TRY: Course(OrderState.DELIVERED, Ending.SECOND_TRY),
    Fate.HELD: Course(OrderState.DELIVERED, Ending.DELIVERED),
    Fate.FED_LATE: Course(OrderState.DELIVERED, Ending.DELIVERED),
    Fate.CANCELLED: Course(OrderState.CANCELLED, None),
    Fate.REFUSED: Course(OrderState.RETURNED, Ending.REFUSED),
    Fate.NEVER_MET: Course(OrderState.RETURNED, Ending.NEVER_MET),
    Fate.ONE_DELIVERED: Course(partially(OrderState.OUT_FOR_DELIVERY), Ending.ONE_DELIVERED, 2),
    Fate.UNPAID: Course(OrderState.PENDING_PAYMENT, None),
    Fate.AT_THE_DOCK: Course(OrderState.PACKED, None),
    Fate.IN_THE_VAN: Course(OrderState.SHIPPED, Ending.IN_THE_VAN),
    Fate.ON_THE_ROAD: Course(OrderState.OUT_FOR_DELIVERY, Ending.ON_THE_ROAD),
    Fate.SENT_BACK: Course(OrderState.RETURNED, Ending.SENT_BACK),
    Fate.ABROAD: Course(OrderState.DELIVERED, None),
    Fate.SHORT: Course(OrderState.DELIVERED, Ending.DELIVERED, 2),
    Fate.IN_A_CAGE: Course(OrderState.DELIVERED, None),
    Fate.CROSS_DOCKED: Course(OrderState.DELIVERED, None),
    Fate.SWAPPED: Course(OrderState.DELIVERED, Ending.DELIVERED),
    Fate.HELD_TWICE: Course(OrderState.DELIVERED, Ending.DELIVERED),
}

_ASKED_FOR: Final = frozenset({Fate.SENT_BACK, Fate.ABROAD, Fate.SHORT, Fate.IN_A_CAGE, Fate.CROSS_DOCKED, Fate.SWAPPED, Fate.HELD_TWICE})

_ONCE: Final = tuple(f for f in Fate if f not in _ASKED_FOR)
"""What every day has, where nobody asks for something else."""

_USUAL: Final = (Fate.DELIVERED, Fate.DELIVERED, Fate.COMPLETED, Fate.COMPLETED, Fate.PAID_AT_THE_DOOR, Fate.SECOND_TRY, Fate.HELD, Fate.CANCELLED)
"""What most orders come to, once every fate was met."""


_BY_THE_GATE: Final = frozenset({Fate.IN_A_CAGE, Fate.CROSS_DOCKED})
_GOES_TO: Final = {Fate.ABROAD: CARRIER, Fate.IN_A_CAGE: GATE}
"""Who fetches the parcels at the dock, if it is not a courier."""
_NEVER_PACKED: Final = frozenset({Fate.UNPAID, Fate.CROSS_DOCKED})


def _nothing_more(device: str) -> dict[str, Any]:
    return {}


@dataclass(frozen=True, slots=True, kw_only=True)
class SimDevice:
    """A device that the day needs enrolled. `courier` is set for phones."""

    name: str
    role: Role
    courier: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedOrder:
    """One order and its fate."""

    order: str
    fate: Fate
    lines: tuple[tuple[str, int], ...]
    parcels: tuple[ParcelToPack, ...]
    scanner: str
    courier: str
    door: tuple[int, int]
    start_ms: int
    amount_minor: int
    one_by_one: bool
    job: str | None = None
    dest_country: str | None = None
    labels_only: bool = False
    staged_by: str | None = None
    swapped: OthersParcel | None = None

    @property
    def expected(self) -> str:
        return COURSES[self.fate].expected

    @property
    def visit(self) -> Ending | None:
        return COURSES[self.fate].visit

    @property
    def labels(self) -> tuple[str, ...]:
        """What the courier scans, if that is all."""
        return _labels(self) if self.labels_only else ()

    @property
    def pick_list(self) -> PickList:
        return PickList(
            order=self.order,
            lines=self.lines,
            parcels=self.parcels,
            one_by_one=self.one_by_one,
            labels_only=self.labels_only,
            staged_by=self.staged_by,
            goes_to=_GOES_TO.get(self.fate),
            is_short=self.fate is Fate.SHORT,
            swapped=self.swapped,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """A day's plan. `expected` maps each order to the state word that its status must show at the end."""

    site: str
    seed: int
    devices: tuple[SimDevice, ...]
    orders: tuple[PlannedOrder, ...]
    expected: dict[str, str] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)

    @classmethod
    def from_seed(
        cls,
        seed: int,
        orders: int = 20,
        scanners: int = 3,
        couriers: int = 2,
        *,
        site: str = "main",
        fates: Mapping[Fate, int] | None = None,
        every_ms: int = ORDER_EVERY_MS,
        labels_only: bool = False,
    ) -> Workload:
        """Plan a day. `fates` weighs what happens to orders; without it every fate comes once, then the usual ones.

        With `labels_only` each order is packed by one scanner and brought to the dock by the next, and what is packed is scanned by its labels alone.

        Raises:
            ValueError: if no one can do the work, or there is too much of it.
        """
        if not 1 <= orders <= ORDERS_MAX:
            raise ValueError(f"a workload has 1 to {ORDERS_MAX} orders, not {orders}")
        if scanners < 1 or couriers < 1:
            raise ValueError("a workload needs at least one scanner and one courier")
        rng = Random(seed)
        drawn = rng.choices(list(fates), list(fates.values()), k=orders) if fates else _fates(rng, orders)
        planned = tuple(_planned(rng, seed, number, fate, scanners, couriers, every_ms) for number, fate in enumerate(drawn, 1))
        planned = tuple(_swapped(planned, n) if p.fate is Fate.SWAPPED else p for n, p in enumerate(planned))
        if labels_only:
            planned = tuple(_by_labels(p, scanners) for p in planned)
        return cls(
            site=site,
            seed=seed,
            devices=_devices(scanners, couriers, frozenset(p.fate for p in planned)),
            orders=planned,
            expected={p.order: p.expected for p in planned},
            counts=_counts(planned),
        )

    def build(self, *, speed: float = 1.0, more: Callable[[str], dict[str, Any]] = _nothing_more) -> dict[str, Firmware]:
        """The devices' firmwares, by device; pauses are `speed` times shorter than in life. `more` are further arguments of a scanner or a phone."""
        made: dict[str, Firmware] = {
            SHOP: Shop(site=self.site, device=SHOP, sales=[_sale(p) for p in self.orders], speed=speed),
            DISPATCHER: Dispatcher(site=self.site, device=DISPATCHER, routes=[_route(p) for p in self.orders if p.visit], speed=speed),
            SCREEN: Screen(site=self.site, device=SCREEN),
        }
        for device in self.devices:
            if device.name in (GATE, HUB):
                made[device.name] = self._beyond_the_hall(device.name, speed)
            elif device.role is Role.SCANNER:
                made[device.name] = self._scanner(device.name, {"workers": (f"w-{device.name}",), "speed": speed, **more(device.name)})
            elif device.courier is not None:
                made[device.name] = self._courier(device.name, device.courier, {"speed": speed, **more(device.name)})
            elif device.name == CARRIER:
                made[CARRIER] = Carrier(site=self.site, device=CARRIER, passages=[_passage(p) for p in self.orders if p.fate is Fate.ABROAD], speed=speed)
        return made

    def _scanner(self, name: str, more: dict[str, Any]) -> Scanner:
        mine = [p for p in self.orders if p.scanner == name]
        lists = [p.pick_list for p in mine if p.fate not in _NEVER_PACKED]
        returns = [p.pick_list for p in mine if p.expected == OrderState.RETURNED]
        to_stage = [p.pick_list for p in self.orders if p.staged_by == name]
        kind: type[Scanner] = more.pop("kind", Scanner)
        return kind(site=self.site, device=name, lists=lists, returns=returns, to_stage=to_stage, **more)

    def _beyond_the_hall(self, name: str, speed: float) -> Gate | Hub:
        cages = _cages([p for p in self.orders if p.fate is Fate.IN_A_CAGE])
        transits = [Transit(order=p.order, labels=_labels(p)) for p in self.orders if p.fate is Fate.CROSS_DOCKED]
        if name == HUB:
            return Hub(site=self.site, device=name, cages=cages, transits=transits, speed=speed)
        return Gate(site=self.site, device=name, cages=cages, transits=transits, hub=HUB, speed=speed)

    def _courier(self, name: str, courier: str, more: dict[str, Any]) -> Courier:
        visits = [
            Visit(order=p.order, ending=p.visit, door=p.door, back_to=p.scanner, amount_minor=p.amount_minor, labels=p.labels)
            for p in self.orders
            if p.courier == courier and p.visit is not None
        ]
        kind: type[Courier] = more.pop("kind", Courier)
        return kind(site=self.site, device=name, courier=courier, visits=visits, depot=DEPOT, **more)


def _devices(scanners: int, couriers: int, fates: frozenset[Fate]) -> tuple[SimDevice, ...]:
    carrier = (SimDevice(name=CARRIER, role=Role.CARRIER),) if Fate.ABROAD in fates else ()
    beyond = (SimDevice(name=GATE, role=Role.SCANNER), SimDevice(name=HUB, role=Role.SCANNER)) if fates & _BY_THE_GATE else ()
    return (
        *carrier,
        *beyond,
        SimDevice(name=SHOP, role=Role.SYSTEM),
        SimDevice(name=DISPATCHER, role=Role.DESK),
        SimDevice(name=SCREEN, role=Role.DESK),
        *(SimDevice(name=f"scan-{n}", role=Role.SCANNER) for n in range(1, scanners + 1)),
        *(SimDevice(name=f"phone-{n}", role=Role.COURIER, courier=f"courier-{n}") for n in range(1, couriers + 1)),
    )


def _fates(rng: Random, orders: int) -> list[Fate]:
    """Every fate once, then the usual ones; a small day has the first of the list."""
    fates: list[Fate] = list(_ONCE[:orders])
    fates += [rng.choice(_USUAL) for _ in range(orders - len(fates))]
    rng.shuffle(fates)
    return fates


def _planned(rng: Random, seed: int, number: int, fate: Fate, scanners: int, couriers: int, every_ms: int) -> PlannedOrder:
    order = f"sim{seed}-{number:04}"
    parcels_count = max(COURSES[fate].parcels_min, rng.choice((1, 1, 1, 2, 3)))
    lines = lines_of_an_order(rng, parcels_count)
    courier = f"courier-{rng.randint(1, couriers)}"
    return PlannedOrder(
        order=order,
        fate=fate,
        lines=lines,
        parcels=parcels_of(rng, order, lines, parcels_count),
        scanner=f"scan-{rng.randint(1, scanners)}",
        courier=courier,
        door=(DEPOT[0] + rng.randint(-AROUND_E7, AROUND_E7), DEPOT[1] + rng.randint(-AROUND_E7, AROUND_E7)),
        start_ms=number * every_ms,
        amount_minor=rng.randint(500, 30_000),
        one_by_one=rng.random() < 0.3,
        # Half of the orders travel in jobs of several, the rest in a job of their own.
        job=f"run{seed}-{courier}-{(number - 1) // 8}" if rng.random() < 0.5 else None,
        dest_country=COUNTRIES[1 + number % (len(COUNTRIES) - 1)] if fate is Fate.ABROAD else None,
    )


def _swapped(planned: tuple[PlannedOrder, ...], n: int) -> PlannedOrder:
    """The label of the order before, and a void; or the next label in the worker's hand, which is stuck where it belongs before its own parcel is packed.

    A parcel with a name can be told from others of its order; without, it has to be the only one.
    """
    mine = planned[n]
    following = next((p for p in planned[n + 1 :] if p.scanner == mine.scanner), None) if mine.one_by_one else None
    other = following or planned[n - 1]
    parcel = other.parcels[0]
    if n == 0 or not _can_be_told(mine) or (following is not None and parcel.name is None):
        return mine
    return replace(mine, swapped=OthersParcel(order=other.order, parcel=parcel, labels_again=following is not None))


def _can_be_told(p: PlannedOrder) -> bool:
    return p.parcels[0].name is not None or len(p.parcels) == 1


def _by_labels(p: PlannedOrder, scanners: int) -> PlannedOrder:
    """What is never packed has no label, and nobody waits for it at the dock."""
    is_packed = p.fate is not Fate.CANCELLED and p.fate not in _NEVER_PACKED
    following = f"scan-{int(p.scanner.removeprefix('scan-')) % scanners + 1}"
    return replace(p, labels_only=True, staged_by=following if is_packed else None)


def _sale(p: PlannedOrder) -> Sale:
    return Sale(
        order=p.order,
        lines=p.lines,
        start_ms=p.start_ms,
        amount_minor=p.amount_minor,
        payment=Payment.ON_DELIVERY if p.fate is Fate.PAID_AT_THE_DOOR else Payment.PREPAID,
        is_paid=p.fate is not Fate.UNPAID and not (p.fate is Fate.CROSS_DOCKED and p.one_by_one),
        picked_by=None if p.fate is Fate.UNPAID else GATE if p.fate is Fate.CROSS_DOCKED else p.scanner,
        fed_late=p.fate is Fate.FED_LATE,
        is_held=p.fate in (Fate.HELD, Fate.HELD_TWICE),
        is_held_twice=p.fate is Fate.HELD_TWICE,
        is_cancelled=p.fate is Fate.CANCELLED,
        is_completed=p.fate is Fate.COMPLETED,
        dest_country=p.dest_country,
    )


def _labels(p: PlannedOrder) -> tuple[str, ...]:
    return tuple(parcel.code for parcel in p.parcels)


def _cages(orders: list[PlannedOrder]) -> list[Cage]:
    """A few orders in each, as they come."""
    some = [orders[at : at + ORDERS_IN_A_CAGE] for at in range(0, len(orders), ORDERS_IN_A_CAGE)]
    return [Cage(code=f"CAGE-{n}", pallet=f"PALLET-{n}", labels={p.order: _labels(p) for p in together}) for n, together in enumerate(some, 1)]


def _route(p: PlannedOrder) -> Route:
    return Route(order=p.order, courier=p.courier, job=p.job)


def _passage(p: PlannedOrder) -> Passage:
    hubs = (f"hub-{COUNTRIES[0]}", f"hub-{p.dest_country}-1", f"hub-{p.dest_country}-2")
    return Passage(order=p.order, hubs=hubs, leaves=COUNTRIES[0], enters=p.dest_country or COUNTRIES[1], is_held=p.one_by_one)


def _counts(planned: tuple[PlannedOrder, ...]) -> dict[str, int]:
    counts = {"orders": len(planned), "lines": sum(len(p.lines) for p in planned), "parcels": sum(len(p.parcels) for p in planned)}
    for fate in Fate:
        counts[fate.value] = sum(p.fate is fate for p in planned)
    return counts
