"""What a persistent session is owed, whatever happens: laws over random histories of a publisher, a subscriber and a server that crashes."""

from __future__ import annotations

import shutil
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

from helpers.mqtt import publish_packet, subscribe_packet, unsubscribe_packet
from helpers.world import FILTER, TOPICS, Life
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bridge.broker.codec import v311 as packets

STEPS = st.lists(
    st.sampled_from(
        [
            "publish1",
            "publish2",
            "publish2",
            "commit",
            "answer1",
            "answer",
            "flush",
            "cut",
            "connect",
            "crash",
            "crash before",
            "crash after",
            "resubscribe",
            "forget",
        ],
    ),
    max_size=50,
)


def live(steps: list[str], qos: int, **limits: Any) -> Life:
    folder = Path(tempfile.mkdtemp(prefix="laws-", dir="/dev/shm" if Path("/dev/shm").is_dir() else None))
    try:
        life = Life(folder, qos, **limits)
        for step in steps:
            life.step(step)
        life.finish()
        life.left = (life.world.rows("message_log"), life.world.rows("incoming_ids"))  # type: ignore[attr-defined]
        life.world.close()
    finally:
        shutil.rmtree(folder)
    return life


LAWS = settings(max_examples=70, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@LAWS
@given(STEPS)
def test_whatever_happens_every_message_arrives_in_order_and_at_qos_2_once(steps: list[str]) -> None:
    life = live(steps, 2)
    heard = life.subscriber.heard
    assert not life.pending, "every publish is acknowledged in the end"
    assert {payload for _, payload, _, _ in heard} == set(life.sent)
    counts = Counter(payload for _, payload, _, _ in heard)
    assert {p for p, (_, qos) in life.sent.items() if qos == 2 and counts[p] > 1} == set(), "at QoS 2 nothing comes twice"
    for topic in TOPICS:
        for qos in (1, 2):
            first = list(dict.fromkeys(p for t, p, q, _ in heard if (t, q) == (topic, qos)))
            assert first == sorted(first), "in the order in which they were published"
    assert life.left == (0, 0), "nothing stays that nobody is owed"


@LAWS
@given(STEPS)
def test_at_qos_1_every_message_arrives_and_what_was_acknowledged_and_stored_does_not_come_again(steps: list[str]) -> None:
    life = live([s for s in steps if not s.startswith("crash")], 1)
    counts = Counter(payload for _, payload, _, _ in life.subscriber.heard)
    assert set(counts) == set(life.sent)
    # Without a crash, only messages in flight when the connection was cut may come again, with DUP.
    seen: set[bytes] = set()
    for _, payload, qos, dup in life.subscriber.heard:
        assert qos == 1
        assert (payload in seen) <= dup
        seen.add(payload)


@LAWS
@given(STEPS, st.integers(1, 4))
def test_a_queue_that_is_too_short_loses_the_oldest_and_nothing_else(steps: list[str], room: int) -> None:
    # At QoS 1 a publisher that sends again after a crash makes new messages, for which the full queue drops others.
    life = live([s.replace("publish1", "publish2") for s in steps], 2, session_queue_max=room)
    heard = [payload for _, payload, _, _ in life.subscriber.heard]
    counts = Counter(p for _, p, q, _ in life.subscriber.heard if q == 2)
    assert not [p for p, n in counts.items() if n > 1]
    for topic in TOPICS:
        for qos in (1, 2):
            first = list(dict.fromkeys(p for t, p, q, _ in life.subscriber.heard if (t, q) == (topic, qos)))
            assert first == sorted(first)
    assert set(list(life.sent)[-room:]) <= set(heard), "the newest are there"
    assert life.left == (0, 0)


@LAWS
@given(
    st.lists(st.sampled_from(["publish", "subscribe1", "subscribe2", "unsubscribe", "cut", "connect", "crash", "answer1", "flush"]), max_size=40),
)
def test_what_is_owed_follows_the_subscriptions_of_its_time(steps: list[str]) -> None:
    folder = Path(tempfile.mkdtemp(prefix="laws-", dir="/dev/shm" if Path("/dev/shm").is_dir() else None))
    try:
        life = Life(folder, 2)
        world, subscriber = life.world, life.subscriber
        now: int | None = 2
        expected: dict[bytes, int] = {}
        for number, step in enumerate(steps):
            there = subscriber.connection is not None
            match step:
                case "publish":
                    life.step("publish2")
                    if now is not None:
                        expected[list(life.sent)[-1]] = now
                    world.commit()
                case "subscribe1" | "subscribe2" if there:
                    now = int(step[-1])
                    life.subscribe(now)
                case "unsubscribe" if there:
                    now = None
                    subscriber.send(unsubscribe_packet([FILTER], number + 10))
                    world.commit()
                case "subscribe1" | "subscribe2" | "unsubscribe" | "publish":
                    pass
                case _:
                    life.step(step)
        life.finish()
        got: dict[bytes, set[int]] = {}
        for _, payload, qos, _ in subscriber.heard:
            got.setdefault(payload, set()).add(qos)
        assert got == {payload: {qos} for payload, qos in expected.items()}
        world.close()
    finally:
        shutil.rmtree(folder)


def test_retained_messages_reach_a_persistent_session_once_each_though_the_server_dies_in_between(tmp_path: Path) -> None:
    life = Life(tmp_path, 2)
    count = 700
    for number in range(count):
        life.publisher.send(publish_packet(f"r/{number:04d}", b"r%04d" % number, qos=2, packet_id=1 + number, retain=True))
        life.publisher.send(packets.pubrel(1 + number))
    life.world.commit()
    life.subscriber.send(subscribe_packet([("r/#", 2)], 11))
    life.world.commit()
    for _ in range(60):
        life.subscriber.answer()
        life.world.commit()
    assert 0 < len(life.subscriber.retained_seen) < count
    life.crash("after")
    for _ in range(2 * count):
        life.subscriber.answer()
        life.world.commit()
    assert life.subscriber.retained_seen == [b"r%04d" % n for n in range(count)]
    life.world.door.flush_progress(now=True)
    life.world.commit()
    assert life.world.rows("message_log") == 0
