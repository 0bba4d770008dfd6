"""The server is killed at random moments, at every labelled point between socket, commit and acknowledgement, and once when it is idle; the ledger stays clean.

Publishers use QoS 1 and 2, subscribers have persistent sessions. The unit tests of the ledger show that it finds every kind of fault.
"""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from bridge.ingest.points import POINTS


def torture(*, kills: int, events: int, timeout_s: float) -> dict[str, Any]:
    """What `dockbridge torture` prints; it exits with 1 if the ledger has a loss."""
    command = [sys.executable, "-m", "bridge.entrypoints.cli.main", "torture", "--kills", str(kills), "--events", str(events), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=timeout_s, check=False)
    assert done.stdout, done.stderr
    result: dict[str, Any] = json.loads(done.stdout)
    assert done.returncode == 0, done.stdout
    return result


def assert_clean(result: dict[str, Any], *, kills: int, events: int) -> None:
    assert result["ok"]
    assert result["examples"] == {}
    assert sum(result["kills"].values()) == kills
    assert sum(c["sent"] for c in result["ledger"]) == sum(c["acknowledged"] for c in result["ledger"]) == events
    for column in ("unanswered", "stored_twice", "delivered_twice", "out_of_order", "wrong_qos", "lost_stored", "lost_delivered", "given_up"):
        assert not any(c[column] for c in result["ledger"]), column
    assert all(c["delivered"] == c["due"] for c in result["ledger"])
    assert result["sessions_lost"] == result["never_sent"] == 0


def test_nothing_is_lost_doubled_or_out_of_order_wherever_the_server_is_killed() -> None:
    kills, events = len(POINTS) + 2, 2_000
    result = torture(kills=kills, events=events, timeout_s=180)
    assert_clean(result, kills=kills, events=events)
    assert set(POINTS) <= set(result["kills"]), "a labelled point was not reached"


@pytest.mark.slow
def test_a_hundred_kills_and_a_hundred_thousand_events() -> None:
    result = torture(kills=100, events=100_000, timeout_s=1_800)
    assert_clean(result, kills=100, events=100_000)
    assert set(POINTS) <= set(result["kills"])
