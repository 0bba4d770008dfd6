"""A new operator's first week, typed as README and `--help` say it: a site with TLS, 30 scanners by one sheet, a shop's export, an order that waits, a stolen
phone, a backup, a lost disk, and on it goes (the real commands, a real server, the device library over TLS)."""

from __future__ import annotations

import json
import re
import shlex
import signal
from collections.abc import Iterator
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from helpers.server import ServerProcess, free_port
from helpers.shell import Shell
from helpers.waiting import DEADLINE_S, until

from devices import Courier, Scanner, redeem

ROOT = Path(__file__).parents[2]
SHOPS = ROOT / "config" / "samples" / "shops"
CARDS = re.compile(r"Or type in:<br><code>([^<]+)</code>")
SCANNERS = [f"scan-{n:02}" for n in range(1, 31)]
PATIENCE: dict[str, Any] = {"debounce_ms": 0, "backoff_first_s": 0.02, "backoff_max_s": 0.1}


class Operator:
    """Who types commands, and starts and kills the server."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.site = folder / "ams1"
        self.type = Shell(self.site)
        self.server = ServerProcess(self.site, log=folder / "serve.log")
        self.port = free_port()

    def copies(self, command: str) -> None:
        """Types a command that was printed."""
        program, *words = shlex.split(command)
        assert program == "dockbridge"
        self.type(*words)

    def stuck(self) -> dict[str, dict[str, Any]]:
        return {row["order"]: row for row in self.type.data("orders", "stuck")["orders"]}

    def state(self, order: str) -> str:
        state: str = self.type.data("orders", "show", order)["status"]["state"]
        return state

    def troubles(self) -> dict[str, dict[str, Any]]:
        """What doctor finds, except for notes."""
        found = json.loads(self.type.attempt("doctor", self.site, "--json").stdout)
        return {row["code"]: row for check in found["checks"] for row in check["findings"] if row["weight"] != "note"}


@pytest.fixture
def operator(tmp_path: Path) -> Iterator[Operator]:
    someone = Operator(tmp_path)
    someone.type("init", someone.site, "--host", "localhost", "--mqtts", f"127.0.0.1:{someone.port}", "--listen", "")
    with someone.server:
        yield someone


def test_a_week_of_a_new_operator(operator: Operator) -> None:
    say, folder = operator.type, operator.folder

    # 30 scanners by one printed sheet.
    say("device", "enrol", *SCANNERS, "--sheet", folder / "cards.html", "--address", f"localhost:{operator.port}")
    cards = [unescape(card) for card in CARDS.findall((folder / "cards.html").read_text())]
    assert len(cards) == 30
    redeemed = {name: redeem(card, folder / f"{name}.json").settings(folder / f"{name}.json") for name, card in zip(SCANNERS, cards, strict=True)}
    assert say.data("device", "claims", "list") == []

    # The shop's export; and again, changed in nothing.
    imported = ("orders", "import", SHOPS / "shopify.csv", "--map", SHOPS / "shopify.toml")
    say(*imported)
    assert "0 new" in say(*imported).stderr
    assert operator.state("shopify-#1001") == "approved"

    # An order that waits is moved on by the command that stands beside it.
    waiting = operator.stuck()["shopify-#1003"]
    operator.copies(waiting["command"])
    assert "shopify-#1003" not in operator.stuck()
    assert operator.state("shopify-#1003") == "cancelled"

    # A scanner packs, a courier gets the order; her phone is stolen, and ben has her jobs.
    with Scanner(**redeemed["scan-01"], outbox=folder / "scan-01.db", **PATIENCE) as scan_01:
        assert scan_01.pack("shopify-#1001").receipt(DEADLINE_S).outcome == "applied"
        secrets = [say("device", "add", f"phone-{who}", "--role", "courier", "--courier", who, "--password-only").stdout.strip() for who in ("anna", "ben")]
        say("jobs", "assign", "shopify-#1001", "anna")
        at = {"site": "ams1", "host": "localhost", "port": operator.port, "tls": True, "ca_file": str(operator.site / "tls" / "ca.pem")}
        with (
            Courier(**at, device="phone-anna", password=secrets[0], courier="anna", outbox=folder / "anna.db", **PATIENCE) as anna,
            Courier(**at, device="phone-ben", password=secrets[1], courier="ben", outbox=folder / "ben.db", **PATIENCE) as ben,
        ):
            anna.wait_job(DEADLINE_S)
            say("device", "revoke", "phone-anna", "--move-to", "ben", "--reason", "stolen")
            job = ben.wait_job(DEADLINE_S)
            assert [stop.orders for stop in job.stops] == [["shopify-#1001"]]
        assert "phone-anna" not in [row["device"] for row in say.data("device", "list") if row["online"]]

        # A backup; then work that is not in it; then the disk is gone.
        saved = folder / "backup.db"
        say("db", "backup", saved)
        staged = scan_01.stage("shopify-#1001", dock="d1")
        assert staged.receipt(DEADLINE_S).outcome == "applied"
        operator.server.end(signal.SIGKILL)
        for file in operator.site.glob("dockbridge.db*"):
            file.unlink()

        # Doctor says what is wrong, and what mends it.
        assert "`dockbridge db restore FILE`" in operator.troubles()["database_missing"]["fix"]
        say("db", "restore", saved)
        operator.server.start()

        # The scanner sends again what the backup lacks; the stolen phone stays out.
        until(lambda: staged.receipt(DEADLINE_S).epoch == 1, "the scan counts again")
    until(lambda: say.data("db", "missing") == [], "nothing is missing")
    (anna_now,) = [row for row in say.data("device", "list") if row["device"] == "phone-anna"]
    assert anna_now["state"] == "revoked"
    with Scanner(**redeemed["scan-02"], outbox=folder / "scan-02.db", **PATIENCE) as scan_02:
        assert scan_02.load("shopify-#1001", vehicle="v1").receipt(DEADLINE_S).outcome == "applied"
    assert say.data("audit", "verify")["first_wrong"] is None
    assert operator.troubles() == {}
