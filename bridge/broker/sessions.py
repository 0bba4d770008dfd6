"""Sessions: what a client is subscribed to, and what is on its way to it (MQTT 3.1.1 §4.1, §4.3, §4.4).

A session holds bytes and numbers, no socket: `wire` is set while the client is there. Every QoS 1 and 2 message that a session is owed has an index, one more
than the one before it; the packet id is 1 + index mod 65535. What is in flight stands in slots, what waits behind it in a queue: for a clean session in
memory, for a persistent one as places in the message log, whose payloads are read when their turn comes. Whoever reads slowly costs its own queue and nobody
else's.
"""

from __future__ import annotations

from array import array
from collections import OrderedDict, deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Final, NamedTuple, Protocol

from bridge.broker.packets import Outgoing, ProtocolError, pubrel
from bridge.broker.queues import RETAIN, Log, LogQueue, Owed, Queue
from bridge.broker.retained import Retained
from bridge.domain.access import Identity
from bridge.ingest.items import SessionProgress
from bridge.ingest.ports import StoreUnavailable
from bridge.ingest.sessions import SessionRow

PACKET_IDS: Final = 65_535
_RELEASED: Final = 16
"""A bit beside those of the queues, in the rows of a session."""
_DROPPED_AT_ONCE: Final = 16
"""Of a full queue whose client is there, one part in so many is dropped at once."""


class Wire(Protocol):
    """The connection of a session's client."""

    @property
    def has_room(self) -> bool:
        """Whether the client reads as fast as it is written to."""
        ...

    def write(self, data: bytes) -> None: ...


class Unstored(NamedTuple):
    """What of a session waits until its row is committed."""

    session: Session
    received: list[int]
    drops: int


class Flight(IntEnum):
    """Where a message in flight stands. RECEIVED: PUBREC came, and is not committed yet. RELEASED: from now on only PUBREL is sent (§4.3.3)."""

    SENT = 0
    RECEIVED = 1
    RELEASED = 2


class Received(IntEnum):
    """Where a QoS 2 message of the client's stands. RELEASING: PUBREL came, and is not committed yet; one that comes again asks for nothing more."""

    OFFERED = 0
    STORED = 1
    RELEASING = 2


class _Slot:
    """A message in flight."""

    __slots__ = ("flight", "owed")

    def __init__(self, owed: Owed, flight: Flight = Flight.SENT) -> None:
        self.owed = owed
        self.flight = flight


_ONCE: Final = Owed(None, 1)
"""What is in flight to a clean session, nearly always."""


@dataclass(slots=True, eq=False)
class Todo:
    """Retained messages that a new subscription is still to get: topics in their order, `place` is the next, `after` where the projection's go on (None where
    there are no more). What was published after `as_of` comes anyway."""

    topic_filter: str
    qos: int
    topics: Sequence[str]
    as_of: int
    after: str | None = None
    place: int = 0

    @property
    def is_done(self) -> bool:
        return self.place >= len(self.topics) and self.after is None


class Session:
    """One client's session. It outlives the connection unless it is clean.

    Args:
        queue: where messages wait.
        window: QoS 1 and 2 messages in flight at a time.
        retained: the retained messages.
        sid: its number in the store; 0 for a clean session.
        log: the message log of a persistent session.
    """

    def __init__(
        self,
        identity: Identity,
        client_id: str,
        *,
        queue: Queue,
        window: int,
        retained: Retained,
        sid: int = 0,
        log: Log | None = None,
    ) -> None:
        self.identity = identity
        self.client_id = client_id
        self.sid = sid
        self.subscriptions: dict[str, int] = {}
        self.incoming: dict[int, Received] = {}
        """QoS 2 packet ids of the client's that are not free yet."""
        self.asked = 0
        """New filters that are being stored."""
        self.wire: Wire | None = None
        self.queue = queue
        self.todo: deque[Todo] = deque()
        self.handing_over = False
        self.ended = False
        self.dropped = 0
        self.dropped_told = False
        self.lost_while_away = False
        """Whether something was dropped since the client was last here."""
        self.seen_ms = 0
        self._window = window
        self._kept = retained
        self._pages: deque[Todo] = deque()
        self._log = log
        self._retained: OrderedDict[str, tuple[int, int]] = OrderedDict()
        self._slots: dict[int, _Slot] = {}
        self._next_index = 0
        self._drops = self._drops_stored = 0

    @property
    def clean(self) -> bool:
        return not self.sid

    @property
    def waiting(self) -> int:
        """Messages that are not sent yet; of retained ones that are in tables no more than are looked at now."""
        return len(self.queue) + len(self._retained) + len(self._pages)

    @property
    def in_flight(self) -> int:
        return len(self._slots)

    # --- out --------------------------------------------------------------------------------------------------------------

    def deliver(self, message: Outgoing, qos: int, *, retain: bool = False, pos: int = 0) -> None:
        """Send a message, or queue it for when there is room or a connection. QoS 0 is not kept for a client that is away or does not read (§3.1.2.4)."""
        if qos == 0:
            if self.wire is not None:
                if self.wire.has_room:
                    self.wire.write(message.wire(0, 0, retain=retain))
                else:
                    self.dropped += 1
            return
        if not len(self.queue) and self._may_send():
            if retain:
                self._send_owed(message, Owed(None, qos, retain, pos))
            else:
                self._send(message, Owed(None, qos, False, pos) if pos or qos != 1 else _ONCE)
        else:
            if self.queue.is_full:
                self._make_room()
            self.queue.push(Owed(message, qos, retain, pos))
        if self._log is not None:
            self._log.changed(self)

    def _make_room(self) -> None:
        """Let go of the oldest; while the client is there of some at once, because each time it must be stored before anything more is sent."""
        if self.wire is None or self._log is None:
            self._drop()
        else:
            self.give_up()

    def give_up(self) -> None:
        """Let go of a part of what waits, the oldest first."""
        for _ in range(-(-len(self.queue) // _DROPPED_AT_ONCE)):
            self._drop()

    def _drop(self) -> None:
        self._next_index += 1
        self.dropped += 1
        self.lost_while_away |= self.wire is None
        pos = self.queue.drop()
        if self._log is not None:
            # After a crash what was dropped must not come back behind what was sent since.
            self._drops += 1
            self._log.finished(pos)
            self._log.changed(self, now=self.wire is not None)

    def expire(self, young_from: int) -> None:
        """Let go of what has waited for too long: everything before a place in the log."""
        assert isinstance(self.queue, LogQueue)
        while len(self.queue) and self.queue.first_pos < young_from:
            self._drop()

    def owe_retained(self, topics: Iterable[tuple[str, int]], as_of: int) -> None:
        """Retained topics, with the QoS of their subscription, to be sent as the client reads, each once; they are read when they are sent."""
        self._retained.update((topic, (qos, as_of)) for topic, qos in topics)

    def owe_pages(self, todo: Todo) -> None:
        """The same for those that are in tables: `todo.topics` and what comes behind them."""
        self._pages = deque(t for t in self._pages if t.topic_filter != todo.topic_filter)
        self._pages.append(todo)

    def _turn_page(self) -> None:
        todo = self._pages[0]
        self.owe_retained([(topic, todo.qos) for topic in todo.topics], todo.as_of)
        if todo.after is None:
            self._pages.popleft()
        else:
            todo.topics, todo.after = self._kept.page(todo.topic_filter, todo.after)

    @property
    def has_more(self) -> bool:
        """Whether something waits and may be sent: nobody else comes back to it where nothing is in flight whose acknowledgement would."""
        return self.waiting > 0 and self._may_send()

    def _may_send(self) -> bool:
        slots = self._slots
        if self.wire is None or len(slots) >= self._window or not self.wire.has_room or self._drops != self._drops_stored:
            return False
        # Whoever never acknowledges one message must not meet its packet id again.
        return not slots or self._next_index - next(iter(slots)) < PACKET_IDS

    def pump(self) -> None:
        """Fill the window from what waits; of what needs no acknowledgement, one window's worth at a time."""
        portion = self._window
        while (self._retained or self._pages) and self._may_send():
            if not portion:
                return
            portion -= 1
            if not self._retained:
                self._turn_page()
                continue
            topic, (qos, as_of) = next(iter(self._retained.items()))
            try:
                message = self._kept.get(topic)
            except StoreUnavailable:
                return
            del self._retained[topic]
            if message is None or message.order > as_of:
                continue
            if min(qos, message.qos) and not self._log:
                self._send(message, Owed(None, min(qos, message.qos), True))
            else:
                assert self.wire is not None
                self.wire.write(message.wire(0, 0, retain=True))
        while len(self.queue) and self._may_send():
            owed = self.queue.pop()
            if owed is None:
                return
            self._send_owed(owed.message, owed)

    def _send_owed(self, message: Outgoing | None, owed: Owed) -> None:
        """Send what has waited, unless nothing is left of it."""
        if message is None or (owed.retain and owed.pos and self._is_stale(message)):
            self._next_index += 1
            self._finish(owed)
        else:
            self._send(message, owed if owed.message is None else owed._replace(message=None))

    def _send(self, message: Outgoing, owed: Owed) -> None:
        assert self.wire is not None
        index = self._next_index
        self._next_index = index + 1
        # The payload is not kept: after a reconnect it is read again.
        self._slots[index] = _Slot(owed)
        self.wire.write(message.wire(owed.qos, 1 + index % PACKET_IDS, retain=owed.retain, dup=owed.dup))

    def _is_stale(self, message: Outgoing) -> bool:
        """Whether a retained message was replaced while it waited: the newer one was owed too, and went before it."""
        try:
            now = self._kept.get(message.topic)
        except StoreUnavailable:
            return False  # an old status too many, with its old rev, does less harm than one too few
        return now is None or now.payload != message.payload

    def _finish(self, owed: Owed) -> None:
        if self._log is not None:
            if owed.pos:
                self._log.finished(owed.pos)
            self._log.changed(self)

    # --- acknowledgements -------------------------------------------------------------------------------------------------

    # An id that is not known was settled before: that is no fault. What is in flight is acknowledged in its QoS's own way, or not at all.

    def on_puback(self, packet_id: int) -> None:
        index = self._index_of(packet_id)
        if index is None:
            return
        if self._slots[index].owed.qos != 1:
            raise ProtocolError("PUBACK for a message at QoS 2 (4.3.3)")
        self._finish(self._slots.pop(index).owed)

    def on_pubcomp(self, packet_id: int) -> None:
        index = self._index_of(packet_id)
        if index is None:
            return
        if self._slots[index].flight is not Flight.RELEASED:
            raise ProtocolError("PUBCOMP where no PUBREL was sent (4.3.3)")
        self._finish(self._slots.pop(index).owed)

    def on_pubrec(self, packet_id: int) -> bytes:
        """The PUBREL that answers a PUBREC, also for an id that is not known, so that the client can finish (§4.3.3); empty while it is to be stored first."""
        index = self._index_of(packet_id)
        slot = self._slots[index] if index is not None else None
        if slot is None:
            return pubrel(packet_id)
        if slot.owed.qos != 2:
            raise ProtocolError("PUBREC for a message at QoS 1 (4.3.2)")
        if self._log is not None and slot.flight is not Flight.RELEASED:
            slot.flight = Flight.RECEIVED
            self._log.changed(self, now=True)
            return b""
        slot.flight = Flight.RELEASED
        return pubrel(packet_id)

    def unstored(self) -> Unstored | None:
        """What waits for the session's row: indexes whose PUBREC came, and how many messages were dropped; None where nothing does."""
        received = [index for index, slot in self._slots.items() if slot.flight is Flight.RECEIVED]
        return Unstored(self, received, self._drops) if received or self._drops != self._drops_stored else None

    def stored(self, unstored: Unstored) -> None:
        """The row is committed: PUBREL may go out, and so may what was behind a dropped message."""
        self._drops_stored = unstored.drops
        for index in unstored.received:
            slot = self._slots.get(index)
            if slot is not None and slot.flight is Flight.RECEIVED:
                slot.flight = Flight.RELEASED
                if self.wire is not None:
                    self.wire.write(pubrel(1 + index % PACKET_IDS))

    def _index_of(self, packet_id: int) -> int | None:
        if not self._slots:
            return None
        oldest = next(iter(self._slots))
        index = oldest + (packet_id - 1 - oldest) % PACKET_IDS
        return index if index in self._slots else None

    # --- coming and going -------------------------------------------------------------------------------------------------

    def read_in_flight(self) -> bool:
        """Have at hand what is to be sent again; False where the log can't be read now, which is no reason to let go of anything."""
        missing = [s.owed.pos for s in self._slots.values() if s.flight is Flight.SENT and s.owed.message is None]
        found = self._log.read(missing) if missing and self._log is not None else {}
        if found is None:
            return False
        for slot in self._slots.values():
            if slot.owed.message is None:
                slot.owed = slot.owed._replace(message=found.get(slot.owed.pos))
        return True

    def attach(self, wire: Wire) -> None:
        """The client is there: send again what was in flight, in its order, with DUP (§4.4)."""
        self.wire = wire
        self.seen_ms = 0
        self.lost_while_away = False
        if self._log is not None:
            self._log.changed(self, now=self._drops != self._drops_stored)
        for index, slot in list(self._slots.items()):
            if slot.flight is not Flight.SENT:
                if slot.flight is Flight.RELEASED:
                    wire.write(pubrel(1 + index % PACKET_IDS))
                continue
            message = slot.owed.message
            if message is None:
                self._finish(self._slots.pop(index).owed)
                continue
            wire.write(message.wire(slot.owed.qos, 1 + index % PACKET_IDS, retain=slot.owed.retain, dup=True))
            slot.owed = slot.owed._replace(message=None)

    def detach(self, now_ms: int) -> None:
        """The client is gone. Of a persistent session only places stay in memory."""
        self.wire = None
        self.seen_ms = now_ms
        self._retained.clear()
        self._pages.clear()
        if self._log is not None:
            assert isinstance(self.queue, LogQueue)
            self.queue.forget_ahead()
            self._log.changed(self)

    def owed_positions(self) -> list[int]:
        """Every place of the log that the session still needs."""
        assert isinstance(self.queue, LogQueue)
        return [s.owed.pos for s in self._slots.values()] + self.queue.positions()

    # --- the row in the store ---------------------------------------------------------------------------------------------

    def progress(self) -> SessionProgress:
        """The session's row as of now."""
        assert isinstance(self.queue, LogQueue)
        assert self._log is not None
        slots = array("q")
        for index, slot in self._slots.items():
            # RECEIVED is written as RELEASED: PUBREL goes out once the row is committed.
            released = _RELEASED if slot.flight is not Flight.SENT else 0
            slots.extend((index, slot.owed.pos, slot.owed.qos | (RETAIN if slot.owed.retain else 0) | released))
        next_pos = self.queue.first_pos if len(self.queue) else self._log.last_pos + 1
        return SessionProgress(next_pos, self._next_index, slots.tobytes(), self.dropped, self.seen_ms, self.sid)

    def restore(self, row: SessionRow) -> list[int]:
        """Take over a stored row; the places in the log of what is in flight."""
        self._next_index = row.next_index
        self.dropped = row.dropped
        self.dropped_told = row.dropped > 0
        self.seen_ms = row.seen_ms
        numbers = array("q")
        numbers.frombytes(row.slots)
        for at in range(0, len(numbers), 3):
            index, pos, bits = numbers[at : at + 3]
            owed = Owed(None, bits & 3, bool(bits & RETAIN), pos)
            self._slots[index] = _Slot(owed, Flight.RELEASED if bits & _RELEASED else Flight.SENT)
        return [s.owed.pos for s in self._slots.values()]
