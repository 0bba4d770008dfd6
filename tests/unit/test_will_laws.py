"""A will is published once if its connection ended without DISCONNECT, and never otherwise: laws over random histories of clients and of crashes."""

from __future__ import annotations

import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from helpers.mqtt import connect_packet, subscribe_packet
from helpers.world import Client, World
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bridge.broker.codec import v311 as packets
from bridge.broker.codec.reasons import ConnectCode
from bridge.broker.connection import Connection
from bridge.broker.state import State
from bridge.domain.access import Identity
from devices.protocol.vocabulary import Role

CONNACK, DISCONNECT = b"\x20", b"\xe0\x00"
STEPS = st.lists(
    st.tuples(
        st.sampled_from(
            ["connect", "connect", "persist", "cut", "goodbye", "commit", "commit", "crash", "crash before", "crash after", "forget", "fail", "heal"]
        ),
        st.integers(0, 1),
    ),
    max_size=30,
)


class Gear:
    """Two machines that come and go, each time with another will, and a listener that is owed all of them at QoS 2."""

    def __init__(self, folder: Path) -> None:
        self.world = World(folder)
        self.listener = Client(self.world, "listener")
        self.listen()
        self.listener.send(subscribe_packet([("gear/+", 2)], 9))
        self.world.commit()
        self.connections: list[Connection | None] = [None, None]
        self.wills: list[bytes] = [b"", b""]
        """The will of each connection."""
        self.sent = 0
        self.must: set[bytes] = set()
        self.may: set[bytes] = set()
        """Those of which a crash has hidden whether the client was let in, or said DISCONNECT."""
        self.let_in: set[bytes] = set()
        self.unstored: set[bytes] = set()
        """Those whose client was let in because the store fails, which is not committed yet."""
        self.left: set[bytes] = set()
        """Those that are dropped, which is not committed yet."""

    def listen(self) -> None:
        if self.listener.connection is None:
            self.listener.connect()

    def step(self, name: str, who: int) -> None:
        match name.split():
            case ["connect" | "persist" as how]:
                self.ends(who)
                self.sent += 1
                will = self.wills[who] = b"%03d" % self.sent
                connection = self.connections[who] = Connection(self.world.door, "1.2.3.4:5", lambda connection: None)
                packet = connect_packet(f"gear-{who}", clean=how == "connect", will=(f"gear/{who}", will), will_qos=2, will_retain=self.sent % 2 == 0)
                connection.receive(packet)
                if connection.state is State.OPEN:
                    self.unstored.add(will)
            case ["cut"]:
                self.ends(who)
                if (connection := self.connections[who]) is not None:
                    connection.lost()
            case ["goodbye"]:
                self.look()
                connection = self.connections[who]
                if connection is not None and connection.state is State.OPEN:
                    connection.receive(DISCONNECT)
                    self.left.add(self.wills[who])
            case ["commit"]:
                self.world.commit()
                self.left.clear()
                self.unstored.clear()
            case ["fail" | "heal"]:
                self.world.store_failing = name == "fail"
            case ["forget"]:
                self.world.settler.forget()
            case ["crash", *where]:
                self.crash(where[0] if where else "")
        self.look()
        self.listener.answer()

    def look(self) -> None:
        """Who was let in meanwhile?"""
        for connection, will in zip(self.connections, self.wills, strict=True):
            if connection is not None and connection.take_output()[:1] == CONNACK:
                self.let_in.add(will)

    def ends(self, who: int) -> None:
        """A connection ends without DISCONNECT, if it has not ended before."""
        self.look()
        connection = self.connections[who]
        if connection is not None and connection.state is not State.CLOSED:
            (self.must if self.wills[who] in self.let_in else self.left).add(self.wills[who])

    def crash(self, where: str) -> None:
        self.look()
        waiting = {w for c, w in zip(self.connections, self.wills, strict=True) if c is not None and c.state is State.OPENING}
        standing = {w for c, w in zip(self.connections, self.wills, strict=True) if c is not None and c.state is State.OPEN}
        self.must = (self.must | standing) - self.unstored
        self.may |= waiting | self.left | self.unstored
        self.left.clear()
        self.unstored.clear()
        self.connections = [None, None]
        self.listener.connection = None
        if where:
            self.world.commit(crash=where)
        else:
            self.world.close()
            self.world.start()
        self.listen()

    def finish(self) -> None:
        for who in (0, 1):
            self.step("cut", who)
        for _ in range(4 * self.sent + 5):
            self.world.commit()
            self.listener.answer()


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(STEPS)
def test_whatever_happens_a_will_is_published_once_or_not_at_all(steps: list[tuple[str, int]]) -> None:
    folder = Path(tempfile.mkdtemp(prefix="wills-", dir="/dev/shm" if Path("/dev/shm").is_dir() else None))
    try:
        gear = Gear(folder)
        for name, who in steps:
            gear.step(name, who)
        gear.finish()
        heard = Counter(payload for _, payload, _, _ in gear.listener.heard)
        left = gear.world.rows("wills")
        gear.world.close()
    finally:
        shutil.rmtree(folder)
    assert [will for will, times in heard.items() if times > 1] == []
    assert gear.must <= heard.keys() <= gear.must | gear.may
    assert left == 0


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path, packet_bytes_max=1_024, topic_bytes_max=64, topic_levels_max=8)
    yield made
    made.close()


def connecting(world: World, topic: str = "lab/a", payload: bytes = b"gone") -> Connection:
    """A client that has sent CONNECT with a will."""
    connection = Connection(world.door, "1.2.3.4:5", lambda connection: None)
    connection.receive(connect_packet("gear", will=(topic, payload), will_qos=1))
    return connection


def test_a_client_is_let_in_once_its_will_is_stored(world: World) -> None:
    connection = connecting(world)
    assert connection.take_output() == b""
    world.commit()
    assert (connection.take_output()[:1], world.rows("wills")) == (CONNACK, 1)
    connection.receive(DISCONNECT)
    world.commit()
    assert world.rows("wills") == 0


def test_a_client_that_leaves_before_it_is_let_in_leaves_no_will(world: World) -> None:
    connecting(world).lost()
    world.commit()
    assert (world.rows("wills"), world.rows("retained")) == (0, 0)


def test_while_the_store_fails_no_client_waits_because_of_its_will(world: World) -> None:
    world.store_failing = True
    connection = connecting(world)
    assert connection.take_output()[:1] == CONNACK
    connection.lost()
    world.store_failing = False
    world.commit()
    assert (world.rows("wills"), world.rows("retained")) == (0, 2), "its will, and that its device is offline"


def test_a_presence_needs_no_row(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    scanner = Identity(site="ams1", device="scan-1", role=Role.SCANNER)
    monkeypatch.setattr(world.door, "authenticate", lambda connection, connect: connection.authenticated(scanner))
    assert connecting(world, "v1/ams1/devices/scan-1/presence").take_output()[:1] == CONNACK
    world.commit()
    assert world.rows("wills") == 0


@pytest.mark.parametrize(
    ("topic", "payload", "why"),
    [("a" * 65, b"x", "topic_bytes_max"), ("/" * 8, b"x", "topic_levels_max"), ("a", b"x" * 1_024, "packet_bytes_max")],
)
def test_a_will_that_could_not_be_published_is_refused(world: World, topic: str, payload: bytes, why: str) -> None:
    connection = connecting(world, topic, payload)
    assert connection.take_output() == packets.connack(session_present=False, code=ConnectCode.NOT_AUTHORIZED)
    assert why in (connection.why_closed or "")
