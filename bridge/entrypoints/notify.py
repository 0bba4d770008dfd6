"""What the service manager hears of the server: datagrams to the socket in `NOTIFY_SOCKET` (sd_notify(3)). Without that variable, nothing is sent."""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Final

READY: Final = "READY=1"
STOPPING: Final = "STOPPING=1"
ALIVE: Final = "WATCHDOG=1"
SEND_S: Final = 0.2
"""How long a state waits for a service manager that is behind."""


class ServiceManager:
    """systemd, or another program that speaks its protocol.

    Args:
        environment: the variables of this process.

    Attributes:
        alive_every_s: how often it must hear from the event loop; None if it does not ask for that.
    """

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        path = environment.get("NOTIFY_SOCKET", "")
        self._address = "\0" + path[1:] if path.startswith("@") else path  # an abstract name, unix(7)
        self.alive_every_s = _alive_every_s(environment) if path else None

    def notify(self, *states: str) -> None:
        """Send states. If nobody reads them, they are lost: the server does not depend on it."""
        if self._address:
            with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
                sender.settimeout(SEND_S)
                sender.sendto("\n".join(states).encode(), self._address)

    def reloading(self) -> None:
        """A reload begins; `READY` ends it."""
        self.notify("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1_000}")

    async def keep_alive(self) -> None:
        """Say regularly that the event loop runs, until cancelled."""
        while self.alive_every_s is not None:
            self.notify(ALIVE)
            await asyncio.sleep(self.alive_every_s)


def _alive_every_s(environment: Mapping[str, str]) -> float | None:
    """Half of the time after which a silent process is killed, as sd_watchdog_enabled(3) recommends."""
    usec, pid = environment.get("WATCHDOG_USEC", ""), environment.get("WATCHDOG_PID", "")
    if not usec.isdecimal() or int(usec) == 0 or (pid and pid != str(os.getpid())):
        return None
    return int(usec) / 2_000_000
