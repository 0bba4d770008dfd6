"""The events of a device, each until it is acknowledged and answered: what is sent, what is sent again, and which receipt holds."""

from __future__ import annotations

from collections import Counter, deque
from hashlib import sha256
from typing import Final

from devices.protocol import encoding
from devices.protocol.bridge_messages import Receipt
from devices.protocol.vocabulary import EventType
from firmware_sim.firmware.actions import Publish
from firmware_sim.firmware.flash import Flash, Stored
from firmware_sim.firmware.machine import NEWEST_VERSION, Machine

WINDOW: Final = 16
"""Events in flight at once."""
FLASH_EVENTS_MAX: Final = 10_000
"""Events that flash holds; nothing more is scanned while it is full."""
ANSWER_PATIENCE_MS: Final = 15_000
"""A stored event without a receipt for this long is sent again: its answer was lost, and a resent event gets it once more."""
ACK_PATIENCE_MS: Final = 20_000
"""A publish without its PUBACK for this long: the connection is given up, and everything in flight is sent again on the next one."""


class Outbox:
    """A device's queue, in flash and in flight.

    Args:
        window: events in flight at once.
        events_max: how many events flash holds.
    """

    def __init__(self, machine: Machine, *, window: int, events_max: int) -> None:
        self.flash = Flash()
        self.verdicts: dict[bytes, Receipt] = {}
        self.sent: Counter[EventType] = Counter()
        self.events_max = events_max
        self._machine = machine
        self._window = window
        self._token = 0
        self._unsent: deque[Stored] = deque()
        self._in_flight: dict[int, Stored] = {}

    @property
    def is_settled(self) -> bool:
        """Whether every event is acknowledged and answered."""
        return not self.flash.events and not self.flash.unanswered

    @property
    def has_room(self) -> bool:
        """Whether flash takes another event."""
        return len(self.flash.events) < self.events_max

    def store(self, stored: Stored) -> None:
        """Write an event to flash; seq grows with each."""
        self.flash.last_seq = stored.seq
        self.flash.events[stored.id] = stored
        self._unsent.append(stored)

    # --- in ---------------------------------------------------------------------------------------------------------------

    def take_back(self) -> None:
        """What was in flight when the connection ended may be stored or not: it is sent again, the oldest first."""
        lost = sorted(self._in_flight.values(), key=_by_seq)
        self._in_flight = {}
        self._unsent.extendleft(reversed([s for s in lost if s.id in self.flash.events]))

    def acknowledge(self, token: int) -> bool:
        """The bridge has stored an event: it leaves the queue, and flash too if its answer is known. Returns whether it was still in the queue."""
        stored = self._in_flight.pop(token, None)
        if stored is None or self.flash.events.pop(stored.id, None) is None:
            return False
        if stored.id not in self.verdicts:
            self.flash.unanswered[stored.id] = stored
        return True

    def answer(self, event_id: bytes, receipt: Receipt) -> bool:
        """Take a receipt for an event of this device, the highest `n` of which holds. Returns whether it is new."""
        known = self.verdicts.get(event_id)
        is_mine = known is not None or event_id in self.flash.events or event_id in self.flash.unanswered
        if not is_mine or (known is not None and receipt.n <= known.n):
            return False
        self.verdicts[event_id] = receipt
        self.flash.unanswered.pop(event_id, None)
        return True

    def sent_as(self, digest: bytes | None) -> Stored | None:
        """The event whose payload, as it was sent last, has this digest."""
        sent = (*self._in_flight.values(), *self.flash.events.values(), *self.flash.unanswered.values())
        return next((s for s in sent if s.digest == digest), None)

    # --- out --------------------------------------------------------------------------------------------------------------

    def send(self) -> None:
        """Publish what the window has room for, and what was not answered in time."""
        while self._unsent and len(self._in_flight) < self._window:
            self._publish(self._unsent.popleft())
        for stored in self.flash.unanswered.values():
            if stored.asked_ms + ANSWER_PATIENCE_MS > self._machine.now_ms:
                self._machine.wake_at(stored.asked_ms + ANSWER_PATIENCE_MS)
                return
            self._publish(stored)

    @property
    def overdue_ms(self) -> int | None:
        """When the acknowledgement of the oldest event in flight is overdue; None if nothing is in flight."""
        oldest = next(iter(self._in_flight.values()), None)
        return oldest.asked_ms + ACK_PATIENCE_MS if oldest is not None else None

    def _publish(self, stored: Stored) -> None:
        machine = self._machine
        self._token += 1
        self._in_flight[self._token] = stored
        stored.asked_ms = machine.now_ms
        payload = self._payload(stored)
        stored.digest = sha256(payload).digest()[:8]
        self.sent[stored.type] += 1
        machine.do(Publish(topic=machine.topics.event(machine.device, stored.type), payload=payload, token=self._token, event=stored.id))

    def _payload(self, stored: Stored) -> bytes:
        """The event as this version of the firmware sends it. The bridge ignores a field that it no longer knows, and keeps it."""
        machine = self._machine
        plain = {**stored.plain, "sent_boot": machine.boot, "sent_mono_ms": machine.mono_ms}
        if machine.version < NEWEST_VERSION:
            plain |= {"model": "hh-20"}
            plain.pop("by", None)
        return encoding.encode_json(plain) if machine.version == 1 else encoding.encode_cbor(plain)


def _by_seq(stored: Stored) -> int:
    return stored.seq
