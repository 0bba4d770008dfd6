"""How far a run is, for a caller that wants to show it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from firmware_sim.firmware.base import Firmware
from firmware_sim.firmware.dispatcher import Screen


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """`agreed` counts orders whose status is the expected one, if a screen shows it."""

    sent: int
    acknowledged: int
    answered: int
    orders: int
    agreed: int
    devices: int
    finished: int


class Finishing(Protocol):
    """A device of a run."""

    @property
    def firmware(self) -> Firmware: ...

    @property
    def is_finished(self) -> bool: ...


class Reporter:
    """Compares what a screen shows with what is expected, and reports a run's progress every `every_s` seconds."""

    def __init__(
        self,
        devices: Mapping[str, Finishing],
        screen: Screen | None,
        expected: Mapping[str, str],
        on_progress: Callable[[Progress], None] | None,
        *,
        every_s: float,
    ) -> None:
        self._devices = devices
        self._screen = screen
        self._expected = expected
        self._on_progress = on_progress
        self._every_s = every_s
        self._reported_s = 0.0
        self._agreed: set[str] = set()

    def agreed(self) -> int:
        """How many orders the screen shows as expected. Only what changed is compared again, because there may be very many."""
        if self._screen is None:
            return 0
        statuses = self._screen.statuses
        for order in self._screen.changed & self._expected.keys():
            if statuses[order].state == self._expected[order]:
                self._agreed.add(order)
            else:
                self._agreed.discard(order)
        self._screen.changed.clear()
        return len(self._agreed)

    def report_if_due(self, now_s: float) -> None:
        if self._on_progress is not None and now_s >= self._reported_s + self._every_s:
            self._reported_s = now_s
            self._on_progress(self._progress())

    def report(self) -> None:
        if self._on_progress is not None:
            self._on_progress(self._progress())

    def _progress(self) -> Progress:
        firmwares = [device.firmware for device in self._devices.values()]
        return Progress(
            sent=sum(f.sent.total() for f in firmwares),
            acknowledged=sum(f.acknowledged for f in firmwares),
            answered=sum(len(f.verdicts) for f in firmwares),
            orders=len(self._expected),
            agreed=self.agreed(),
            devices=len(firmwares),
            finished=sum(device.is_finished for device in self._devices.values()),
        )
