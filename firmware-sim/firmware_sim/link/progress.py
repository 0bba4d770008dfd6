"""Where a run stands, for whoever watches it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """`agreed` counts orders whose status is the expected one, where a screen shows it."""

    sent: int
    acknowledged: int
    answered: int
    orders: int
    agreed: int
    devices: int
    finished: int
