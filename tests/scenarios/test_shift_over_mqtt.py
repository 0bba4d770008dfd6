"""A shift from the first order to the last door: three scanners, two phones, a shop and a dispatcher, over real MQTT against the real server.

The expected results come from the plan of the day, which does not depend on how the bridge works.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from helpers.events import SITE
from helpers.site import Site

from devices.protocol.vocabulary import DEVELOPER_WARNINGS, Outcome
from firmware_sim.demo import plan_demo, run_demo, to_json
from firmware_sim.errors import NoPassword, NotAdmitted, NotReachable
from firmware_sim.link.mqtt import Record, run
from firmware_sim.link.progress import Progress
from firmware_sim.show import render
from firmware_sim.workload import COURSES, Fate, Workload

SPEED = 500.0
TIMEOUT_S = 60.0


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with Site(tmp_path / "site") as site:
        yield site


def enrol(site: Site, day: Workload) -> dict[str, str]:
    return {d.name: site.enrol(d.name, d.role, courier=d.courier) for d in day.devices}


class Shift(NamedTuple):
    """A finished day, and the site where it happened."""

    site: Site
    day: Workload
    record: Record


@pytest.fixture(scope="module")
def shift(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shift]:
    """A finished shift that tests only read."""
    with Site(tmp_path_factory.mktemp("shift") / "site") as site:
        day = Workload.from_seed(1, site=SITE)
        yield Shift(site, day, run(day, *site.addresses["mqtt"], enrol(site, day), speed=SPEED, timeout_s=TIMEOUT_S))


def test_after_a_shift_every_order_is_where_the_plan_says(shift: Shift) -> None:
    record, day = shift.record, shift.day
    assert record.errors == []
    assert record.states == day.expected
    assert sum(record.sent.values()) == record.acknowledged == len(record.puback_ms) == len(record.answered_ms)
    assert record.outcomes.get(Outcome.REJECTED, 0) == 0


def test_every_event_of_a_shift_is_in_the_log_once(shift: Shift) -> None:
    site, day, record = shift
    logged = dict(site.rows("SELECT type, count(*) FROM events WHERE device != 'bridge' GROUP BY type"))
    assert logged == record.sent
    assert record.sent["created"] == len(day.orders)
    assert site.rows("SELECT count(*) FROM quarantine") == [(0,)]
    assert site.rows("SELECT count(*) FROM ledger WHERE owed != 0") == [(0,)]


def test_no_developer_has_anything_to_put_right_after_a_shift(shift: Shift) -> None:
    warned = {word for (words,) in shift.site.rows("SELECT DISTINCT warn FROM events WHERE warn IS NOT NULL") for word in words.split()}
    assert warned.isdisjoint(DEVELOPER_WARNINGS)


def test_a_server_that_restarts_in_the_middle_of_a_shift_loses_nothing(tmp_path: Path) -> None:
    with Site(tmp_path / "site") as site:
        day = Workload.from_seed(4, site=SITE)
        passwords = enrol(site, day)
        host, port = site.addresses["mqtt"]
        config = site.directory / "bridge.toml"
        config.write_text(config.read_text().replace("127.0.0.1:0", f"127.0.0.1:{port}"))
        restarting = threading.Thread(target=site.restart)

        def restart_at_half_time(progress: Progress) -> None:
            if progress.acknowledged > 100 and not restarting.ident:
                restarting.start()

        record = run(day, host, port, passwords, speed=SPEED, on_progress=restart_at_half_time, timeout_s=TIMEOUT_S)
        restarting.join()
    assert record.errors == []
    assert record.states == day.expected
    assert record.reconnects > 0


def test_the_demo_says_how_the_day_went(site: Site) -> None:
    day = plan_demo(5, site=SITE)
    seen: list[Progress] = []
    result = run_demo(day, *site.addresses["mqtt"], enrol(site, day), seen.append, speed=SPEED)
    assert result.ok
    assert [row.order for row in result.rows] == list(day.expected)
    returned = next(row for row in result.rows if row.fate == Fate.REFUSED)
    assert (returned.state, returned.expected) == ("returned", COURSES[Fate.REFUSED].expected)
    assert returned.events > 5
    assert result.puback_ms.p99 >= result.puback_ms.p50 > 0
    assert to_json(result)["ok"] is True
    assert render(result) is not None
    assert seen[-1].agreed == seen[-1].orders == 20


def test_a_day_is_lived_through_once(site: Site) -> None:
    day = Workload.from_seed(6, orders=1, scanners=1, couriers=1, site=SITE)
    passwords = enrol(site, day)
    first = run(day, *site.addresses["mqtt"], passwords, speed=SPEED, timeout_s=TIMEOUT_S)
    assert first.errors == []
    second = run(day, *site.addresses["mqtt"], passwords, speed=SPEED, timeout_s=TIMEOUT_S)
    assert "was there before" in second.errors[0]


def test_a_wrong_password_is_told_by_the_devices_name(site: Site) -> None:
    day = Workload.from_seed(6, orders=1, site=SITE)
    passwords = {**enrol(site, day), "scan-1": "wrong"}
    with pytest.raises(NotAdmitted, match="scan-1") as refused:
        run(day, *site.addresses["mqtt"], passwords, speed=SPEED)
    assert "rotate" in str(refused.value.fix)


def test_a_missing_password_is_told_before_anything_is_sent(site: Site) -> None:
    with pytest.raises(NoPassword, match="shop-1"):
        run(Workload.from_seed(6, orders=1, site=SITE), *site.addresses["mqtt"], {})


def test_a_server_that_is_not_there_is_told_at_once() -> None:
    day = Workload.from_seed(6, orders=1, site=SITE)
    with pytest.raises(NotReachable, match=r"127\.0\.0\.1:9"):
        run(day, "127.0.0.1", 9, dict.fromkeys((d.name for d in day.devices), "x"))
