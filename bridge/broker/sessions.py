"""Sessions: what a client is subscribed to, and what is on its way to it (MQTT 3.1.1 §4.1, §4.3, §4.4).

A session holds bytes and numbers, no socket: `wire` is set while the client is there. What was sent at QoS 1 or 2 is in flight (`in_flight.py`), what waits
behind it is in a queue: for a clean session in memory, for a persistent one as places in the message log, whose payloads are read when their turn comes. A
client that reads slowly costs its own queue and no other client's.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from enum import IntEnum
from typing import Final, NamedTuple, Protocol

from bridge.broker.codec.outgoing import Outgoing
from bridge.broker.codec.v311 import pubrel
from bridge.broker.in_flight import PACKET_IDS, InFlight, Slot
from bridge.broker.queues import LogQueue, LogReader, Owed, Queue
from bridge.broker.retained import Retained
from bridge.broker.retained_owed import RetainedOwed, Todo
from bridge.domain.access import Identity
from bridge.ingest.items import SessionProgress
from bridge.ingest.ports import NOT_YET
from bridge.ingest.sessions import SessionRow

_DROPPED_AT_ONCE: Final = 16
"""Of a full queue whose client is there, one part in so many is dropped at once."""


class Output(Protocol):
    """The connection of a session's client, to which the session writes."""

    @property
    def has_room(self) -> bool:
        """Whether the client reads as fast as it is written to."""
        ...

    def write(self, data: bytes) -> None: ...


class Log(LogReader, Protocol):
    """The message log, as sessions need it."""

    @property
    def last_pos(self) -> int:
        """The newest place whose message was published to the sessions."""
        ...

    def finished(self, pos: int) -> None:
        """A session is no longer owed the message at a place."""
        ...

    def changed(self, session: Session, *, now: bool = False) -> None:
        """A session's row is to be written: soon, or now because a packet waits for it."""
        ...


class Unstored(NamedTuple):
    """What of a session waits until its row is committed."""

    session: Session
    received: Sequence[int]
    drops: int


class Received(IntEnum):
    """Where a QoS 2 message of the client's stands. RELEASING: PUBREL came, and is not committed yet; one that comes again asks for nothing more."""

    OFFERED = 0
    STORED = 1
    RELEASING = 2


_ONCE: Final = Owed(None, 1)
"""What is in flight to a clean session, nearly always."""


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
        self.clean = not sid
        self.subscriptions: dict[str, int] = {}
        self.incoming: dict[int, Received] = {}
        """QoS 2 packet ids of the client's that are not free yet."""
        self.asked = 0
        """New filters that are being stored."""
        self.wire: Output | None = None
        self.queue = queue
        self.retained_owed = RetainedOwed(retained)
        """Retained messages that are not handed over through the log."""
        self.todo: deque[Todo] = deque()
        """Retained messages that are, and were not yet."""
        self.handing_over = False
        self.ended = False
        self.dropped = 0
        self.dropped_told = False
        self.lost_while_away = False
        """Whether something was dropped since the client was last here."""
        self.seen_ms = 0
        self._window = window
        self._kept = retained
        self._log = log
        self._flight = InFlight()
        self._drops = self._drops_stored = 0

    @property
    def waiting(self) -> int:
        """Messages that are not sent yet; of retained ones that are in tables no more than are looked at now."""
        owed = self.retained_owed
        return len(self.queue) + len(owed.topics) + len(owed.pages)

    @property
    def in_flight(self) -> int:
        return len(self._flight.slots)

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
        is_sent = False
        if not len(self.queue) and self._may_send():
            if retain:
                is_sent = self._send_owed(message, Owed(None, qos, retain, pos))
            else:
                self._send(message, Owed(None, qos, False, pos) if pos or qos != 1 else _ONCE)
                is_sent = True
        if not is_sent:
            if self.queue.is_full:
                # While a persistent client is there some are let go of at once, because each time it must be stored before anything more is sent.
                if self.wire is None or self._log is None:
                    self._drop()
                else:
                    self.give_up()
            self.queue.push(Owed(message, qos, retain, pos))
        if self._log is not None:
            self._log.changed(self)

    def give_up(self) -> None:
        """Let go of a part of what waits, the oldest first."""
        for _ in range(-(-len(self.queue) // _DROPPED_AT_ONCE)):
            self._drop()

    def _drop(self) -> None:
        self._flight.next_index += 1
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

    @property
    def has_more(self) -> bool:
        """Whether something waits and may be sent, although no acknowledgement will come that would bring it."""
        return self.waiting > 0 and self._may_send()

    def _may_send(self) -> bool:
        flight = self._flight
        slots = flight.slots
        if self.wire is None or len(slots) >= self._window or not self.wire.has_room or self._drops != self._drops_stored:
            return False
        # A client that never acknowledges one message must not meet its packet id again.
        return not slots or flight.next_index - next(iter(slots)) < PACKET_IDS

    def pump(self) -> bool:
        """Fill the window from what waits; of what needs no acknowledgement, one window's worth at a time. False if the store can't say yet what is next."""
        owed = self.retained_owed
        portion = self._window
        while (owed.topics or owed.pages) and self._may_send():
            if not portion:
                return True
            portion -= 1
            found = owed.take()
            if found is NOT_YET:
                return False
            if found is not None:
                message, qos = found
                if qos and self._log is None:
                    self._send(message, Owed(None, qos, True))
                else:
                    assert self.wire is not None
                    self.wire.write(message.wire(0, 0, retain=True))
        queue = self.queue
        while len(queue) and self._may_send():
            first = queue.pop()
            if first is NOT_YET:
                return False
            if not self._send_owed(first.message, first):
                queue.put_back(first)
                return False
        return True

    def _send_owed(self, message: Outgoing | None, owed: Owed) -> bool:
        """Send what has waited, unless nothing is left of it. False if the store can't say yet."""
        if message is not None and owed.retain and owed.pos:
            # One that was replaced while it waited is not sent: the newer one was owed too, and went before it.
            is_current = self._kept.is_current(message)
            if is_current is NOT_YET:
                return False
            if not is_current:
                message = None
        if message is None:
            self._flight.next_index += 1
            self._finish(owed)
        else:
            self._send(message, owed if owed.message is None else owed._replace(message=None))
        return True

    def _send(self, message: Outgoing, owed: Owed) -> None:
        assert self.wire is not None
        flight = self._flight
        index = flight.next_index
        flight.next_index = index + 1
        # The payload is not kept: after a reconnect it is read again.
        flight.slots[index] = Slot(owed)
        self.wire.write(message.wire(owed.qos, 1 + index % PACKET_IDS, retain=owed.retain, dup=owed.dup))

    def _finish(self, owed: Owed) -> None:
        if self._log is not None:
            if owed.pos:
                self._log.finished(owed.pos)
            self._log.changed(self)

    # --- acknowledgements -------------------------------------------------------------------------------------------------

    def on_puback(self, packet_id: int) -> None:
        owed = self._flight.puback(packet_id)
        if owed is not None:
            self._finish(owed)

    def on_pubcomp(self, packet_id: int) -> None:
        owed = self._flight.pubcomp(packet_id)
        if owed is not None:
            self._finish(owed)

    def on_pubrec(self, packet_id: int) -> bytes:
        """The PUBREL that answers a PUBREC; empty if it is to be stored first."""
        if self._flight.pubrec(packet_id, is_stored_first=self._log is not None):
            return pubrel(packet_id)
        assert self._log is not None
        self._log.changed(self, now=True)
        return b""

    def unstored(self) -> Unstored | None:
        """What waits for the session's row: indexes whose PUBREC came, and how many messages were dropped; None if nothing does."""
        received = self._flight.received()
        return Unstored(self, received, self._drops) if received or self._drops != self._drops_stored else None

    def stored(self, unstored: Unstored) -> None:
        """The row is committed: PUBREL may go out, and so may what was behind a dropped message."""
        self._drops_stored = unstored.drops
        released = self._flight.release(unstored.received)
        if self.wire is not None:
            for packet in released:
                self.wire.write(packet)

    # --- coming and going -------------------------------------------------------------------------------------------------

    def read_in_flight(self) -> bool:
        """Have at hand what is to be sent again. False if the log can't be read yet, which is no reason to let go of anything."""
        unread = self._flight.unread()
        found = self._log.read(unread) if unread and self._log is not None else {}
        if found is NOT_YET:
            return False
        self._flight.put_in(found)
        return True

    def attach(self, wire: Output) -> None:
        """The client is there: send again what was in flight."""
        self.wire = wire
        self.seen_ms = 0
        self.lost_while_away = False
        if self._log is not None:
            self._log.changed(self, now=self._drops != self._drops_stored)
        for gone in self._flight.send_again(wire.write):
            self._finish(gone)

    def detach(self, now_ms: int) -> None:
        """The client is gone. Of a persistent session only places stay in memory."""
        self.wire = None
        self.seen_ms = now_ms
        self.retained_owed.clear()
        if self._log is not None:
            assert isinstance(self.queue, LogQueue)
            self.queue.forget_ahead()
            self._log.changed(self)

    def owed_positions(self) -> list[int]:
        """Every place of the log that the session still needs."""
        assert isinstance(self.queue, LogQueue)
        return self._flight.positions() + self.queue.positions()

    # --- the row in the store ---------------------------------------------------------------------------------------------

    def progress(self) -> SessionProgress:
        """The session's row as of now."""
        assert isinstance(self.queue, LogQueue)
        assert self._log is not None
        next_pos = self.queue.first_pos if len(self.queue) else self._log.last_pos + 1
        flight = self._flight
        return SessionProgress(next_pos, flight.next_index, flight.as_stored(), self.dropped, self.seen_ms, self.sid)

    def restore(self, row: SessionRow) -> list[int]:
        """Take over a stored row; the places in the log of what is in flight."""
        self.dropped = row.dropped
        self.dropped_told = row.dropped > 0
        self.seen_ms = row.seen_ms
        self._flight.restore(row.slots, row.next_index)
        return self._flight.positions()
