"""The server is killed without warning while notices go out: each arrives at least once, under one id, in order per order, and signed."""

from __future__ import annotations

import signal
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from helpers.events import CREATED, SITE, event
from helpers.mqtt import MqttWire
from helpers.receiver import CLOSE, Receiver, Request
from helpers.server import SECRET, Server, free_port
from helpers.waiting import until
from standardwebhooks import Webhook

from bridge.clock import anchored_clock
from devices.protocol.vocabulary import Role

KILLS = 8
ORDERS = 60
DEADLINE_S = 120
STORY = ("packed", "collected", "arrived", "delivered")


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as made:
        yield made


@pytest.fixture
def server(tmp_path: Path, receiver: Receiver) -> Iterator[Server]:
    notices = {
        "url": receiver.url,
        "allow_private": True,
        "allow_plain": True,
        "poll_s": 0.01,
        "batch_max": 10,
        "retry_first_s": 0.01,
        "retry_max_s": 0.05,
        "tries_max": 1_000,
    }
    server = Server(tmp_path / "site", listen={"mqtt": f"127.0.0.1:{free_port()}"}, notices=notices)
    server.enrol(Role.SCANNER, "scan-1")
    server.enrol(Role.COURIER, "anna")
    server.enrol(Role.SYSTEM, "shop1")
    with server:
        yield server


class Gear:
    """A device that sends its events again until they are acknowledged, through every kill."""

    def __init__(self, server: Server, device: str) -> None:
        self._server = server
        self._device = device
        self._seq = 0
        self._wire: MqttWire | None = None
        self._clock = anchored_clock()

    def tell(self, kind: str, order: str, body: dict[str, Any] | None = None) -> None:
        self._seq += 1
        payload = event(self._device, self._seq, order, body, at_ms=self._clock.now_ms())
        until(lambda: self._is_acknowledged(f"v1/{SITE}/devices/{self._device}/events/{kind}", payload), "the acknowledgement", DEADLINE_S)

    def _is_acknowledged(self, topic: str, payload: bytes) -> bool:
        try:
            if self._wire is None:
                self._wire = MqttWire(self._server.address)
                self._wire.connect(self._device, self._device, SECRET)
            self._wire.publish(topic, payload)
            self._wire.expect(4)
        except (OSError, AssertionError):
            if self._wire is not None:
                self._wire.cut()
            self._wire = None
            return False
        return True

    def close(self) -> None:
        if self._wire is not None:
            self._wire.cut()
            self._wire = None


def now_and_then(requests: list[Request]) -> Any:
    """Every seventh request fails, every eleventh is cut off."""

    def answer(_: Request) -> int | str:
        count = len(requests)
        return 503 if count % 7 == 3 else CLOSE if count % 11 == 5 else 200

    return answer


@pytest.mark.slow
def test_every_notice_arrives_through_kills_in_order_and_signed(server: Server, receiver: Receiver) -> None:
    receiver.answer = now_and_then(receiver.requests)
    gears = [Gear(server, device) for device in ("shop1", "scan-1", "anna")]
    try:
        assert work(server, receiver, *gears) == KILLS
    finally:
        for gear in gears:
            gear.close()
    told = {(f"PO-{number}", moment) for number in range(ORDERS) for moment in STORY}
    until(lambda: told <= {r.told for r in list(receiver.taken)}, "every notice", DEADLINE_S)
    assert {r.told for r in receiver.requests} == told
    check_order(receiver.taken)
    check_ids_and_signatures(server, receiver)


def work(server: Server, receiver: Receiver, shop: Gear, scanner: Gear, phone: Gear) -> int:
    """Bring every order to its recipient, and kill the server now and then. Returns how often."""
    kills = 0
    for number in range(ORDERS):
        order = f"PO-{number}"
        shop.tell("created", order, {**CREATED, "payment": "on_delivery"})
        scanner.tell("pack", order)
        scanner.tell("load", order, {"vehicle": "v1"})
        if number % (ORDERS // KILLS) == 3 and kills < KILLS:
            # In the middle of what goes out: the receiver has some of it, and not all.
            until(lambda: len(receiver.taken) > 0, "a first notice", DEADLINE_S)
            server.end(signal.SIGKILL)
            for gear in (shop, scanner, phone):
                gear.close()
            server.start()
            kills += 1
        phone.tell("stop_arrived", order, {"stop": "s-1"})
        phone.tell("delivery", order, {"pod": {"method": "pin"}})
    return kills


def check_order(taken: list[Request]) -> None:
    """Leaving repeats aside, each order has its notices in the order in which they were told."""
    first: dict[str, list[str]] = {}
    for request in taken:
        order, moment = request.told
        if moment not in first.setdefault(order, []):
            first[order].append(moment)
    assert set(map(tuple, first.values())) == {STORY}


def check_ids_and_signatures(server: Server, receiver: Receiver) -> None:
    verifier = Webhook((server.directory / "notices.secret").read_text().strip())
    for request in receiver.requests:
        verifier.verify(request.body, request.headers)
    with sqlite3.connect(server.directory / "dockbridge.db") as database:
        stored = {(order, moment): bytes(notice).hex() for order, moment, notice in database.execute("SELECT order_id, moment, id FROM notices")}
    assert {(r.told, r.id) for r in receiver.requests} == set(stored.items())
    assert len(set(stored.values())) == len(stored)
