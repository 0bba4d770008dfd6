"""The server is killed without warning, again and again, in the middle of a shift.

Every event that a device saw acknowledged is in the event log once, with its receipt; after the last restart the devices send all that waits, and every order
has the state that the plan of the shift says. The plan is worked out here, without the fold.
"""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import cbor2
import pytest
from helpers.events import SITE
from helpers.server import SECRET, Server, free_port
from helpers.waiting import until

from bridge.store.sqlite import open_engine
from devices import Courier, Scan, Scanner
from devices.protocol.vocabulary import EventType, Role

KILLS = 20
ORDERS = 200
EVENTS_AN_ORDER = 10
SCANNERS = 4
DEADLINE_S = 150


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """A server whose address stays the same when it is restarted."""
    server = Server(tmp_path / "site", listen={"mqtt": f"127.0.0.1:{free_port()}"})
    server.enrol(Role.SCANNER, *(f"scan-{n}" for n in range(SCANNERS)))
    server.enrol(Role.COURIER, "phone")
    server.enrol(Role.SYSTEM, "shop")
    with server:
        yield server


def scan_order(scanner: Scanner, order: str) -> list[Scan]:
    """The warehouse's part of an order: seven events."""
    return [
        scanner.pick(order, sku="left", qty=1),
        scanner.pick(order, sku="right", qty=1),
        scanner.pack(order, weight_g=700),
        scanner.labelled(order, label=f"WB-{order}", kind="plain"),
        scanner.stage(order, dock="d1"),
        scanner.load(order, vehicle="van-1"),
        scanner.depart(order, hub="hub-1"),
    ]


def expected_state(number: int) -> str:
    """What the plan says: every tenth order stays on the road, every seventh is returned, the rest are delivered."""
    if number % 10 == 3:
        return "shipped"
    return "returning" if number % 7 == 5 else "delivered"


def test_two_thousand_events_survive_twenty_kills(server: Server, tmp_path: Path) -> None:
    rng = random.Random(20)
    host, port = server.address
    common = {"site": SITE, "host": host, "port": port, "password": SECRET, "debounce_ms": 0, "backoff_first_s": 0.02, "backoff_max_s": 0.1}
    scanners = [Scanner(device=f"scan-{n}", outbox=str(tmp_path / f"scan-{n}.db"), **common) for n in range(SCANNERS)]
    shop = Scanner(device="shop", outbox=str(tmp_path / "shop.db"), **common)
    phone = Courier(device="phone", courier="phone", outbox=str(tmp_path / "phone.db"), **common)
    devices = [*scanners, shop, phone]
    scans: list[Scan] = []
    working = threading.Event()

    def shift() -> None:
        for number in range(ORDERS):
            order = f"PO-{number}"
            lines = [{"sku": "left", "qty": 1}, {"sku": "right", "qty": 1}]
            created = {"channel": "shop", "lines": lines, "allow_partial": False, "payment": "on_delivery"}
            scans.append(shop.send(EventType.CREATED, created, order=order))
            scans.extend(scan_order(scanners[number % SCANNERS], order))
            scans.append(phone.pickup(order))
            match expected_state(number):
                case "shipped":
                    scans.append(phone.stop_arrived(order, stop="stop-1"))
                case "returning":
                    scans.append(phone.refused(order, reason="not_wanted"))
                case _:
                    scans.append(phone.delivery(order, pod_method="pin"))
        working.set()

    worker = threading.Thread(target=shift, name="shift")
    worker.start()
    try:
        for kill in range(KILLS):
            # Each kill waits for more acknowledgements, so that all kills fall within the work and not after it.
            target = (kill + 1) * ORDERS * EVENTS_AN_ORDER // (KILLS + 2)
            until(lambda target=target: sum(s.acknowledged for s in list(scans)) >= target, f"{target} acknowledged events", DEADLINE_S)
            time.sleep(rng.random() * 0.02)  # so that the kill falls anywhere between socket and acknowledgement; the test does not depend on it
            server.end(signal.SIGKILL)
            seen = [s for s in list(scans) if s.acknowledged]
            missing = _not_stored(server.directory, seen)
            assert not missing, f"after kill {kill + 1}: {len(missing)} acknowledged events are not in the log"
            server.start()
        worker.join()
        assert working.is_set()
        assert len(scans) == ORDERS * EVENTS_AN_ORDER
        until(lambda: all(d.backlog == 0 for d in devices), "empty outboxes", DEADLINE_S)
        outcomes = Counter(s.receipt(timeout_s=DEADLINE_S).outcome for s in scans)
    finally:
        worker.join()
        for device in devices:
            device.close()
    server.end(signal.SIGTERM)
    assert server.starts == KILLS + 1
    assert not outcomes.keys() & {"rejected", "blocked", "lost_claim"}, outcomes
    _everything_is_there_once(server.directory, scans)
    states = dict(server.rows("SELECT order_id, state FROM orders WHERE state != ''"))
    assert states == {f"PO-{n}": expected_state(n) for n in range(ORDERS)}


def _stored(site: Path) -> Counter[bytes]:
    """How often each event id is in the event log, read without our code from the file that the killed server left."""
    engine = open_engine(site / "dockbridge.db")
    with engine.connect() as connection:
        return Counter(bytes(r[0]) for r in connection.exec_driver_sql("SELECT id FROM events WHERE device != 'bridge'"))


def _not_stored(site: Path, scans: list[Scan]) -> list[Scan]:
    stored = _stored(site)
    return [s for s in scans if stored[s.id] != 1]


def _everything_is_there_once(site: Path, scans: list[Scan]) -> None:
    assert _stored(site) == Counter({s.id: 1 for s in scans})
    engine = open_engine(site / "dockbridge.db")
    with engine.connect() as connection:
        receipts = [cbor2.loads(r[0]) for r in connection.exec_driver_sql("SELECT payload FROM receipts")]
    assert {r["id"] for r in receipts} == {s.id for s in scans}
    assert os.path.exists(site / "dockbridge.db")
