"""`firmware-sim record`: a site at work becomes a similar scenario, which does not reveal whose site it was."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from bridge.errors import ConfigError
from devices.protocol.messages import BOOT_UNKNOWN, Last, Milestone, OrderStatus, Progress, encode_cbor
from devices.protocol.vocabulary import ORDER_STATE_WORDS, AlertCode, Flag
from firmware_sim.commands.record import listening, record, where_the_site_is, written
from firmware_sim.errors import BadScenario, NotAdmitted, NotReachable, SimError
from firmware_sim.handheld import Handheld
from firmware_sim.observed import FATE_OF, Observer, fate_of
from firmware_sim.record import Received
from firmware_sim.scenario_file import parse
from firmware_sim.served import Site
from firmware_sim.workload import Fate

ROOT = Path(__file__).parents[2]
DEADLINE_S = 10.0
PLANTED = ("Huber-Wien", "scan-of-anna", "anna-schmidt", "worker-bob", "van-of-zenobia", "PO 17/3")

pytest_plugins = [] if any(p.name == "dockbridge" for p in metadata.entry_points(group="pytest11")) else ["firmware_sim.testing"]


@pytest.fixture
def site_settings() -> dict[str, dict[str, Any]]:
    return {"site": {"name": "Huber-Wien"}}


@pytest.fixture
def listener(site: Site) -> Iterator[Observer]:
    """An observer that is subscribed from the beginning."""
    with listening(site.host, site.port, site.name, "listener", site.enrol("listener", "desk")) as observer:
        yield observer


def wait_for(done: Callable[[], bool]) -> None:
    ends_s = time.monotonic() + DEADLINE_S
    while not done():
        assert time.monotonic() < ends_s, "it did not come"
        time.sleep(0.01)


def status(order: str, state: str, *reached: str, flags: tuple[Flag, ...] = (), last: str = "created", at_ms: int = 0) -> OrderStatus:
    return OrderStatus(
        order=order,
        state=state,
        flags=list(flags),
        rev=1,
        at_ms=at_ms,
        updated_ms=at_ms,
        progress=Progress(parcels=1, packed=0, shipped=0, delivered=0, exceptions=0),
        percent=0,
        milestones=[Milestone(state=s, at_ms=at_ms) for s in reached],
        last=Last(type=last, at_ms=at_ms),  # type: ignore[arg-type]
        hash=b"12345678",
    )


# --- over real MQTT ------------------------------------------------------------------------------------------------------------


def work(site: Site) -> tuple[Handheld, Handheld]:
    """A scanner and a phone, with names that must not be revealed, three orders, and a message that a scanner may not send."""
    scanner = site.device("scan-of-anna", "scanner")
    phone = site.device("van-of-zenobia", "courier", "anna-schmidt")
    for order in ("PO 17/3", "PO 17/4", "PO 17/5"):
        site.create(order)
    scanner.tell("shift_started", body={"worker": "worker-bob"})
    scanner.tell("pack", order="PO 17/3", code="WB-1", by="worker-bob")
    scanner.tell("pack", order="PO 17/4", code="WB-2", by="worker-bob")
    assert scanner.tell("completed", order="unheard-of", by="worker-bob")["reason"] == "forbidden"
    site.assign("PO 17/3", "anna-schmidt")
    phone.job("PO 17/3")
    site.tell("cancelled", order="PO 17/5", body={"reason": "customer_request"})
    return scanner, phone


def test_a_site_at_work_becomes_a_scenario(site: Site, listener: Observer) -> None:
    scanner, _ = work(site)
    scanner.cut()
    wait_for(lambda: listener.lost == 1 and len(listener.codes) == 1 and listener.statuses["PO 17/5"].state == "cancelled")
    text = written(listener, "recorded", 60.0)
    made = parse(text, "recorded.toml")
    assert made.orders.count == 3
    assert made.orders.every_s == 20
    assert made.orders.fates == {Fate.AT_THE_DOCK: 2, Fate.CANCELLED: 1}
    assert (made.scanners[0].count, made.couriers[0].count) == (1, 1)
    assert [f.every_s for f in made.faults] == [120]
    assert made.expect.standing == ["forbidden/*"]


def test_no_name_of_the_site_is_in_the_file(site: Site, listener: Observer) -> None:
    scanner, _ = work(site)
    scanner.cut()
    wait_for(lambda: listener.lost == 1 and bool(listener.codes))
    text = written(listener, "recorded", 60.0).lower()
    found = [name for name in (*PLANTED, "PO~2017", "PO 17", "huber", "anna", "bob", "zenobia", "unheard", "wb-1", "listener") if name.lower() in text]
    assert not found


def test_who_comes_later_sees_what_is_retained(site: Site) -> None:
    work(site)
    with listening(site.host, site.port, site.name, "late", site.enrol("late", "desk")) as observer:
        wait_for(lambda: len(observer.statuses) == 3 and bool(observer.codes))
        made = observer.scenario("recorded", 60.0)
    assert made.orders.fates == {Fate.AT_THE_DOCK: 2}, "what had ended before is no part of the day"
    assert made.orders.every_s < 10
    assert not made.faults


def test_orders_from_before_are_not_counted_as_new(site: Site) -> None:
    """Ten orders wait; while it is listened to, one of them is packed and two more come."""
    for n in range(10):
        site.create(f"old-{n}")
    with listening(site.host, site.port, site.name, "late", site.enrol("late", "desk")) as observer:
        site.device("scan-1", "scanner").tell("pack", order="old-3", code="WB-1")
        for order in ("new-1", "new-2"):
            site.create(order)
        wait_for(lambda: len(observer.statuses) == 12 and observer.statuses["old-3"].state == "packed")
        made = observer.scenario("recorded", 60.0)
        assert str(observer).startswith("2 new orders, 10 from before")
    assert (made.orders.count, made.orders.every_s) == (2, 30)


def test_the_site_of_the_environment_is_listened_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DOCKBRIDGE_SITE", raising=False)
    assert where_the_site_is() == ("127.0.0.1", 1883, "main")
    monkeypatch.setenv("DOCKBRIDGE_SITE", str(tmp_path))
    with pytest.raises(ConfigError, match="does not exist"):
        where_the_site_is()
    settings = tmp_path / "bridge.toml"
    settings.write_text('site.name = "ams1"\nlisten.mqtt = "0.0.0.0:2883"\nlisten.allow_plain = true\n')
    assert where_the_site_is() == ("127.0.0.1", 2883, "ams1")
    settings.write_text('listen.mqtt = "127.0.0.1:0"\n')
    with pytest.raises(SimError, match="no port without TLS"):
        where_the_site_is()


def test_nothing_is_kept_for_the_listener_afterwards(site: Site) -> None:
    with listening(site.host, site.port, site.name, "late", site.enrol("late", "desk")):
        pass
    wait_for(lambda: site.app.counters["sessions"] == 0)


@pytest.mark.parametrize("role", ["scanner", "system"])
def test_only_a_desk_may_listen(site: Site, role: str) -> None:
    password = site.enrol("listener", role)
    with pytest.raises(NotAdmitted, match="may not listen to v1/Huber-Wien/"), listening(site.host, site.port, site.name, "listener", password):
        pass


def test_a_wrong_password_is_said(site: Site) -> None:
    with pytest.raises(NotAdmitted, match="CONNACK"), listening(site.host, site.port, site.name, "nobody", "wrong"):
        pass


# --- the command ---------------------------------------------------------------------------------------------------------------


def test_ctrl_c_writes_what_was_seen(site: Site, tmp_path: Path) -> None:
    work(site)
    command = [sys.executable, "-m", "firmware_sim", "record", "--device", "listener", "--port", str(site.port), "--site", site.name, "--file", "tuesday.toml"]
    env = os.environ | {"PYTHONPATH": os.pathsep.join((str(ROOT), str(ROOT / "firmware-sim"))), "DOCKBRIDGE_PASSWORD": site.enrol("listener", "desk")}
    with subprocess.Popen(command, cwd=tmp_path, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
        assert running.stderr is not None
        said = []
        for line in running.stderr:
            said.append(line)
            if line.startswith("0 new orders, 3 from before"):
                break
        running.send_signal(signal.SIGINT)
        out, rest = running.communicate(timeout=DEADLINE_S)
    assert running.returncode == 0, [*said, rest]
    assert out == "tuesday.toml\n"
    assert "firmware-sim run tuesday.toml" in rest
    assert parse((tmp_path / "tuesday.toml").read_text(encoding="utf-8"), "tuesday.toml").orders.count == 2


def test_it_ends_by_itself(site: Site, tmp_path: Path) -> None:
    app = typer.Typer()
    app.command()(record)
    given = ["--device", "listener", "--port", str(site.port), "--site", site.name, "--minutes", "0.001", "--password", site.enrol("listener", "desk")]
    done = CliRunner().invoke(app, [*given, "--file", str(tmp_path / "x.toml")])
    assert isinstance(done.exception, SimError)
    assert "no order was seen" in str(done.exception)
    (tmp_path / "x.toml").write_text("precious")
    done = CliRunner().invoke(app, [*given, "--file", str(tmp_path / "x.toml")])
    assert isinstance(done.exception, BadScenario)


def test_nobody_there_is_said(monkeypatch: pytest.MonkeyPatch, site: Site) -> None:
    monkeypatch.setattr("firmware_sim.commands.record.ANSWER_S", 0.2)
    site.stop()
    with pytest.raises(NotReachable, match="found no server"), listening(site.host, site.port, site.name, "listener", "x"):
        pass


# --- what it results in --------------------------------------------------------------------------------------------------------


def test_every_state_has_its_fate() -> None:
    assert FATE_OF.keys() == set(ORDER_STATE_WORDS)


@pytest.mark.parametrize(
    ("seen", "fate"),
    [
        (status("1", "delivered", "shipped", "delivered"), Fate.DELIVERED),
        (status("1", "delivered", "customs", "entered", "delivered"), Fate.ABROAD),
        (status("1", "picking"), Fate.DELIVERED),
        (status("1", "picking", flags=(Flag.HELD,)), Fate.HELD),
        (status("1", "returned", "delivered", last="returned"), Fate.SENT_BACK),
        (status("1", "returning", last="refused"), Fate.REFUSED),
        (status("1", "returned", last="returned"), Fate.NEVER_MET),
        (status("1", "partially_out_for_delivery"), Fate.ONE_DELIVERED),
    ],
)
def test_the_last_status_tells_the_fate(seen: OrderStatus, fate: Fate) -> None:
    assert fate_of(seen) is fate


def test_what_breaks_the_contract_is_passed_over() -> None:
    observer = Observer("main", "listener")
    for topic in ("orders/x/status", "devices/x/presence", "alerts/gap/x"):
        observer.see(Received(1, "listener", f"v1/main/{topic}", b"\xff", 1, False, False))
    assert str(observer) == "0 new orders, 0 from before, 0 devices, 0 couriers, 0 lost connections, 0 alerts"
    assert AlertCode.GAP not in observer.codes


def test_a_device_counts_once_it_says_something_of_itself_and_an_end_without_a_clock_is_a_lost_connection() -> None:
    observer = Observer("main", "listener")
    unknown, known, clock = {"boot": BOOT_UNKNOWN}, {"boot": b"boot-one"}, {"at_ms": 1_760_000_000_000}
    for device, presence in (
        ("shop1", {"online": True, **unknown}),
        ("shop1", {"online": False, **unknown}),
        ("scan-1", {"online": True, **known, **clock}),
        ("scan-1", {"online": False, **known}),
        ("scan-2", {"online": False, **known, **clock}),
    ):
        observer.see(Received(1, "listener", f"v1/main/devices/{device}/presence", encode_cbor(presence), 1, False, False))
    assert str(observer) == "0 new orders, 0 from before, 2 devices, 0 couriers, 1 lost connections, 0 alerts"
