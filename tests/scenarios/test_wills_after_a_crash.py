"""The server is killed while clients are connected: their connections have ended, and the wills of those are published at the next start, once."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from argon2 import PasswordHasher
from conformance.lab import Client
from helpers.events import TOPICS, shift
from helpers.mqtt import Packet
from helpers.server import SECRET, Server, enrol
from helpers.waiting import until

from devices.protocol.vocabulary import Role

QUICK_HASH = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
KINDS = [(qos, retain) for qos in (0, 1, 2) for retain in (False, True)]
ROLES = {**dict.fromkeys(("gear", "listener", "sold"), Role.LAB), "scan-1": Role.SCANNER}


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    server = Server(tmp_path / "site")
    enrol(server.database, ROLES, hasher=QUICK_HASH)
    with server:
        yield server
    assert not server.said("Traceback")


def client(server: Server, device: str, client_id: str, **connect: object) -> Client:
    wire = Client(server.address)
    wire.session_present, code = wire.connect(client_id, device, SECRET, **connect)
    assert code == 0, f"CONNACK {code}"
    return wire


def heard(wire: Client) -> list[Packet]:
    """What a client was sent until now. Its own message comes last."""
    wire.say("lab/end", b"", qos=2)
    packets = []
    while (packet := wire.receive()).topic != "lab/end":
        packets.append(packet)
    return packets


def topic(qos: int, retain: bool) -> str:
    return f"lab/{qos}/{'retained' if retain else 'not'}"


def test_wills_are_published_at_the_next_start_with_their_qos_and_their_retain_flag(server: Server) -> None:
    with client(server, "listener", "listener", clean=False) as listener:
        listener.ask(("lab/#", 2))
    with ExitStack() as there:
        for qos, retain in KINDS:
            will = (topic(qos, retain), b"gone")
            there.enter_context(client(server, "gear", f"gear-{qos}-{retain}", will=will, will_qos=qos, will_retain=retain, clean=qos != 1))
        there.enter_context(client(server, "sold", "sold", will=("lab/sold", b"gone")))
        there.enter_context(client(server, "scan-1", "scan-1", will=(TOPICS.event("scan-1", "shift_ended"), shift("scan-1", 1))))
        there.enter_context(client(server, "gear", "cut", will=("lab/cut", b"gone"))).cut()
        there.enter_context(client(server, "gear", "polite", will=("lab/polite", b"gone"))).goodbye()
        until(lambda: server.rows("SELECT count(*) FROM wills") == [(len(KINDS) + 2,)], "the ends of the two that have left")
        server.end(signal.SIGKILL)
    server.write("UPDATE devices SET revoked_ms = 1 WHERE device = ?", [("sold",)])
    server.start()
    assert server.rows("SELECT count(*) FROM wills") == [(0,)]
    # They come back before anybody has looked: each with another will.
    with ExitStack() as there:
        for qos, retain in KINDS:
            there.enter_context(client(server, "gear", f"gear-{qos}-{retain}", will=(topic(qos, retain), b"again"), will_qos=qos, clean=qos != 1))
        with client(server, "listener", "listener", clean=False) as listener:
            assert listener.session_present
            wills = [("lab/cut", b"gone", 1, False), *((topic(qos, retain), b"gone", qos, False) for qos, retain in KINDS if qos)]
            assert [(p.topic, p.payload, p.qos, p.retain) for p in heard(listener)] == wills
        with client(server, "listener", "another") as another:
            another.ask(("lab/+/+", 2), ("lab/end", 2))
            retained = {(p.topic, p.payload, p.qos, p.retain) for p in heard(another)}
            assert retained == {(topic(qos, True), b"gone", qos, True) for qos in (0, 1, 2)}
    assert server.stored("scan-1") == [1]
