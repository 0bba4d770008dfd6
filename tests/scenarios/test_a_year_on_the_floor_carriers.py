"""A year on the floor, with carriers, customs and clocks: what a shift leader wants when others report for us, late, twice, wrong, or not at all."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from helpers.events import NOW_MS, SITE, TOPICS
from helpers.floor import DAY_MS, FINE, HOUR_MS, KNOWN, MINUTE_MS, Floor, odd

from bridge.domain.access import Identity, may_publish
from devices.protocol.topics import Topics
from devices.protocol.vocabulary import Role


@pytest.fixture
def floor(tmp_path: Path) -> Iterator[Floor]:
    with Floor(tmp_path / "site.db") as made:
        yield made


def utc_ms(*moment: int) -> int:
    return int(datetime(*moment, tzinfo=UTC).timestamp() * 1000)  # type: ignore[misc, arg-type]


# --- borders and seas -------------------------------------------------------------------------------------------------------


def test_customs_hold_one_of_two_and_the_order_says_so(floor: Floor) -> None:
    floor.packed("A", "a", "b", dest_country="NL")
    for code in ("WB-A", "WB-B"):
        assert floor.carrier.depart(code=code, hub="SHA") == FINE
        assert floor.carrier.customs_entered(code=code, country="NL", direction="import") == FINE
    assert floor.carrier.customs_held(code="WB-A", country="NL", reason="documents") == FINE
    assert floor.carrier.customs_cleared(code="WB-B", country="NL") == FINE
    assert floor.state("A") == "partially_customs (customs_hold)"
    assert (floor.parcel("A", "a"), floor.parcel("A", "b")) == ("customs (customs_hold)", "entered")
    assert floor.carrier.customs_cleared(code="WB-A", country="NL") == FINE
    assert (floor.state("A"), floor.alerts()) == ("entered", set())


def test_45_silent_days_at_sea_are_a_flag_until_the_ship_is_in(floor: Floor) -> None:
    floor.packed("A", "a", promise_ms=floor.now_ms + 60 * DAY_MS)
    assert floor.carrier.depart(code="WB-A", hub="SHA") == FINE
    floor.wait(2 * DAY_MS)
    assert floor.state("A") == "shipped"
    floor.wait(43 * DAY_MS)
    assert (floor.state("A"), floor.alerts()) == ("shipped (silent)", set())
    digest = floor.status("A")["hash"]
    assert floor.carrier.arrive(code="WB-A", hub="RTM") == FINE
    assert (floor.state("A"), floor.parcel_status("A", "a")["where"]) == ("shipped", "RTM")
    assert floor.status("A")["hash"] != digest, "the arrival counts; that it was late does not"


# --- feeds ------------------------------------------------------------------------------------------------------------------


def test_a_carrier_that_was_too_quick_is_put_right_by_our_own_door(floor: Floor) -> None:
    floor.packed("A", "a")
    floor.carrier.pickup(code="WB-A")
    floor.carrier.delivery(code="WB-A")
    assert floor.state("A") == "delivered"
    assert floor.carrier.takes_back("delivery") == FINE
    assert floor.state("A") == "shipped"
    floor.wait(DAY_MS)
    assert floor.carrier.delivery(code="WB-A") == FINE
    assert floor.milestones("A")["delivered"] > NOW_MS + DAY_MS, "the day on which it was really delivered"


def test_an_arrival_that_a_carrier_tells_after_the_delivery_moves_nothing(floor: Floor) -> None:
    floor.on_the_road("A", "a")
    floor.anna.delivery(code="WB-A")
    floor.wait(HOUR_MS)
    assert floor.carrier.arrive(code="WB-A", hub="hub-9") == KNOWN
    assert (floor.state("A"), floor.alerts()) == ("delivered", set())


def test_a_carrier_says_lost_and_our_courier_delivers_it(floor: Floor) -> None:
    floor.on_the_road("A", "a")
    assert floor.carrier.lost(code="WB-A") == FINE
    assert (floor.state("A"), floor.alerts("A")) == ("exception (lost, short)", {"lost"})
    assert floor.anna.delivery(code="WB-A") == FINE
    assert (floor.state("A"), floor.alerts()) == ("delivered", set())


@pytest.mark.parametrize("times", [300, pytest.param(10_000, marks=pytest.mark.slow)])
def test_a_feed_that_repeats_itself_changes_nothing_and_locks_nothing(tmp_path: Path, times: int) -> None:
    with Floor(tmp_path / "busy.db", order_repeats_max=100, order_events_max=200) as floor:
        floor.packed("A", "a")
        assert floor.carrier.arrive(code="WB-A", hub="AMS") == FINE
        digest = floor.status("A")["hash"]
        for _ in range(times // 100):
            floor.send(*(floor.made(floor.carrier, "arrive", code="WB-A", hub="AMS") for _ in range(100)))
            floor.wait(MINUTE_MS)
        told = floor.carrier.hears()
        assert {(a.outcome, a.tone) for a in told[-times + 100 :]} == {("noop", "ok")}
        assert (floor.state("A"), floor.status("A")["hash"], floor.alerts()) == ("shipped", digest, set())
        assert floor.anna.delivery(code="WB-A") == FINE
        assert floor.state("A") == "delivered"


# --- clocks and calendars -------------------------------------------------------------------------------------------------------


def test_a_scanner_in_1970_is_dated_by_its_reception_and_says_so(floor: Floor) -> None:
    floor.order("A", lines={"pen": 1})
    now_ms = floor.now_ms
    answer = floor.packer.pack("A", code="WB-A", at_ms=4_000, boot=b"boot-two", mono_ms=4_000, sent_mono_ms=4_000)
    assert answer == odd("clock_unknown")
    assert floor.state("A") == "packed"
    assert abs(floor.milestones("A")["packed"] - now_ms) < MINUTE_MS


def test_an_hour_that_happens_twice_is_two_hours(floor: Floor) -> None:
    """On 26 October 2025 at 03:00 clocks in Amsterdam went back to 02:00."""
    floor.now_ms = utc_ms(2025, 10, 26, 0, 45)
    floor.packed("A", "a")
    assert floor.anna.pickup(code="WB-A", tz_min=120) == FINE  # 02:45 by the phone
    floor.now_ms = utc_ms(2025, 10, 26, 1, 15)
    assert floor.anna.delivery(code="WB-A", tz_min=60) == FINE  # 02:15 by the phone
    reached = floor.milestones("A")
    assert floor.state("A") == "delivered"
    assert 25 * MINUTE_MS < reached["delivered"] - reached["shipped"] < 35 * MINUTE_MS


def test_an_order_that_crosses_the_turn_of_the_year_is_in_order(floor: Floor) -> None:
    floor.now_ms = utc_ms(2025, 12, 31, 23, 59, 50)
    floor.packed("A", "a")
    floor.anna.pickup(code="WB-A")
    floor.wait(20_000)
    assert floor.anna.delivery(code="WB-A") == FINE
    times = list(floor.milestones("A").values())
    assert times == sorted(times)
    assert floor.milestones("A")["shipped"] < utc_ms(2026, 1, 1) <= floor.milestones("A")["delivered"]


# --- devices --------------------------------------------------------------------------------------------------------------------


def test_two_workers_share_a_scanner_and_neither_is_named_on_an_order(floor: Floor) -> None:
    floor.order("A", lines={"mug": 1, "pen": 1})
    assert floor.picker.shift_started(worker="w-17") == FINE
    assert floor.picker.pick("A", sku="mug") == FINE
    assert floor.picker.shift_ended() == FINE
    assert floor.picker.shift_started(worker="w-18") == FINE
    assert floor.picker.pick("A", sku="pen") == FINE, "what one began the other ends"
    assert floor.left() == {}
    log = [kind for (kind,) in floor.rows("SELECT type FROM events WHERE device = 'scan-1' ORDER BY seq")]
    assert log == ["shift_started", "pick", "shift_ended", "shift_started", "pick"], "whose pick it was can be told from the log"
    assert not any(b"w-1" in m.payload for m in floor.shown)


def test_a_scanner_of_another_site_is_not_let_in(floor: Floor) -> None:
    foreign = Identity(site="rtm1", device="scan-1", role=Role.SCANNER)
    assert not may_publish(foreign, TOPICS.event("scan-1", "pack"))[0].allowed
    assert may_publish(foreign, Topics("rtm1").event("scan-1", "pack"))[0].allowed
    ours = Identity(site=SITE, device="scan-1", role=Role.SCANNER)
    assert not may_publish(ours, Topics("rtm1").event("scan-1", "pack"))[0].allowed
