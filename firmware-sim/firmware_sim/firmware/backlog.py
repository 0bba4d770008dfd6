"""A device that was without network for long, and comes back with its events in flash: a day in the cellar, or years of history."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from devices.protocol import encoding
from devices.protocol.bodies import Body
from devices.protocol.device_messages import Event
from devices.protocol.vocabulary import EventType
from firmware_sim.firmware.base import Firmware
from firmware_sim.firmware.flash import Stored

BACKLOG_WINDOW: Final = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """An event of long ago, at `at_ms` (ms since 1970 UTC)."""

    id: bytes
    type: EventType
    at_ms: int
    order: str
    parcel: str
    body: Body


class Backlog(Firmware):
    """Sends events of long ago, in their order, with seq from 1. The device has been running since before the first of them, so that its counter dates them.

    Args:
        log, boot: of the device. With the same events they are the same each time.
        speed: how many times faster than history the pauses between events are; 0 for none at all.
        pause_ms_max: the longest pause.
    """

    def __init__(self, *, site: str, device: str, log: bytes, boot: bytes, told: list[Told], speed: float = 0.0, pause_ms_max: int = 50) -> None:
        super().__init__(site=site, device=device, speed=speed or 1.0, window=BACKLOG_WINDOW)
        self.flash.log = log
        self._only_boot = boot
        self._began_ms = min((t.at_ms for t in told), default=0)
        self._told = told
        self._next = 0
        self._due_ms = 0
        self._pause_ms_max = pause_ms_max if speed else 0

    @property
    def is_finished(self) -> bool:
        return self._next == len(self._told) and self.is_settled

    def start_boot(self, booted_ms: int) -> None:
        super().start_boot(self._began_ms)
        self.boot = self._only_boot

    def act(self) -> None:
        while self._next < len(self._told):
            if self.now_ms < self._due_ms:
                self.wake_at(self._due_ms)
                return
            self.outbox.store(Stored(type=self._told[self._next].type, plain=self._plain(self._told[self._next], self._next + 1)))
            self._next += 1
            self._due_ms = self.now_ms + self._pause()

    def _pause(self) -> int:
        if self._next >= len(self._told) or not self._pause_ms_max:
            return 0
        gap_ms = abs(self._told[self._next].at_ms - self._told[self._next - 1].at_ms)
        return min(self._pause_ms_max, self.pause_ms(gap_ms))

    def _plain(self, told: Told, seq: int) -> dict[str, Any]:
        event = Event(
            id=told.id,
            log=self.flash.log,
            seq=seq,
            boot=self._only_boot,
            mono_ms=told.at_ms - self._began_ms,
            at_ms=told.at_ms,
            sent_boot=self.boot,
            sent_mono_ms=0,
            order=told.order,
            parcel=told.parcel,
            body=told.body,
        )
        plain = encoding.plain(event)
        del plain["sent_boot"], plain["sent_mono_ms"]
        return plain
