"""What all parts of the front door share: limits, clocks, counters, and the way into the pipeline."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from bridge.broker.limits import DoorLimits
from bridge.broker.notices import Notices
from bridge.ingest.items import Acknowledge, Alarm, Change, Incoming
from devices.protocol.vocabulary import AlertCode


class Sink(Protocol):
    """Where accepted messages and changes of sessions go: the ingest pipeline."""

    @property
    def is_full(self) -> bool: ...

    @property
    def is_idle(self) -> bool:
        """Whether everything that was offered is committed and shown."""
        ...

    @property
    def store_failing(self) -> bool:
        """Whether the store can't take writes now."""
        ...

    def offer(self, incoming: Incoming, acknowledge: Acknowledge) -> None: ...

    def change(self, change: Change) -> None: ...


class Counters:
    """What happened at the door since the start."""

    __slots__ = (
        "connections",
        "denied",
        "dropped",
        "evicted",
        "faults",
        "handshakes_failed",
        "protocol_errors",
        "refused",
        "slowed",
        "taken_over",
        "too_large",
        "turned_away",
    )

    def __init__(self) -> None:
        self.connections = self.refused = self.denied = self.protocol_errors = self.dropped = self.turned_away = self.faults = self.evicted = (
            self.handshakes_failed
        ) = self.taken_over = self.too_large = self.slowed = 0

    def plain(self) -> dict[str, int]:
        return {name: getattr(self, name) for name in self.__slots__}


class Shared:
    """See the module.

    Args:
        now_ms: the server's monotonic time, anchored to the wall clock at its start.
        now_s: a monotonic clock for timers.
    """

    def __init__(self, sink: Sink, limits: DoorLimits, now_ms: Callable[[], int], now_s: Callable[[], float]) -> None:
        self.sink = sink
        self.limits = limits
        self.now_ms = now_ms
        self.now_s = now_s
        self.counters = Counters()
        self.notices = Notices(now_s)

    def alarm(self, code: AlertCode, subject: str, text: str, fix: str) -> None:
        """Raise an alert, or, with an empty text, clear it."""
        self.sink.change(Alarm(received_ms=self.now_ms(), code=code.value, subject=subject, text=text, fix=fix))
