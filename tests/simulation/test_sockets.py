"""Scenarios over real sockets: the same files, devices and checkers as on the simulated link, with the server in a process of its own."""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers.events import SITE
from helpers.site import Site

from devices.protocol.messages import OrderStatus, decode
from devices.protocol.topics import Topics
from devices.protocol.vocabulary import Role
from firmware_sim.checkers import judge
from firmware_sim.crew import build
from firmware_sim.errors import BadScenario, NoPassword, NotAdmitted, NotReachable
from firmware_sim.firmware import outbox, radio
from firmware_sim.link import eyes, player
from firmware_sim.link.progress import Progress
from firmware_sim.link.sockets import RunningBridge, run_sockets
from firmware_sim.record import Connected, FaultBegan, FaultEnded, Lost, Mangled, Noted, Record, ServerKilled, ServerStarted
from firmware_sim.run import run_simulated
from firmware_sim.scenario import Scenario
from firmware_sim.scenario_file import parse

SPEED = 100.0
AFTERNOON = """
name = "afternoon"
story = "Two scanners, a courier, and whatever goes wrong."
day_s = 200
calm_s = 20
[settings.orders]
sweep_every_s = 1
[orders]
count = 4
every_s = 10
fates = { delivered = 3, refused = 1, held = 1 }
[[scanners]]
count = 2
[[couriers]]
"""


FLAKY = '[[faults]]\nkind = "disconnect"\nevery_s = 60\n[[faults]]\nkind = "duplicate"\nshare = 0.2\nwithin_ms = 300\n'


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A device does not wait for a silent network for longer than a test may take."""
    monkeypatch.setattr(outbox, "ACK_PATIENCE_MS", 700)
    monkeypatch.setattr(outbox, "ANSWER_PATIENCE_MS", 700)
    monkeypatch.setattr(radio, "BACKOFF_MAX_MS", 400)
    monkeypatch.setattr(eyes, "QUIET_S", 0.4)
    monkeypatch.setattr(player, "CONNECT_PATIENCE_S", 1.0)


def bridge_at(address: tuple[str, int], passwords: dict[str, str] | None = None) -> RunningBridge:
    return RunningBridge(host=address[0], port=address[1], passwords=passwords or {})


def afternoon(*faults: str, more: str = "") -> Scenario:
    return parse(AFTERNOON + more + "".join(f"[[faults]]\n{fault}\n" for fault in faults), "afternoon.toml")


def lived_through(scenario: Scenario, *, seed: int = 1, speed: float = SPEED, folder: Path | None = None) -> Record:
    """A record that keeps every law, of a run in which every device finished."""
    record = run_sockets(scenario, seed, speed=speed, timeout_s=60, folder=folder)
    assert judge(record) == []
    assert set(record.end.unsent.values()) == set(record.end.unanswered.values()) == {0}
    assert record.end.retained
    began, ended = [sorted(e.number for e in record.of(kind)) for kind in (FaultBegan, FaultEnded)]
    assert began == ended == list(range(len(scenario.faults)))
    return record


@pytest.mark.slow
def test_an_afternoon_without_faults_ends_as_planned_and_is_told_while_it_lasts(tmp_path: Path) -> None:
    seen: list[Progress] = []
    record = run_sockets(afternoon(), 1, speed=SPEED, timeout_s=60, folder=tmp_path / "site", on_progress=seen.append)
    assert judge(record) == []
    assert record.link == "mqtt"
    assert record.started_ms < record.entries[0].at_ms <= record.ended_ms
    assert seen[-1].sent == seen[-1].acknowledged == seen[-1].answered > 30
    assert (seen[-1].devices, seen[-1].finished) == (6, 6)
    assert seen[-1].agreed == seen[-1].orders == 4
    assert record.memory
    assert (tmp_path / "site" / "bridge.toml").exists()


def test_packets_that_are_late_lost_doubled_overtaken_or_spoilt() -> None:
    record = lived_through(
        afternoon(
            'kind = "jitter"\nup_to_ms = 60',
            'kind = "delay"\nby_ms = 10',
            'kind = "drop"\nshare = 0.05\non = "scan-*"',
            'kind = "duplicate"\nshare = 0.2\nwithin_ms = 300',
            'kind = "reorder"\nshare = 0.2\nby_ms = 100',
            'kind = "corrupt"\nshare = 0.4\non = "shop-*"',
            more='[expect]\nstanding = ["quarantine/*"]\n',
        ),
        seed=2,
    )
    assert list(record.of(Mangled))


@pytest.mark.slow
def test_a_narrow_line_and_lines_that_break() -> None:
    record = lived_through(
        afternoon(
            'kind = "bandwidth"\nup_bytes_per_s = 20000\ndown_bytes_per_s = 20000',
            'kind = "disconnect"\nevery_s = 60',
            'kind = "half_open"\non = "scan-1"\nfrom_s = 30\nto_s = 130',
        )
    )
    assert len(list(record.of(Lost))) > 8
    (ended_ms,) = [e.at_ms for e in record.of(FaultEnded) if e.kind == "half_open"]
    (began_ms,) = [e.at_ms for e in record.of(FaultBegan) if e.kind == "half_open"]
    assert not [e for e in record.of(Connected) if e.device == "scan-1" and began_ms < e.at_ms < ended_ms]


def test_a_server_that_is_killed_right_after_a_commit_comes_back_with_what_was_in_it() -> None:
    record = lived_through(afternoon('kind = "server_kill"\nevery_s = 10\ndown_s = 20\npoint = "committed"\nfrom_s = 40\nto_s = 120'), seed=3, speed=50)
    kills = list(record.of(ServerKilled))
    assert kills
    assert {e.point for e in kills} == {"committed"}
    starts = list(record.of(ServerStarted))
    assert len(starts) > 1
    assert starts[-1].stored


@pytest.mark.slow
def test_a_disk_that_is_slow_and_then_full_while_devices_start_anew_with_clocks_that_are_wrong() -> None:
    record = lived_through(
        afternoon(
            'kind = "slow_disk"\ncommit_ms = 60\njitter_ms = 40\nfrom_s = 10\nto_s = 60',
            'kind = "full_disk"\nfrom_s = 70\nto_s = 150',
            'kind = "reboot"\nevery_s = 60\nloses_clock = true\non = "scan-*"',
            'kind = "clock_jump"\nevery_s = 40\nup_to_s = 7200\non = "phone-*"',
        )
    )
    assert any("can't take writes" in e.text for e in record.of(Noted) if e.device == "server")
    assert [e for e in record.of(Lost) if e.why == "lost its power"]


# --- another bridge -----------------------------------------------------------------------------------------------------------------


def test_what_can_not_be_done_to_somebody_elses_server_is_told_before_anything_is() -> None:
    with pytest.raises(BadScenario, match="slow_disk") as refused:
        run_sockets(afternoon('kind = "slow_disk"\ncommit_ms = 1'), 1, at=bridge_at(("127.0.0.1", 9)))
    assert "address" in str(refused.value.fix)
    with pytest.raises(NoPassword, match="scan-1"):
        run_sockets(afternoon(), 1, at=bridge_at(("127.0.0.1", 9), {"shop-1": "x"}))
    with pytest.raises(NotReachable, match="9"):
        run_sockets(afternoon(), 1, at=bridge_at(("127.0.0.1", 9), dict.fromkeys(("shop-1", "dispatch-1", "desk-1", "scan-1", "scan-2", "phone-1"), "x")))


def test_a_bridge_that_runs_already_is_left_as_it_is(tmp_path: Path) -> None:
    scenario = parse(AFTERNOON.replace("[settings.orders]", f'[settings.site]\nname = "{SITE}"\n[settings.orders]') + FLAKY, "afternoon.toml")
    cast = build(scenario, 1).cast
    with Site(tmp_path / "site") as site:
        passwords = {c.device: site.enrol(c.device, Role(c.role), courier=c.courier) for c in cast.values()}
        record = run_sockets(scenario, 1, speed=SPEED, at=bridge_at(site.addresses["mqtt"], passwords), timeout_s=60)
        with pytest.raises(NotAdmitted, match="scan-1"):
            run_sockets(scenario, 2, speed=SPEED, at=bridge_at(site.addresses["mqtt"], {**passwords, "scan-1": "wrong"}), timeout_s=60)
    assert record.end.tables == {}
    assert record.end.troubles == []
    assert set(record.end.unsent.values()) == set(record.end.unanswered.values()) == {0}
    topics = Topics(SITE)
    states = {order: decode(record.end.retained[topics.status(order)], OrderStatus).state for order in record.expected}
    assert states == record.expected
    assert not list(record.of(ServerStarted))


# --- the device library -------------------------------------------------------------------------------------------------------------


def test_orders_are_packed_with_our_own_device_library_while_lines_break_and_the_server_dies() -> None:
    scenario = parse(
        AFTERNOON.replace("count = 2", 'count = 2\nkind = "library"\nbounce = 0.3')
        + '[[faults]]\nkind = "disconnect"\nevery_s = 40\non = "scan-*"\n[[faults]]\nkind = "server_kill"\nevery_s = 6\ndown_s = 10\nfrom_s = 40\nto_s = 90\n'
        + '[[faults]]\nkind = "reboot"\nevery_s = 100\non = "scan-2"\n[[faults]]\nkind = "jitter"\nup_to_ms = 20\n',
        "library.toml",
    )
    record = lived_through(scenario, seed=5, speed=40)
    assert list(record.of(ServerKilled))
    packed = {row["device"] for row in record.end.tables["events"] if row["type"] == "pack"}
    assert packed == {"scan-1", "scan-2"}
    assert {e.device for e in record.of(Connected)} >= packed


def test_the_device_library_has_no_place_in_virtual_time() -> None:
    with pytest.raises(BadScenario, match=r"scanners\[0\].kind") as refused:
        run_simulated(parse(AFTERNOON.replace("count = 2", 'count = 2\nkind = "library"'), "library.toml"), 1)
    assert "--link mqtt" in str(refused.value.fix)
