"""A day from a seed: the same seed gives the same day, it is complete, and the final state of every order follows from the plan alone."""

from __future__ import annotations

from collections import Counter

import pytest

from bridge.domain import barcodes
from devices.protocol.vocabulary import ORDER_STATE_WORDS, Role
from firmware_sim.firmware.courier import WAYS, Ending
from firmware_sim.firmware.scanner import Scanner
from firmware_sim.workload import COURSES, Fate, Workload


def test_the_same_seed_gives_the_same_day() -> None:
    assert Workload.from_seed(7) == Workload.from_seed(7)
    assert Workload.from_seed(7).orders != Workload.from_seed(8).orders


def test_a_day_of_twenty_orders_has_every_fate() -> None:
    day = Workload.from_seed(3)
    assert {p.fate for p in day.orders} == set(Fate) - {
        Fate.SENT_BACK,
        Fate.ABROAD,
        Fate.SHORT,
        Fate.IN_A_CAGE,
        Fate.CROSS_DOCKED,
        Fate.SWAPPED,
        Fate.HELD_TWICE,
    }
    assert len(day.expected) == day.counts["orders"] == 20
    assert set(day.expected.values()) <= set(ORDER_STATE_WORDS)


def test_every_fate_has_a_course_and_every_ending_a_way() -> None:
    assert set(COURSES) == set(Fate)
    assert set(WAYS) == set(Ending)


@pytest.mark.parametrize("seed", range(20))
def test_parcels_hold_exactly_the_lines_of_their_order(seed: int) -> None:
    for planned in Workload.from_seed(seed).orders:
        packed: Counter[str] = Counter()
        for parcel in planned.parcels:
            assert parcel.items
            packed.update(dict(parcel.items))
        assert packed == dict(planned.lines)
        assert len(planned.parcels) >= COURSES[planned.fate].parcels_min


def test_labels_are_unique_and_readable() -> None:
    codes = [parcel.code for planned in Workload.from_seed(5, 500).orders for parcel in planned.parcels]
    read = [barcodes.read(code) for code in codes]
    assert not [r for r in read if isinstance(r, barcodes.Unreadable)]
    assert len({r.key for r in read if isinstance(r, barcodes.Scanned)}) == len(codes)
    assert {r.kind for r in read if isinstance(r, barcodes.Scanned)} == {barcodes.Kind.SSCC, barcodes.Kind.PLAIN}


def test_articles_have_right_check_digits() -> None:
    skus = {sku for planned in Workload.from_seed(5, 100).orders for sku, _ in planned.lines if sku.isdigit()}
    assert skus
    for sku in skus:
        scanned = barcodes.read(sku)
        assert isinstance(scanned, barcodes.Scanned)
        assert scanned.kind is barcodes.Kind.GTIN


def test_every_order_has_a_device_to_work_on_it() -> None:
    day = Workload.from_seed(9, 50, 2, 3)
    names = {d.name for d in day.devices}
    couriers = {d.courier for d in day.devices if d.role is Role.COURIER}
    assert all(p.scanner in names and p.courier in couriers for p in day.orders)
    made = day.build()
    assert made.keys() == names
    lists = [key for f in made.values() if isinstance(f, Scanner) for key in f.plans]
    assert len(lists) == sum(p.fate is not Fate.UNPAID for p in day.orders) + sum(p.expected == "returned" for p in day.orders)


@pytest.mark.parametrize(("orders", "scanners", "couriers"), [(0, 1, 1), (1, 0, 1), (1, 1, 0), (100_001, 1, 1)])
def test_a_day_without_work_or_workers_is_refused(orders: int, scanners: int, couriers: int) -> None:
    with pytest.raises(ValueError, match="workload"):
        Workload.from_seed(1, orders, scanners, couriers)
