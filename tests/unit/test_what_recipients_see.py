"""A recipient sees where the courier is only shortly before he comes, rounded, and not longer than it is fresh."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from helpers.bench import Bench
from helpers.events import BOOT, BOOT_MS, DELIVERY, TOPICS, log_of
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.domain.access import Kind
from bridge.domain.positions import Fix, ShowingRules, distance_m, rounded
from bridge.ingest.items import Incoming
from bridge.projections.positions import next_orders
from devices.protocol.messages import Position, decode, encode_cbor

PHONE: Final = "phone-anna"
LAT, LON = 525_000_123, 134_000_456
SECOND: Final = 1_000
TOUR: Final = ("PO-3", "PO-1", "PO-5", "PO-2", "PO-4")
"""Anna's stops, in their order."""


@pytest.fixture
def tour(tmp_path: Path) -> Iterator[Bench]:
    """Anna is out with five orders of one job."""
    with Bench(tmp_path / "site.db") as bench:
        send_out(bench, *TOUR, job="j1")
        yield bench


def send_out(bench: Bench, *orders: str, job: str | None) -> None:
    bench.create(*orders)
    for order in orders:
        bench.tell("scan-1", "pack", order)
        if job is not None:
            bench.tell("desk", "assigned", order, {"courier": "anna", "job": job})
        bench.tell(PHONE, "out_for_delivery", order)


def location(bench: Bench, ago_s: int = 0, device: str = PHONE) -> Incoming:
    mono_ms = bench.now_ms - BOOT_MS
    points = [[mono_ms - ago_s * SECOND, LAT, LON, 5, None]]
    return bench.message(device, None, encode_cbor({"log": log_of(device), "boot": BOOT, "sent_mono_ms": mono_ms, "points": points}), kind=Kind.LOCATION)


def shown(bench: Bench) -> list[str]:
    """The orders for which a position is shown, in the order of the tour."""
    return [order for order in TOUR if bench.show(TOPICS.position(order)) is not None]


def position(bench: Bench, order: str = "PO-3") -> dict[str, Any] | None:
    return bench.show(TOPICS.position(order))


# --- for whom -----------------------------------------------------------------------------------------------------------------


def test_only_the_next_three_stops_see_the_courier(tour: Bench) -> None:
    tour.send(location(tour))
    assert shown(tour) == ["PO-3", "PO-1", "PO-5"]


def test_with_each_delivery_the_next_stop_sees_him(tour: Bench) -> None:
    tour.send(location(tour))
    tour.tell(PHONE, "delivery", "PO-3", DELIVERY)
    assert shown(tour) == ["PO-1", "PO-5"]
    tour.send(location(tour))
    assert shown(tour) == ["PO-1", "PO-5", "PO-2"]


def test_a_stop_that_is_no_longer_next_sees_him_no_more(tour: Bench) -> None:
    tour.tell("desk", "assigned", "PO-4", {"courier": "anna", "job": "a-first"})
    tour.send(location(tour))
    assert shown(tour) == ["PO-3", "PO-1", "PO-4"], "the stops of his other job come first"


def test_a_job_that_comes_before_takes_the_place_of_the_last_one_shown(tour: Bench) -> None:
    tour.send(location(tour))
    tour.tell("desk", "assigned", "PO-2", {"courier": "anna", "job": "a-first"})
    tour.send(location(tour))
    assert shown(tour) == ["PO-3", "PO-1", "PO-2"]


@pytest.mark.parametrize(("stops", "expected"), [(0, []), (1, ["PO-3"]), (500, list(TOUR))])
def test_how_many_is_the_sites_to_say(tmp_path: Path, stops: int, expected: list[str]) -> None:
    with Bench(tmp_path / "site.db", showing=ShowingRules(next_stops=stops)) as bench:
        send_out(bench, *TOUR, job="j1")
        bench.send(location(bench))
        assert shown(bench) == expected


@pytest.mark.parametrize(
    ("out", "stops", "expected"),
    [
        pytest.param(["a", "b", "c"], [], {"a", "b", "c"}, id="no more than that: all are next"),
        pytest.param(["a", "b", "c", "d"], [], set(), id="in no job: nobody knows whose turn it is"),
        pytest.param(["a", "b", "c", "d"], ["d"], {"d"}, id="only one is in a job"),
        pytest.param(["a", "b", "c", "d"], ["x", "d", "c", "b", "a"], {"d", "c", "b"}, id="not yet collected orders are no stop"),
        pytest.param([], ["a"], set(), id="nothing is out"),
    ],
)
def test_which_orders_are_next(out: list[str], stops: list[str], expected: set[str]) -> None:
    assert set(next_orders(out, stops, 3)) == expected


def test_without_jobs_a_courier_with_many_orders_is_shown_to_none(tmp_path: Path) -> None:
    with Bench(tmp_path / "site.db") as bench:
        send_out(bench, *TOUR, job=None)
        bench.send(location(bench))
        assert shown(bench) == []
        for order in TOUR[:2]:
            bench.tell(PHONE, "delivery", order, DELIVERY)
        bench.send(location(bench))
        assert shown(bench) == list(TOUR[2:])


# --- for how long -------------------------------------------------------------------------------------------------------------


def test_a_position_is_stale_after_a_minute_and_gone_after_two(tour: Bench) -> None:
    at_ms = tour.now_ms
    tour.send(location(tour))
    assert "stale" not in (position(tour) or {})
    tour.now_ms = at_ms
    tour.sweep(59 * SECOND)
    assert "stale" not in (position(tour) or {})
    tour.sweep(1 * SECOND)
    stale = decode(tour.retained[TOPICS.position("PO-3")], Position)
    assert (stale.stale, stale.at_ms) == (True, at_ms)
    tour.sweep(59 * SECOND)
    assert shown(tour) == ["PO-3", "PO-1", "PO-5"]
    tour.sweep(1 * SECOND)
    assert shown(tour) == []


def test_under_load_no_sweep_is_needed_for_it(tour: Bench) -> None:
    tour.send(location(tour))
    tour.now_ms += 120 * SECOND
    tour.create("PO-9")
    assert shown(tour) == []


def test_a_courier_who_is_heard_again_is_fresh_again(tour: Bench) -> None:
    tour.send(location(tour))
    tour.sweep(70 * SECOND)
    tour.send(location(tour))
    assert "stale" not in (position(tour) or {})
    tour.sweep(50 * SECOND)
    assert "stale" not in (position(tour) or {})


@pytest.mark.parametrize(("ago_s", "expected"), [(30, "fresh"), (90, "stale"), (120, "nothing"), (3_000, "nothing")])
def test_what_comes_late_is_as_old_as_it_is(tour: Bench, ago_s: int, expected: str) -> None:
    tour.now_ms += 3_600 * SECOND
    tour.send(location(tour, ago_s))
    found = position(tour)
    assert ("nothing" if found is None else "stale" if found.get("stale") else "fresh") == expected


def test_what_a_batch_cleared_that_did_not_commit_is_cleared_again(tour: Bench) -> None:
    """The bridge has cleared a position, and then forgets, as after a batch that failed: nobody may have seen the clearing."""
    tour.send(location(tour))
    before = dict(tour.retained)
    tour.tell(PHONE, "delivery", "PO-3", DELIVERY)
    tour.forget()
    tour.retained = before
    tour.sweep()
    assert "PO-3" not in shown(tour)


# --- how exactly --------------------------------------------------------------------------------------------------------------


def test_a_position_is_rounded_to_the_grid_of_the_site(tmp_path: Path) -> None:
    with Bench(tmp_path / "site.db", showing=ShowingRules(round_m=100)) as bench:
        send_out(bench, "PO-3", job="j1")
        bench.send(location(bench))
        seen = decode(bench.retained[TOPICS.position("PO-3")], Position)
        assert (seen.lat_e7, seen.lon_e7) != (LAT, LON)
        assert seen.accuracy_m == 100
        assert bench.rows("SELECT lat_e7, lon_e7, accuracy_m FROM positions") == [(LAT, LON, 5)], "the site's own people see where he was"


@settings(derandomize=True, deadline=None, max_examples=100)
@given(st.integers(-900_000_000, 900_000_000), st.integers(-1_800_000_000, 1_800_000_000), st.integers(1, 10_000))
def test_a_rounded_place_is_near_and_says_no_more_if_it_is_rounded_again(lat_e7: int, lon_e7: int, round_m: int) -> None:
    exact = Fix(1, lat_e7, lon_e7, 5)
    shown = rounded(exact, round_m)
    assert abs(shown.lat_e7) <= 900_000_000
    assert abs(shown.lon_e7) <= 1_800_000_000
    assert distance_m(exact, shown) <= round_m * 1.1 + 1
    assert rounded(shown, round_m) == shown
    assert rounded(exact, 0) == exact
