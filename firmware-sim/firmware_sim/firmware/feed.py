"""Events at a given pace, whatever the answers: a scan tunnel over a conveyor belt, a shop on its busiest day.

People wait for a beep before they scan on. A belt does not: what it sees goes into flash at once, and the queue shows how far the bridge is behind.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil
from typing import Final

from devices.protocol.bodies import Body
from devices.protocol.vocabulary import EventType
from firmware_sim.firmware.base import Firmware

FRAME_MS: Final = 20
"""A belt's camera, or a shop's outgoing queue, hands over what it has this often."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """An event at `at_ms` of the run."""

    at_ms: float
    type: EventType
    body: Body
    order: str | None = None
    parcel: str | None = None
    code: str | None = None


class Feed(Firmware):
    """Tells what is due, when it is due. `dues` come in the order of their times."""

    def __init__(self, *, site: str, device: str, dues: Iterator[Due], window: int = 256) -> None:
        super().__init__(site=site, device=device, window=window)
        self._dues = dues
        self._next = next(dues, None)
        self._began_ms: int | None = None

    @property
    def is_finished(self) -> bool:
        return self._next is None and self.is_settled

    def act(self) -> None:
        if self._began_ms is None:
            self._began_ms = self.now_ms
        while self._next is not None:
            due = self._next
            due_ms = self._began_ms + FRAME_MS * ceil(due.at_ms / FRAME_MS)
            if due_ms > self.now_ms:
                self.wake_at(due_ms)
                return
            if not self.has_room:
                return  # the next acknowledgement makes room
            self.record(due.type, due.body, order=due.order, parcel=due.parcel, code=due.code)
            self._next = next(self._dues, None)
