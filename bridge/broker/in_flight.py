"""Messages on their way to a client at QoS 1 and 2: sent, and not acknowledged to the end (MQTT 3.1.1 §4.3, §4.4).

Every message that a session is owed has an index, one more than the one before it; the packet id is 1 + index mod 65535.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Mapping
from enum import IntEnum
from typing import Final

from bridge.broker.codec.outgoing import Outgoing
from bridge.broker.codec.reasons import ProtocolError
from bridge.broker.codec.v311 import pubrel
from bridge.broker.queues import RETAIN, Owed

PACKET_IDS: Final = 65_535
_RELEASED: Final = 16
"""A bit beside those of the queues, in the rows of a session."""


class Flight(IntEnum):
    """Where a message in flight stands. RECEIVED: PUBREC came, and is not committed yet. RELEASED: from now on only PUBREL is sent (§4.3.3)."""

    SENT = 0
    RECEIVED = 1
    RELEASED = 2


class Slot:
    """A message in flight."""

    __slots__ = ("flight", "owed")

    def __init__(self, owed: Owed, flight: Flight = Flight.SENT) -> None:
        self.owed = owed
        self.flight = flight


class InFlight:
    """What one session has in flight: `slots` by index, oldest first. `next_index` is the index of the message that is sent next."""

    __slots__ = ("next_index", "slots")

    def __init__(self) -> None:
        self.slots: dict[int, Slot] = {}
        self.next_index = 0

    # An id that is not known was settled before: that is no fault. What is in flight is acknowledged in its QoS's own way, or not at all.

    def puback(self, packet_id: int) -> Owed | None:
        """What a PUBACK ends, if it is in flight."""
        slots = self.slots
        if not slots:
            return None
        # As in `_index_of`; a client that reads messages at QoS 1 acknowledges each of them.
        oldest = next(iter(slots))
        index = oldest + (packet_id - 1 - oldest) % PACKET_IDS
        slot = slots.get(index)
        if slot is None:
            return None
        if slot.owed.qos != 1:
            raise ProtocolError("PUBACK for a message at QoS 2 (4.3.3)")
        del slots[index]
        return slot.owed

    def pubcomp(self, packet_id: int) -> Owed | None:
        """What a PUBCOMP ends, if it is in flight."""
        index = self._index_of(packet_id)
        if index is None:
            return None
        if self.slots[index].flight is not Flight.RELEASED:
            raise ProtocolError("PUBCOMP where no PUBREL was sent (4.3.3)")
        return self.slots.pop(index).owed

    def pubrec(self, packet_id: int, *, is_stored_first: bool) -> bool:
        """Whether PUBREL answers a PUBREC at once, as also for an id that is not known, so that the client can finish (§4.3.3). With `is_stored_first` it
        follows once the session's row is committed, see `release`."""
        index = self._index_of(packet_id)
        if index is None:
            return True
        slot = self.slots[index]
        if slot.owed.qos != 2:
            raise ProtocolError("PUBREC for a message at QoS 1 (4.3.2)")
        if is_stored_first and slot.flight is not Flight.RELEASED:
            slot.flight = Flight.RECEIVED
            return False
        slot.flight = Flight.RELEASED
        return True

    def _index_of(self, packet_id: int) -> int | None:
        if not self.slots:
            return None
        oldest = next(iter(self.slots))
        index = oldest + (packet_id - 1 - oldest) % PACKET_IDS
        return index if index in self.slots else None

    def received(self) -> list[int]:
        """Indexes whose PUBREC came and is not committed yet."""
        return [index for index, slot in self.slots.items() if slot.flight is Flight.RECEIVED]

    def release(self, received: Iterable[int]) -> list[bytes]:
        """PUBREC is committed for these: the PUBREL packets that may go out now."""
        released = []
        for index in received:
            slot = self.slots.get(index)
            if slot is not None and slot.flight is Flight.RECEIVED:
                slot.flight = Flight.RELEASED
                released.append(pubrel(1 + index % PACKET_IDS))
        return released

    # --- after a reconnect ------------------------------------------------------------------------------------------------

    def unread(self) -> list[int]:
        """Places in the log of what is to be sent again and is not at hand."""
        return [s.owed.pos for s in self.slots.values() if s.flight is Flight.SENT and s.owed.message is None]

    def put_in(self, found: Mapping[int, Outgoing]) -> None:
        """Have at hand what was read."""
        for slot in self.slots.values():
            if slot.owed.message is None:
                slot.owed = slot.owed._replace(message=found.get(slot.owed.pos))

    def send_again(self, write: Callable[[bytes], None]) -> list[Owed]:
        """Write again what was in flight, in its order, with DUP (§4.4). What is gone from the log is in flight no more, and is returned."""
        gone = []
        for index, slot in list(self.slots.items()):
            if slot.flight is not Flight.SENT:
                if slot.flight is Flight.RELEASED:
                    write(pubrel(1 + index % PACKET_IDS))
                continue
            owed = slot.owed
            if owed.message is None:
                gone.append(self.slots.pop(index).owed)
                continue
            write(owed.message.wire(owed.qos, 1 + index % PACKET_IDS, retain=owed.retain, dup=True))
            slot.owed = owed._replace(message=None)
        return gone

    # --- in the session's row ---------------------------------------------------------------------------------------------

    def positions(self) -> list[int]:
        """Places in the log of what is in flight."""
        return [s.owed.pos for s in self.slots.values()]

    def as_stored(self) -> bytes:
        """The slots as the session's row has them: index, place and bits of each."""
        numbers = array("q")
        for index, slot in self.slots.items():
            # RECEIVED is written as RELEASED: PUBREL goes out once the row is committed.
            released = _RELEASED if slot.flight is not Flight.SENT else 0
            numbers.extend((index, slot.owed.pos, slot.owed.qos | (RETAIN if slot.owed.retain else 0) | released))
        return numbers.tobytes()

    def restore(self, stored: bytes, next_index: int) -> None:
        """Take over what `as_stored` wrote."""
        self.next_index = next_index
        numbers = array("q")
        numbers.frombytes(stored)
        for at in range(0, len(numbers), 3):
            index, pos, bits = numbers[at : at + 3]
            owed = Owed(None, bits & 3, bool(bits & RETAIN), pos)
            self.slots[index] = Slot(owed, Flight.RELEASED if bits & _RELEASED else Flight.SENT)
