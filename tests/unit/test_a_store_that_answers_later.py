"""A store that first answers "not yet", then fetches and notifies the door: clients get the messages that they are owed, each once, and none waits forever."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import pytest
from helpers.events import IDENTITIES, NOW_MS, TOPICS
from helpers.mqtt import connect_packet, subscribe_packet

from bridge.broker.codec import v311
from bridge.broker.codec.amqtt_decoder import AmqttDecoder
from bridge.broker.codec.reasons import ConnectCode
from bridge.broker.connection import Connection
from bridge.broker.door import HOUSEKEEPING_S, FrontDoor
from bridge.broker.limits import DoorLimits
from bridge.broker.state import State
from bridge.broker.store_view import StoreView
from bridge.ingest.items import Change, HandOver, Incoming, Message, OpenSession
from bridge.ingest.ports import NOT_YET, NotYet, Page

Answer = TypeVar("Answer")
STATUS = TOPICS.status("PO-1")
OTHER = TOPICS.status("PO-2")
ORDERS = f"{TOPICS.base}/orders/#"


class LateStore:
    """Statuses and the message log. A question is answered after the data for it was fetched."""

    def __init__(self) -> None:
        self.statuses: dict[str, bytes] = {}
        self.messages: dict[int, tuple[str, bytes, int]] = {}
        self.asked: set[object] = set()
        self.fetched: set[object] = set()

    def fetch_what_was_asked(self) -> None:
        self.fetched |= self.asked
        self.asked.clear()

    def forget(self) -> None:
        """Forget the data that was fetched."""
        self.fetched.clear()

    def _answer(self, key: object, answer: Callable[[], Answer]) -> Answer | NotYet:
        if key in self.fetched:
            return answer()
        self.asked.add(key)
        return NOT_YET

    def covers(self, topic: str) -> bool:
        return topic.startswith(f"{TOPICS.base}/orders/")

    def get(self, topic: str) -> bytes | NotYet | None:
        return self._answer(topic, lambda: self.statuses.get(topic))

    def page(self, topic_filter: str, after: str) -> Page | NotYet:
        return self._answer((topic_filter, after), lambda: Page(sorted(self.statuses), None))

    def fetch(self, positions: Sequence[int]) -> dict[int, tuple[str, bytes, int]] | NotYet:
        return self._answer(tuple(positions), lambda: {p: self.messages[p] for p in positions if p in self.messages})

    def young_from(self, before_ms: int) -> int | NotYet:
        return NOT_YET


class Site:
    """A door whose changes are committed at once, in front of a store that answers later."""

    is_full = is_idle = store_failing = False

    def __init__(self, **limits: Any) -> None:
        self.store = LateStore()
        self.now_s = 0.0
        self.door = FrontDoor(
            decoder=AmqttDecoder(),
            sink=self,
            limits=DoorLimits(recent_bytes_max=0, **limits),
            now_ms=lambda: NOW_MS,
            now_s=lambda: self.now_s,
            authenticate=lambda client, connect: client.authenticated(IDENTITIES["desk"]),
            in_open_job=lambda courier, order: False,
            stored=StoreView(self.store, self.store),
        )

    def offer(self, incoming: Incoming, acknowledge: Callable[[bytes], None]) -> None:
        raise AssertionError("no client publishes here")

    def change(self, change: Change) -> None:
        result: object = None
        if isinstance(change, OpenSession):
            result = 0 if change.clean else 1
        elif isinstance(change, HandOver):
            result = tuple(self._log(message) for message in change.messages)
        change.done(result)

    def _log(self, message: Message) -> int:
        pos = len(self.store.messages) + 1
        self.store.messages[pos] = (message.topic, message.payload, message.qos)
        return pos

    def publish(self, topic: str, payload: bytes, *, is_logged: bool) -> None:
        """A status that was committed."""
        message = Message(topic, payload, 1, True)
        self.store.statuses[topic] = payload
        self.door.publish(message._replace(pos=self._log(message)) if is_logged else message)

    def fetch(self) -> bool:
        """The store fetches what it was asked for, and notifies the door. Returns False if it was not asked."""
        was_asked = bool(self.store.asked)
        self.store.fetch_what_was_asked()
        self.door.ask_again()
        return was_asked

    def settle(self) -> int:
        """How often the store had to fetch until there were no more questions."""
        for times in range(100):
            if not self.fetch():
                return times
        raise AssertionError("the store is asked for ever")


class Subscriber:
    """A client that acknowledges the messages that it is sent."""

    def __init__(self, site: Site, *, clean: bool) -> None:
        self.connection = Connection(site.door, "10.0.0.1:1", lambda connection: None)
        self.connection.receive(connect_packet("desk", clean=clean))
        (first, body), *self._unheard = self._packets()
        assert first >> 4 == v311.CONNACK
        self.code = body[1]

    def subscribe(self, qos: int) -> None:
        self.connection.receive(subscribe_packet([(ORDERS, qos)]))

    def heard(self, *, answers: bool = True) -> list[tuple[str, bytes]]:
        """Topic and payload of the messages since the last call."""
        return [(topic, payload) for topic, payload, _ in self.heard_with_dup(answers=answers)]

    def heard_with_dup(self, *, answers: bool = True) -> list[tuple[str, bytes, bool]]:
        found = []
        unheard, self._unheard = self._unheard, []
        for first, body in unheard + self._packets():
            if first >> 4 != v311.PUBLISH:
                continue
            end = 2 + int.from_bytes(body[:2], "big")
            qos = first >> 1 & 3
            found.append((body[2:end].decode(), body[end + 2 * bool(qos) :], bool(first & 8)))
            if qos and answers:
                self.connection.receive(v311.PUBACK_HEAD + body[end : end + 2])
        return found

    def _packets(self) -> list[tuple[int, bytes]]:
        data, at, found = self.connection.take_output(), 0, []
        while at < len(data):
            header = v311.read_header(data, at)
            assert header is not None
            found.append((header.first, data[header.start : header.end]))
            at = header.end
        return found


@pytest.fixture
def site() -> Site:
    made = Site()
    made.store.statuses = {STATUS: b"packed", OTHER: b"created"}
    return made


BOTH = [(STATUS, b"packed"), (OTHER, b"created")]
KINDS = pytest.mark.parametrize(("clean", "qos"), [(True, 0), (True, 1), (False, 0), (False, 1)], ids=["clean 0", "clean 1", "persistent 0", "persistent 1"])


@KINDS
def test_a_new_subscriber_gets_each_retained_message_once_when_the_store_has_it(site: Site, *, clean: bool, qos: int) -> None:
    desk = Subscriber(site, clean=clean)
    desk.subscribe(qos)
    assert desk.heard() == []
    got = []
    while site.fetch():
        got += desk.heard()
    assert got == BOTH
    site.door.ask_again()
    assert desk.heard() == []
    assert [s.waiting for s in site.door.sessions] == [0]


@KINDS
def test_what_is_published_meanwhile_is_not_sent_twice(site: Site, *, clean: bool, qos: int) -> None:
    desk = Subscriber(site, clean=clean)
    desk.subscribe(qos)
    site.publish(STATUS, b"loaded", is_logged=not clean)
    site.settle()
    assert sorted(desk.heard()) == [(STATUS, b"loaded"), (OTHER, b"created")]


@KINDS
def test_a_store_that_tells_nothing_is_asked_again_after_a_while(site: Site, *, clean: bool, qos: int) -> None:
    desk = Subscriber(site, clean=clean)
    desk.subscribe(qos)
    for _ in range(4):
        site.store.fetch_what_was_asked()
        site.now_s += HOUSEKEEPING_S
        site.door.tick()
    assert desk.heard() == BOTH


def test_a_client_that_left_is_not_waited_for(site: Site) -> None:
    desk = Subscriber(site, clean=True)
    desk.subscribe(1)
    desk.connection.lost()
    site.settle()
    assert (desk.heard(), site.door.sessions) == ([], [])


def test_what_waits_in_the_log_comes_in_its_order_when_the_store_has_it(site: Site) -> None:
    desk = Subscriber(site, clean=False)
    desk.subscribe(1)
    site.settle()
    assert desk.heard() == BOTH
    desk.connection.lost()
    for number in range(5):
        site.publish(STATUS, b"%d" % number, is_logged=True)
    desk = Subscriber(site, clean=False)
    assert (desk.code, desk.heard()) == (ConnectCode.ACCEPTED, [])
    assert site.settle() > 0
    assert desk.heard() == [(STATUS, b"%d" % number) for number in range(5)]


def test_a_client_whose_messages_in_flight_are_not_there_yet_comes_again_and_gets_them_once_more(site: Site) -> None:
    desk = Subscriber(site, clean=False)
    desk.subscribe(1)
    site.settle()
    assert desk.heard() == BOTH
    for number in range(3):
        site.publish(STATUS, b"%d" % number, is_logged=True)
    assert len(desk.heard(answers=False)) == 3
    desk.connection.lost()
    refused = Subscriber(site, clean=False)
    assert (refused.code, refused.connection.state) == (ConnectCode.SERVER_UNAVAILABLE, State.CLOSED)
    assert site.fetch()
    desk = Subscriber(site, clean=False)
    assert desk.code == ConnectCode.ACCEPTED
    assert desk.heard_with_dup() == [(STATUS, b"%d" % number, True) for number in range(3)]
    assert site.settle() == 0
    assert [(s.in_flight, s.waiting) for s in site.door.sessions] == [(0, 0)]


def test_a_status_that_was_handed_over_and_replaced_while_it_waited_is_not_sent_late() -> None:
    site = Site(window=1)
    site.store.statuses = {STATUS: b"packed", OTHER: b"created"}
    desk = Subscriber(site, clean=False)
    desk.subscribe(1)
    site.settle()
    assert desk.heard(answers=False) == BOTH[:1], "the window is full, the other waits"
    site.store.statuses[OTHER] = b"paid"
    site.store.forget()
    desk.connection.receive(v311.PUBACK_HEAD + b"\0\1")
    assert desk.heard() == [], "nothing is sent before the store has said whether it is still so"
    site.settle()
    assert desk.heard() == []
    assert [(s.in_flight, s.waiting) for s in site.door.sessions] == [(0, 0)]


def test_and_one_that_was_not_replaced_is_sent_once() -> None:
    site = Site(window=1)
    site.store.statuses = {STATUS: b"packed", OTHER: b"created"}
    desk = Subscriber(site, clean=False)
    desk.subscribe(1)
    site.settle()
    assert desk.heard(answers=False) == BOTH[:1]
    site.store.forget()
    desk.connection.receive(v311.PUBACK_HEAD + b"\0\1")
    assert desk.heard() == []
    site.settle()
    assert desk.heard() == BOTH[1:]
    assert [(s.in_flight, s.waiting) for s in site.door.sessions] == [(0, 0)]
