"""Corner cases of delivery, rare in random runs: a log that can't be read, changes that meet in one batch, clients that connect while the store is slow."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from helpers.mqtt import connect_packet, publish_packet, subscribe_packet, unsubscribe_packet
from helpers.world import FILTER, Client, Life, World

from bridge.broker.codec import v311 as packets
from bridge.broker.codec.reasons import ConnectCode
from bridge.broker.connection import Connection
from bridge.broker.losses import CALM_S
from bridge.broker.state import State
from bridge.ingest.items import OpenSession
from bridge.ingest.ports import NOT_YET, NotYet


def arrives(world: World, client_id: str, *, clean: bool = False) -> Connection:
    """A client that connects; nothing is committed yet."""
    connection = Connection(world.door, "1.2.3.4:5", lambda connection: None)
    connection.receive(connect_packet(client_id, clean=clean))
    return connection


def commit_the_first(world: World) -> None:
    """Commits the first item as a batch of its own; the others still wait."""
    rest, world.queue = world.queue[1:], world.queue[:1]
    world.commit()
    world.queue = rest + world.queue


class unreadable:  # noqa: N801 -- reads as `with unreadable(world):`
    """Meanwhile the message log can't be read."""

    def __init__(self, world: World) -> None:
        self._log = world.door.log

    def __enter__(self) -> None:
        self._stored = self._log._stored
        self._log._recent.clear()
        self._log._stored = Unreadable()

    def __exit__(self, *_: object) -> None:
        self._log._stored = self._stored


class Unreadable:
    def fetch(self, positions: Sequence[int]) -> NotYet:
        return NOT_YET

    def young_from(self, before_ms: int) -> NotYet:
        return NOT_YET


def flush(world: World) -> None:
    world.door.flush_progress(now=True)
    world.commit()


# --- a log that can't be read -------------------------------------------------------------------------------------------------


def test_what_is_in_flight_survives_a_log_that_cant_be_read_when_the_client_comes_back(tmp_path: Path) -> None:
    life = Life(tmp_path, 1)
    for step in ("publish1", "publish1", "publish1", "commit"):
        life.step(step)
    assert len(life.subscriber.heard) == 3
    life.step("cut")
    with unreadable(life.world):
        refused = arrives(life.world, "subscriber")
        assert refused.state is State.CLOSED
        assert refused.take_output()[-1] == ConnectCode.SERVER_UNAVAILABLE
    life.step("flush")
    assert life.world.rows("message_log") == 3


def test_a_read_that_failed_once_does_not_stall_a_client(tmp_path: Path) -> None:
    life = Life(tmp_path, 1)
    life.step("cut")
    for step in ("publish1", "publish1", "publish1", "commit"):
        life.step(step)
    with unreadable(life.world):
        life.step("connect")
    assert life.subscriber.heard == []
    life.world.now_s += 60
    life.world.door.tick()
    life.subscriber.listen()
    assert len(life.subscriber.heard) == 3


# --- a client that reads slowly -----------------------------------------------------------------------------------------------


def test_what_waits_behind_a_burst_is_sent_when_the_client_has_read_it(tmp_path: Path) -> None:
    life = Life(tmp_path, 1, output_bytes_max=4_096)
    life.publisher.send(publish_packet("t/a", b"x" * 5_000, qos=0))
    life.step("publish1")
    life.world.commit()
    connection = life.subscriber.connection
    assert connection is not None
    life.subscriber.listen()
    assert connection.has_more, "the wire is told to come back: no acknowledgement will"
    connection.send_more()
    life.subscriber.listen()
    assert len(life.subscriber.heard) == 2


def test_a_full_log_and_retained_messages_that_wait_go_together(tmp_path: Path) -> None:
    life = Life(tmp_path, 1, message_log_max=1)
    for n in range(5):
        life.publisher.send(publish_packet(f"r/{n}", b"x", qos=1, packet_id=100 + n, retain=True))
    life.step("commit")
    reader = Client(life.world, "reader")
    reader.connect()
    assert reader.connection is not None
    reader.connection.is_full = True
    reader.send(subscribe_packet([("r/#", 0)], 3))
    for step in ("commit", "publish1", "publish1", "publish1", "commit"):
        life.step(step)
    life.finish()
    assert not life.pending


def test_a_reader_at_qos_0_that_lags_now_and_then_raises_no_alert_each_time(tmp_path: Path) -> None:
    life = Life(tmp_path, 0)
    connection = life.subscriber.connection
    assert connection is not None
    for _ in range(20):
        connection.is_full = True
        life.publisher.send(publish_packet("t/a", b"x", qos=0))
        life.world.commit()
        connection.is_full = False
        connection.send_more()
        life.world.now_s += 1
        life.world.door.tick()
        life.world.commit()
    assert life.world.door.counters.dropped == 1
    life.world.now_s += 60
    for _ in range(2):
        life.world.door.tick()
        life.world.now_s += 60
    life.world.commit()
    assert life.world.rows("alerts") == 0


def test_the_alert_about_what_was_dropped_is_over_when_the_queue_was_fetched_although_the_client_left_at_once(tmp_path: Path) -> None:
    life = Life(tmp_path, 1, session_queue_max=2, window=1)
    world, reader = life.world, life.subscriber

    def pass_by(seconds: float) -> int:
        world.now_s += seconds
        world.door.tick()
        world.commit()
        return world.rows("alerts")

    reader.cut()
    for n in range(4):
        life.publisher.send(publish_packet("t/a", b"x", qos=1, packet_id=100 + n))
    world.commit()
    assert (pass_by(CALM_S), pass_by(CALM_S)) == (1, 1), "nobody has fetched what was left"
    reader.connect()
    life.finish()
    reader.cut()
    assert (pass_by(0.5), pass_by(CALM_S)) == (1, 0)


# --- QoS 2 in -----------------------------------------------------------------------------------------------------------------


def released_twice(life: Life) -> tuple[World, Client]:
    """A publisher lost its connection after PUBREL, sent PUBREL again over the next one, received PUBCOMP, and uses the id for another message."""
    world, publisher = life.world, life.publisher
    publisher.send(publish_packet("t/a", b"one", qos=2, packet_id=7))
    world.commit()
    publisher.listen()
    publisher.send(packets.pubrel(7))
    publisher.cut()
    publisher.connection = arrives(world, "publisher")
    publisher.send(packets.pubrel(7))
    commit_the_first(world)
    publisher.listen()
    assert 7 in publisher.completed
    publisher.send(publish_packet("t/a", b"two", qos=2, packet_id=7))
    return world, publisher


def test_a_pubrel_that_comes_again_frees_the_id_of_no_other_message(tmp_path: Path) -> None:
    life = Life(tmp_path, 2)
    world, publisher = released_twice(life)
    commit_the_first(world)
    publisher.cut()
    publisher.connection = arrives(world, "publisher")
    publisher.send(publish_packet("t/a", b"two", qos=2, packet_id=7, dup=True))
    for _ in range(3):
        world.commit()
        life.subscriber.answer()
    assert [payload for _, payload, _, _ in life.subscriber.heard] == [b"one", b"two"]


def test_nor_does_it_in_one_batch_with_that_message(tmp_path: Path) -> None:
    life = Life(tmp_path, 2)
    world, _ = released_twice(life)
    world.commit()
    assert world.rows("incoming_ids") == 1


# --- changes that meet in one batch -------------------------------------------------------------------------------------------


def test_an_interval_that_begins_and_ends_in_one_batch_keeps_its_messages(tmp_path: Path) -> None:
    life = Life(tmp_path, 1, window=1)
    world, subscriber = life.world, life.subscriber
    subscriber.send(unsubscribe_packet([FILTER], 3))
    world.commit()
    subscriber.send(subscribe_packet([(FILTER, 1)], 10))
    for n in (50, 51):
        life.publisher.send(publish_packet("t/a", b"m%d" % n, qos=1, packet_id=n))
    subscriber.send(subscribe_packet([(FILTER, 2)], 11))
    subscriber.send(unsubscribe_packet([FILTER], 12))
    batch, world.queue = world.queue, []
    assert len(world.settler.commit([item for item, _ in batch]).outcomes) == len(batch)
    world.close()
    world.start()
    (session,) = [s for s in world.door.sessions if s.client_id == "subscriber"]
    assert session.waiting == 2


def test_a_client_that_wipes_its_session_and_begins_another_is_one_batch(tmp_path: Path) -> None:
    world = World(tmp_path)
    client = Client(world, "x")
    client.connect()
    client.cut()
    arrives(world, "x", clean=True)
    arrives(world, "x")
    opened = [item for item, _ in world.queue if isinstance(item, OpenSession)]
    assert len(world.settler.commit(opened).outcomes) == 2


def test_places_in_the_log_are_not_given_again_after_the_store_failed(tmp_path: Path) -> None:
    world = World(tmp_path)
    publisher, one, two = (Client(world, name) for name in ("publisher", "one", "two"))
    for client in (publisher, one, two):
        client.connect()
    flush(world)
    one.send(subscribe_packet([(FILTER, 2)], 9))
    world.commit()
    for n in range(20):
        publisher.send(publish_packet("t/a", b"old", qos=1, packet_id=1 + n))
        world.commit()
    one.cut()
    arrives(world, "one", clean=True)
    world.commit()
    flush(world)
    world.settler.forget()
    two.send(subscribe_packet([(FILTER, 2)], 9))
    world.commit()
    publisher.send(publish_packet("t/a", b"first", qos=1, packet_id=100))
    world.commit()
    for _ in range(3):
        two.answer()
        world.commit()
    flush(world)
    publisher.send(publish_packet("t/a", b"second", qos=1, packet_id=101))
    world.commit()
    publisher.listen()
    assert 101 in publisher.acknowledged
    world.close()
    world.start()
    two.connection = None
    two.heard.clear()
    two.connect()
    assert [payload for _, payload, _, _ in two.heard] == [b"second"]


# --- bounds while the store is slow -------------------------------------------------------------------------------------------


def test_sessions_of_a_device_are_bounded_while_they_are_being_stored(tmp_path: Path) -> None:
    world = World(tmp_path)
    held = [arrives(world, f"client-{n}") for n in range(300)]
    world.commit()
    assert len(world.door.sessions) == world.limits.sessions_per_device_max
    assert len([c for c in held if c.state is State.OPEN]) == world.limits.sessions_per_device_max


def test_subscriptions_are_bounded_while_they_are_being_stored(tmp_path: Path) -> None:
    world = World(tmp_path, subscriptions_max=10)
    client = Client(world, "client")
    client.connect()
    for k in range(30):
        client.send(subscribe_packet([(f"a/{k}/{n}", 1) for n in range(10)], 1 + k))
    world.commit()
    (session,) = world.door.sessions
    assert len(session.subscriptions) == 10


def test_a_device_that_is_revoked_while_its_session_is_being_stored_has_none(tmp_path: Path) -> None:
    world = World(tmp_path)
    connection = arrives(world, "client")
    world.door.disconnect("gear", "the device was revoked", end_sessions=True)
    world.commit()
    assert connection.state is State.CLOSED
    assert world.door.sessions == []
    assert world.rows("sessions") == 0
