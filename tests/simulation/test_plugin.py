"""What the pytest plugin gives to firmware developers: a site, devices to operate, scenarios. The README's example is run unchanged."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

from firmware_sim.errors import BadScenario, NotAdmitted
from firmware_sim.handheld import Handheld
from firmware_sim.lived import Lived
from firmware_sim.record import Finding
from firmware_sim.served import Site

ROOT = Path(__file__).parents[2]
README = ROOT / "firmware-sim" / "README.md"
IS_INSTALLED = any(point.name == "dockbridge" for point in metadata.entry_points(group="pytest11"))
"""In a checkout that was installed before the plugin existed, pytest needs the name of its module."""

pytest_plugins = [] if IS_INSTALLED else ["firmware_sim.testing"]

SMALL: dict[str, Any] = {"name": "small", "day_s": 20, "orders": {"count": 2}, "scanners": [{}], "couriers": [{}]}


def pytest_run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """pytest in another project."""
    plugin = [] if IS_INSTALLED else ["-p", "firmware_sim.testing"]
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-W", "error", *plugin, *arguments]
    env = os.environ | {"PYTHONPATH": os.pathsep.join((str(ROOT), str(ROOT / "firmware-sim")))}
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=60, check=False)


# --- a site --------------------------------------------------------------------------------------------------------------------


def test_a_scan_changes_the_order_and_is_answered(site: Site, scanner: Handheld) -> None:
    site.create("PO-1", {"SKU-1": 2})
    receipt = scanner.tell("pack", order="PO-1", code="WB-1", body={"weight_g": 700})
    assert (receipt["outcome"], receipt["tone"], receipt["seq"], receipt["log"]) == ("applied", "ok", 1, scanner.log)
    assert site.wait_status("PO-1", "packed")["order"] == "PO-1"
    assert [r["outcome"] for r in site.receipts("scanner-1")] == ["applied"]
    assert [e["type"] for e in site.events()] == ["created", "paid", "approved", "pack"]
    assert site.status("PO-2") is None


def test_a_body_that_breaks_the_contract_is_answered_too(site: Site, scanner: Handheld) -> None:
    receipt = scanner.tell("pack", order="PO-1", body={"weight_g": -1})
    assert (receipt["outcome"], receipt["reason"], receipt["tone"]) == ("rejected", "malformed", "stop")
    assert "weight_g" in receipt["detail"]
    assert [r["reason"] for r in site.refused("scanner-1")] == ["malformed"]


def test_a_parked_scan_is_answered_twice(site: Site, scanner: Handheld) -> None:
    event = scanner.scan("pack", order="PO-1")
    assert scanner.receipt(event)["outcome"] == "parked"
    site.create("PO-1")
    assert scanner.receipt(event, outcome="applied")["n"] == 2


def test_what_is_scanned_without_a_connection_is_sent_on_the_next(site: Site, scanner: Handheld) -> None:
    site.create("PO-1")
    scanner.disconnect()
    event = scanner.scan("pick", order="PO-1", body={"sku": "SKU-1", "qty": 1})
    assert (scanner.is_online, scanner.backlog, scanner.seq) == (False, 1, 1)
    with pytest.raises(TimeoutError, match="no receipt within 0 s"):
        scanner.receipt(event, timeout_s=0)
    scanner.connect()
    assert scanner.receipt(event)["outcome"] == "applied"
    assert scanner.backlog == 0


def test_a_reboot_keeps_the_log_and_what_is_in_flash(site: Site, scanner: Handheld) -> None:
    site.create("PO-1")
    log, boot = scanner.log, scanner.boot
    scanner.disconnect()
    event = scanner.scan("pick", order="PO-1", body={"sku": "SKU-1", "qty": 1})
    scanner.reboot(loses_clock=True)
    assert scanner.boot != boot
    assert scanner.connect().receipt(event)["outcome"] == "applied"
    assert scanner.log == log


def test_a_cut_connection_comes_back_by_itself(site: Site, scanner: Handheld) -> None:
    site.create("PO-1")
    scanner.cut()
    event = scanner.scan("pick", order="PO-1", body={"sku": "SKU-1", "qty": 1})
    assert scanner.receipt(event)["outcome"] == "applied"


@pytest.mark.parametrize("ending", ["restart", "kill"])
def test_a_site_that_goes_and_comes_back_has_what_it_acknowledged(site: Site, scanner: Handheld, ending: str) -> None:
    site.create("PO-1")
    address = site.host, site.port
    assert scanner.tell("pick", order="PO-1", body={"sku": "SKU-1", "qty": 1})["outcome"] == "applied"
    getattr(site, ending)()
    unanswered = scanner.scan("pack", order="PO-1")
    site.start()
    assert (site.host, site.port) == address
    assert scanner.receipt(unanswered)["outcome"] == "applied"
    assert site.status("PO-1") == site.wait_status("PO-1", "packed")
    assert [e["type"] for e in site.events("scanner-1")] == ["pick", "pack"]


def test_crashes_in_the_middle_of_work_lose_and_double_nothing(site: Site, scanner: Handheld) -> None:
    site.create("PO-1", {"SKU-1": 100})
    scans = []
    for _ in range(3):
        scans += [scanner.scan("pick", order="PO-1", body={"sku": "SKU-1", "qty": 1}) for _ in range(20)]
        scanner.receipt(scans[-20])
        site.kill()
        assert set(scanner.firmware.verdicts) <= {e["id"] for e in site.events("scanner-1")}
        site.start()
    assert {scanner.receipt(event)["outcome"] for event in scans} == {"applied"}
    assert [e["id"] for e in site.events("scanner-1")] == scans


def test_a_courier_delivers(site: Site, scanner: Handheld, courier: Handheld) -> None:
    site.create("PO-1")
    scanner.tell("pack", order="PO-1", code="WB-1")
    site.assign("PO-1", "courier-1")
    job = courier.job("PO-1")
    assert courier.tell("claim", body={"job": job["job"], "rev": job["rev"]})["outcome"] == "applied"
    assert courier.job("PO-1", state="accepted")["stops"][0]["codes"] == ["WB-1"]
    for said, body in (("pickup", {}), ("out_for_delivery", {}), ("delivery", {"pod": {"method": "pin"}})):
        assert courier.tell(said, order="PO-1", body=body)["outcome"] == "applied"
    site.wait_status("PO-1", "delivered")
    assert not courier.troubles


def test_what_does_not_come_is_said_in_words(site: Site, courier: Handheld) -> None:
    site.create("PO-1")
    with pytest.raises(TimeoutError, match="PO-1 is approved and not packed after 0 s"):
        site.wait_status("PO-1", "packed", timeout_s=0)
    with pytest.raises(TimeoutError, match="PO-2 is unknown and not packed"):
        site.wait_status("PO-2", "packed", timeout_s=0)
    with pytest.raises(TimeoutError, match="no job with PO-1 is assigned"):
        courier.job("PO-1", timeout_s=0)
    with pytest.raises(ValueError, match="packed"):
        courier.scan("packed")


def test_a_device_with_a_wrong_password_is_not_admitted(site: Site, scanner: Handheld) -> None:
    scanner.disconnect()
    scanner._held._password = "wrong"
    with pytest.raises(NotAdmitted, match="scanner-1"):
        scanner.connect()


class TestSettings:
    """A module or a class sets the settings of its site."""

    @pytest.fixture
    def site_settings(self) -> dict[str, dict[str, Any]]:
        return {"site": {"name": "ams1"}, "publish": {"format": "json"}}

    def test_a_site_with_settings_of_its_own(self, site: Site, scanner: Handheld) -> None:
        assert site.topics.receipts("scanner-1") == "v1/ams1/devices/scanner-1/receipts"
        site.create("PO-1")
        assert scanner.tell("pack", order="PO-1")["outcome"] == "applied"


def test_an_old_firmware_speaks_json(site: Site) -> None:
    site.create("PO-1")
    assert site.device("old-1", "scanner", version=1).tell("pack", order="PO-1")["outcome"] == "applied"


# --- scenarios -----------------------------------------------------------------------------------------------------------------


def test_a_scenario_by_name_keeps_every_law(run_scenario: Any) -> None:
    lived = run_scenario("quiet-morning", seed=3)
    assert lived.ok
    assert repr(lived) == "<quiet-morning, seed 3: 0 findings>"
    assert lived.record.digest == run_scenario("quiet-morning", seed=3).record.digest


def test_a_scenario_as_a_dict_with_overrides(run_scenario: Any) -> None:
    lived = run_scenario(SMALL, seed=2, orders={"count": 3}, day_s=10)
    assert lived.ok
    assert len(lived.record.expected) == 3


def test_a_scenario_from_a_file(run_scenario: Any, tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text('name = "mine"\nstory = "."\nday_s = 5\n[orders]\ncount = 1\n[[scanners]]\n[[couriers]]\n')
    assert run_scenario(tmp_path / "mine.toml").ok


def test_a_mistake_in_a_scenario_is_named(run_scenario: Any) -> None:
    with pytest.raises(BadScenario, match=r"^small: orders.count: should be a number >= 1"):
        run_scenario(SMALL, orders={"count": 0})
    with pytest.raises(BadScenario, match="there is no scenario 'nothing'"):
        run_scenario("nothing")


def test_findings_are_told_in_a_line_each(run_scenario: Any) -> None:
    record = run_scenario(SMALL).record
    lived = Lived(record, [Finding("stored_once", "x is stored twice")] * 21)
    assert repr(lived) == "<small, seed 1: 21 findings: stored_once: x is stored twice>"
    assert lived.told().splitlines()[0] == "small, seed 1: 21 findings"
    assert lived.told().splitlines()[-1] == "and 1 more"


# --- as users see it -----------------------------------------------------------------------------------------------------------


def test_the_example_of_the_readme_runs(tmp_path: Path) -> None:
    found = re.search(r"<!-- pytest example -->\n```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    assert found is not None
    assert len(found[1].splitlines()) <= 15
    (tmp_path / "test_my_firmware.py").write_text(found[1], encoding="utf-8")
    done = pytest_run(tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "passed" in done.stdout


def test_findings_stand_beside_the_failure(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(
        "def test_it(run_scenario, monkeypatch):\n"
        "    from firmware_sim.record import Finding\n"
        "    monkeypatch.setattr('firmware_sim.lived.judge', lambda record: [Finding('stored_once', 'x is stored twice')])\n"
        f"    assert run_scenario({SMALL!r}).ok\n"
    )
    done = pytest_run(tmp_path)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "<small, seed 1: 1 finding: stored_once: x is stored twice>" in done.stdout
    assert "Captured dockbridge call" in done.stdout


def test_a_run_that_does_not_use_it_imports_nothing(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(
        "import sys\n\ndef test_it():\n    assert not {'bridge', 'devices', 'sqlalchemy', 'amqtt', 'msgspec', 'firmware_sim.served'} & sys.modules.keys()\n"
    )
    done = pytest_run(tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
