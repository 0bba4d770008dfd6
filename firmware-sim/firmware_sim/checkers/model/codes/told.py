"""What the law of codes reads and what it answers."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Final, NamedTuple

MINUTE_MS: Final = 60_000
HOUR_MS: Final = 60 * MINUTE_MS
DAY_MS: Final = 24 * HOUR_MS

Uid = tuple[str, bytes]
"""(device, id): an event's identity within a site."""

Moment = tuple[int, str, bytes, int, bytes]
"""(event_ms, device, log, seq, id): a place in time that no two events share."""

CUSTODY: Final = frozenset(
    {
        *("stage", "load", "unload", "depart", "arrive", "customs_entered", "customs_held", "customs_cleared", "border_entered"),
        *("pickup", "out_for_delivery", "stop_arrived", "attempt_failed", "available_for_pickup", "delivery", "refused"),
        *("return_started", "returned", "damaged", "lost", "found", "destroyed"),
    },
)
"""Something happened to a thing that was in somebody's hands."""

FINAL: Final = frozenset({"delivery", "returned", "destroyed"})
"""After these a label's way is over, and its number may be used again some weeks later."""

BACKWARD: Final = frozenset({"refused", "return_started", "returned", "damaged", "lost", "found", "destroyed", "unload", "attempt_failed"})
"""These are about what the code was on, never about what it will be on next."""

PREPARATION: Final = frozenset({"pick", "pack", "unpack"})
FILLING: Final = frozenset({"aggregated", "disaggregated"})

WITHOUT_ORDER: Final = frozenset({"shift_started", "shift_ended", "break_started", "break_ended", "cash_counted", "claim", "decline", "unassigned"})
"""These name a worker or a job; no code and no order is asked for."""


class Told(NamedTuple):
    """A stored event as the law reads it.

    `code` is the raw scanned text, `body` a plain map. `fault` was fixed when the event arrived; the body of a faulty event is never read.
    `seq_reused` says that another event of its log had its number before.
    """

    device: str
    role: str
    type: str
    log: bytes
    seq: int
    id: bytes
    event_ms: int
    received_ms: int
    order: str | None
    parcel: str | None
    code: str | None
    body: Mapping[str, Any]
    fault: str | None = None
    seq_reused: bool = False

    @property
    def uid(self) -> Uid:
        return (self.device, self.id)

    @property
    def moment(self) -> Moment:
        return (self.event_ms, self.device, self.log, self.seq, self.id)


class Verdict(StrEnum):
    """Where an event stands."""

    PLACED = "placed"
    PARKED = "parked"
    REJECTED = "rejected"
    VOIDED = "voided"
    FAULT = "fault"
    NOTHING = "nothing"
    """It needs no order."""


class By(StrEnum):
    """How a placed event found its orders."""

    NAME = "name"
    IDENTITY = "identity"
    BINDING = "binding"
    AHEAD = "ahead"
    HINT = "hint"
    OLD_LABEL = "old_label"
    CONTAINER = "container"
    VOID = "void"


class Placing(NamedTuple):
    """The answer for one event. `orders` of an event that is not placed are those whose lists of troubles it stands in."""

    verdict: Verdict
    orders: frozenset[str] = frozenset()
    reason: str | None = None
    warnings: frozenset[str] = frozenset()
    by: By | None = None
