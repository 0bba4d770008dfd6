"""The device library: what a handheld scanner or a courier's phone uses to tell the bridge what happened.

Names are loaded when they are first used, so that `devices.protocol`, the contract, can be imported without sockets, threads or SQLite.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from devices.clock import Clock, SystemClock
    from devices.courier import Courier
    from devices.errors import (
        ClaimError,
        ClaimRefused,
        ClaimStoreError,
        Closed,
        DeviceError,
        DiskFull,
        EventTooLarge,
        InvalidClaim,
        InvalidEvent,
        NotDelivered,
        OutboxError,
        OutboxFull,
        OutboxGone,
        OutboxLocked,
        RefusedByServer,
        ServerNotReached,
        WrongOwner,
        WrongServer,
    )
    from devices.redeeming import Redeemed, redeem
    from devices.scan import Draft, Scan
    from devices.scanner import Scanner

__all__ = [
    "ClaimError",
    "ClaimRefused",
    "ClaimStoreError",
    "Clock",
    "Closed",
    "Courier",
    "DeviceError",
    "DiskFull",
    "Draft",
    "EventTooLarge",
    "InvalidClaim",
    "InvalidEvent",
    "NotDelivered",
    "OutboxError",
    "OutboxFull",
    "OutboxGone",
    "OutboxLocked",
    "Redeemed",
    "RefusedByServer",
    "Scan",
    "Scanner",
    "ServerNotReached",
    "SystemClock",
    "WrongOwner",
    "WrongServer",
    "redeem",
]

_HOMES = {
    "devices.clock": ("Clock", "SystemClock"),
    "devices.courier": ("Courier",),
    "devices.errors": (
        "ClaimError",
        "ClaimRefused",
        "ClaimStoreError",
        "Closed",
        "DeviceError",
        "DiskFull",
        "EventTooLarge",
        "InvalidClaim",
        "InvalidEvent",
        "NotDelivered",
        "OutboxError",
        "OutboxFull",
        "OutboxGone",
        "OutboxLocked",
        "RefusedByServer",
        "ServerNotReached",
        "WrongOwner",
        "WrongServer",
    ),
    "devices.redeeming": ("Redeemed", "redeem"),
    "devices.scan": ("Draft", "Scan"),
    "devices.scanner": ("Scanner",),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> object:
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOME_OF[name]), name)
