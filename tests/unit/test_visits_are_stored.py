"""Visits of phones in a database: the same points leave the same rows however they arrive, also over restarts and backlogs. Nothing stays of a phone that is
shut out, or was kept long enough."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from random import Random
from typing import Any, Final

import pytest
from helpers.bench import Bench
from helpers.drives import NOON_MS, circle, drive, fix, in_batches
from helpers.events import BOOT, BOOT_MS, DELIVERY, TOPICS, log_of
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.domain.access import Kind
from bridge.domain.places import Place
from bridge.domain.positions import Fix
from bridge.domain.visits import VisitRules
from bridge.ingest.items import Incoming, ShutOut
from bridge.store.places import put_places
from bridge.store.queries import Queries
from devices.protocol.messages import encode_cbor

PHONE: Final = "phone-anna"
HUB: Final = circle()
RULES: Final = VisitRules(fixes_max=4)
LATER_MS: Final = 4_000_000
"""When the phone sends what it has: ms after noon."""


def road(path: Path, *places: Place, rules: VisitRules = RULES, **other: Any) -> Bench:
    """Anna is on the road with PO-1, from before noon."""
    bench = Bench(path, visits=rules, **other)
    bench.now_ms = NOON_MS - 60_000
    bench.create("PO-1")
    bench.tell("scan-1", "pack", "PO-1")
    bench.tell("desk", "assigned", "PO-1", {"courier": "anna", "job": "j1"})
    bench.tell(PHONE, "out_for_delivery", "PO-1")
    put_places(bench.engine, places or [HUB], removes_others=False, places_max=100)
    bench.settler.forget_places()
    bench.now_ms = NOON_MS + LATER_MS
    return bench


def location(bench: Bench, fixes: Iterable[Fix]) -> Incoming:
    points = [[f.at_ms - BOOT_MS, f.lat_e7, f.lon_e7, f.accuracy_m, None] for f in fixes]
    payload = encode_cbor({"log": log_of(PHONE), "boot": BOOT, "sent_mono_ms": bench.now_ms - BOOT_MS, "points": points})
    return bench.message(PHONE, None, payload, kind=Kind.LOCATION)


def send(bench: Bench, fixes: Iterable[Fix]) -> None:
    """Send fixes in one batch, in as many locations as they need, at the same moment as all others."""
    some = list(fixes)
    bench.now_ms = NOON_MS + LATER_MS
    bench.send(*(location(bench, some[n : n + 50]) for n in range(0, len(some), 50)))


def visits(bench: Bench) -> list[tuple[str, float, float | None]]:
    """(place, arrived, left) in seconds after noon; None for who has not left."""
    rows = bench.rows("SELECT place, arrived_ms, left_ms FROM visits ORDER BY arrived_ms, place")
    return [(place, (arrived_ms - NOON_MS) / 1_000, (left_ms - NOON_MS) / 1_000 if left_ms else None) for place, arrived_ms, left_ms in rows]


def stand(from_s: int, to_s: int, east_m: float = 0.0) -> list[Fix]:
    return [fix(s, east_m) for s in range(from_s, to_s + 1, 10)]


def test_a_visit_is_stored_once_it_is_one_and_again_when_it_ends(tmp_path: Path) -> None:
    with road(tmp_path / "site.db") as bench:
        send(bench, [fix(0, -300), *stand(30, 80)])
        assert visits(bench) == []
        send(bench, stand(90, 100))
        assert visits(bench) == [("hub", 22.5, None)]
        send(bench, stand(120, 500, 500))
        assert visits(bench) == [("hub", 22.5, pytest.approx(103, abs=0.1))]


@settings(derandomize=True, deadline=None, max_examples=6)
@given(st.integers(0, 10_000).map(Random))
def test_the_same_points_leave_the_same_rows_however_they_arrive(tmp_path_factory: pytest.TempPathFactory, chance: Random) -> None:
    fixes = drive(chance, stay_s=400)
    left = []
    for batches in ([fixes], in_batches(fixes, chance), [fixes[-5:], fixes[:-5]], [fixes[n : n + 40] for n in range(0, len(fixes), 40)]):
        with road(tmp_path_factory.mktemp("road") / "site.db", HUB, circle("gate", 500, dwell_s=0)) as bench:
            for batch in batches:
                send(bench, batch)
                if chance.random() < 0.5:
                    bench.forget()
            left.append((bench.dump("positions", "visits"), visits(bench)))
    assert [place for place, *_ in left[0][1]] == ["hub", "gate"]
    assert left.count(left[0]) == len(left)


def test_a_visit_goes_on_after_a_restart_without_its_beginning(tmp_path: Path) -> None:
    """After a restart, an hour is read of what the phone has said, not the half day that it was at the hub."""
    with road(tmp_path / "site.db", rules=VisitRules(fixes_max=4, gap_max_ms=1_800_000)) as bench:
        send(bench, [fix(0, -300), *(fix(s, 0) for s in range(30, 3_500, 60))])
        bench.forget()
        send(bench, [fix(3_510, 20)])
        assert visits(bench) == [("hub", 22.5, None)]
        send(bench, stand(3_530, 3_900, 700))
        assert visits(bench) == [("hub", 22.5, pytest.approx(3_512, abs=1))]


def test_a_backlog_before_what_is_in_memory_repairs_what_was_stored(tmp_path: Path) -> None:
    with road(tmp_path / "site.db", rules=VisitRules(fixes_max=2, gap_max_ms=1_800_000)) as bench:
        send(bench, [*stand(0, 50, -900), *stand(2_900, 3_300, 900)])
        assert visits(bench) == []
        send(bench, stand(1_000, 1_200))
        assert visits(bench) == [("hub", 1_000, 1_200)]
        bench.forget()
        send(bench, stand(900, 950))
        assert visits(bench) == [("hub", 900, 1_200)]


def test_a_phone_that_falls_silent_has_left_where_it_was_last_heard(tmp_path: Path) -> None:
    with road(tmp_path / "site.db") as bench:
        send(bench, stand(0, 120))
        bench.forget()
        bench.now_ms = NOON_MS + 120_000
        bench.sweep(RULES.gap_max_ms)
        assert visits(bench) == [("hub", 0, None)]
        bench.sweep(1_000)
        assert visits(bench) == [("hub", 0, 120)]


def test_one_that_is_heard_again_after_a_long_silence_and_a_restart_had_left_too(tmp_path: Path) -> None:
    with road(tmp_path / "site.db", rules=VisitRules(fixes_max=2, gap_max_ms=1_800_000)) as bench:
        send(bench, stand(0, 120))
        bench.forget()
        send(bench, stand(3_000, 3_100))
        assert visits(bench) == [("hub", 0, 120), ("hub", 3_000, None)]


def test_nothing_stays_of_a_phone_that_is_shut_out(tmp_path: Path) -> None:
    with road(tmp_path / "site.db") as bench:
        send(bench, stand(0, 120))
        bench.settler.commit([ShutOut(received_ms=bench.now_ms, device=PHONE, courier="anna")])
        assert bench.dump("positions", "visits", "dropped_points") == {"positions": [], "visits": [], "dropped_points": []}
        send(bench, stand(130, 300))
        assert visits(bench) == [("hub", 130, None)]


def test_visits_are_kept_as_long_as_positions(tmp_path: Path) -> None:
    with road(tmp_path / "site.db", positions_keep_ms=86_400_000) as bench:
        send(bench, [*stand(0, 120), *stand(130, 600, 900)])
        bench.now_ms = NOON_MS + 86_400_000
        bench.sweep()
        assert len(visits(bench)) == 1
        bench.sweep(1)
        assert visits(bench) == []


def test_a_place_that_was_removed_keeps_its_visits_and_gets_no_new_ones(tmp_path: Path) -> None:
    with road(tmp_path / "site.db") as bench:
        send(bench, [*stand(0, 120), *stand(130, 600, 700), *stand(700, 800)])
        assert visits(bench) == [("hub", 0, pytest.approx(121, abs=1)), ("hub", pytest.approx(689, abs=1), None)]
        put_places(bench.engine, [circle("gate", 5_000)], removes_others=True, places_max=100)
        bench.settler.forget_places()
        send(bench, stand(1_300, 1_500))
        assert [(place, left_s is None) for place, _, left_s in visits(bench)] == [("hub", False), ("hub", False)]


def test_a_place_that_is_new_counts_from_an_hour_before(tmp_path: Path) -> None:
    with road(tmp_path / "site.db", circle("gate", 5_000)) as bench:
        send(bench, stand(0, 120))
        put_places(bench.engine, [HUB], removes_others=False, places_max=100)
        bench.settler.forget_places()
        send(bench, stand(130, 140))
        assert visits(bench) == [("hub", 0, None)]


def test_a_rebuild_leaves_visits_alone(tmp_path: Path) -> None:
    with road(tmp_path / "site.db") as bench:
        send(bench, stand(0, 120))
        before = bench.dump("positions", "visits", "places")
        assert bench.rebuild().changed == []
        assert bench.dump("positions", "visits", "places") == before
        assert Queries(bench.engine, TOPICS).visits(place="hub", device=PHONE, limit=5)[0].left_ms is None


def test_without_a_parcel_nobody_is_anywhere(tmp_path: Path) -> None:
    with road(tmp_path / "site.db") as bench:
        bench.tell(PHONE, "delivery", "PO-1", DELIVERY)
        send(bench, stand(0, 120))
        assert bench.dump("positions", "visits") == {"positions": [], "visits": []}


def test_no_point_asks_the_database(tmp_path: Path) -> None:
    """The first location of a phone reads what is stored of it, and the places. The next ones read nothing."""
    with road(tmp_path / "site.db", rules=VisitRules()) as bench:
        send(bench, stand(0, 20))
        asked: list[str] = []
        with bench.store.transaction() as tx:
            driver = tx.connection.connection.dbapi_connection
        assert driver is not None
        driver.set_trace_callback(lambda statement: asked.append(statement) if statement.startswith("SELECT") else None)
        for s in range(30, 200, 10):
            bench.now_ms = NOON_MS + LATER_MS + s
            bench.send(location(bench, [fix(s, 0)]))
        driver.set_trace_callback(None)
        assert [statement for statement in asked if "positions" in statement or "visits" in statement or "places" in statement] == []
        assert len(visits(bench)) == 1
