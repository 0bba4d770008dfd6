"""Scanners whose device is the product's own library: the worker, the lists and the hall are simulated; what keeps and sends is what customers install.

The library connects through the proxy like every device, with its own client and its own outbox on disk. Its thread hands over receipts; the worker lives on
the loop. What it sent and got is seen at the proxy.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import devices
from devices.protocol import bodies, encoding
from devices.protocol.bridge_messages import Receipt
from devices.protocol.vocabulary import EventType
from firmware_sim.firmware import actions
from firmware_sim.firmware.base import NOTHING
from firmware_sim.firmware.flash import Stored
from firmware_sim.firmware.radio import BACKOFF_MAX_MS
from firmware_sim.firmware.scanner import Scanner
from firmware_sim.firmware.steps import COUNTED, Scan
from firmware_sim.link.handset import SocketStage
from firmware_sim.link.player import REBOOT_S, Player

DEBOUNCE_MS: Final = 300
RECONNECT_SPREAD_S: Final = 3.0
"""Both are the library's own, at life's speed."""


class LibraryScanner(Scanner):
    """A worker with a device of ours. `attach` gives it one."""

    def __init__(self, **more: Any) -> None:
        super().__init__(**more)
        self._send_event: Callable[..., devices.Scan]
        self._backlog: Callable[[], int] = lambda: 0

    def attach(self, send: Callable[..., devices.Scan], backlog: Callable[[], int]) -> None:
        self._send_event = send
        self._backlog = backlog

    @property
    def has_room(self) -> bool:
        return self._backlog() < self.outbox.events_max

    @property
    def is_settled(self) -> bool:
        return not self.flash.unanswered and not self._backlog()

    def record(
        self,
        event_type: EventType,
        body: bodies.Body = NOTHING,
        *,
        order: str | None = None,
        parcel: str | None = None,
        code: str | None = None,
        by: str | None = None,
    ) -> bytes:
        scanned = {name: value for name, value in (("parcel", parcel), ("code", code), ("by", by)) if value is not None}
        scan = self._send_event(event_type, body, order=order, **scanned)
        if scan.id not in self.flash.unanswered:
            self.flash.unanswered[scan.id] = Stored(type=event_type, plain={"id": scan.id, "seq": scan.seq})
            self.sent[event_type] += 1
        return scan.id

    def doubles(self, scan: Scan) -> bool:
        """A trigger that bounces is the library's business; if it lets one through, nothing is counted twice."""
        return scan.type not in COUNTED

    def _connect(self) -> None:
        """The library does."""

    def _send(self) -> None:
        """The library does."""


class LibraryClock:
    """The clocks of one boot of a device whose wall clock may be wrong."""

    def __init__(self, skew_ms: Callable[[], int]) -> None:
        self.boot = os.urandom(8)
        self._skew_ms = skew_ms
        self._booted_ns = time.monotonic_ns()

    def mono_ms(self) -> int:
        return (time.monotonic_ns() - self._booted_ns) // 1_000_000

    def wall_ms(self) -> int:
        return max(0, time.time_ns() // 1_000_000 + self._skew_ms())

    def tz_min(self) -> int | None:
        return None


class LibraryHandset(Player):
    """Drives a `LibraryScanner` and its device, as `Handset` drives a simulated one.

    Args:
        folder: where its outbox is kept.
        cut: ends its connection.
    """

    KEPT = (*Player.KEPT, actions.Received)

    def __init__(self, stage: SocketStage, firmware: LibraryScanner, password: str, *, site: str, folder: Path, cut: Callable[[str], None]) -> None:
        super().__init__(stage, firmware)
        self.firmware: LibraryScanner = firmware
        self._stage: SocketStage = stage
        self._password = password
        self._site = site
        self._outbox = folder / f"{self.device}.db"
        self._cut = cut
        self._library: devices.Scanner | None = None
        self._is_leaving = False
        firmware.attach(self._record, lambda: self._library.backlog if self._library is not None else 0)

    @property
    def can_step(self) -> bool:
        return super().can_step and not self._is_leaving

    @property
    def is_gone(self) -> bool:
        return self._library is None

    @property
    def unsent(self) -> int:
        return self._library.backlog if self._library is not None else 0

    def close(self) -> None:
        self.forget_wake()
        library, self._library = self._library, None
        if library is not None:
            library.close()

    def _step(self) -> None:
        if self._library is None and self.can_step:
            self._library = self._new_library()
        super()._step()

    def carry(self, action: actions.Action, now_ms: int) -> None:
        """The library sees to its connection; it is only let go of."""
        if isinstance(action, actions.Disconnect):
            self._is_leaving = True
            self._stage.spawn(self._let_go())

    # --- the library ----------------------------------------------------------------------------------------------------------

    def _new_library(self) -> devices.Scanner:
        host, port = self._stage.address() or ("127.0.0.1", 9)
        firmware = self.firmware
        return devices.Scanner(
            site=self._site,
            device=self.device,
            password=self._password,
            outbox=self._outbox,
            host=host,
            port=port,
            firmware="library",
            on_receipt=self._on_receipt,
            debounce_ms=max(1, round(DEBOUNCE_MS / self._stage.speed)),
            events_max=firmware.outbox.events_max,
            backoff_max_s=BACKOFF_MAX_MS / 1000,
            reconnect_spread_s=RECONNECT_SPREAD_S / self._stage.speed,
            clock=LibraryClock(lambda: firmware.wall_ms - firmware.now_ms),
        )

    def _record(self, event_type: EventType, body: bodies.Body, **scanned: Any) -> devices.Scan:
        assert self._library is not None
        return self._library.send(event_type, body, **scanned)

    def _on_receipt(self, receipt: Receipt) -> None:
        """In the library's thread."""
        received = actions.Received(self.firmware.topics.receipts(self.device), encoding.encode(receipt))
        self._stage.loop.call_soon_threadsafe(self.put, received)

    async def _let_go(self) -> None:
        library = self._library
        if library is not None:
            await asyncio.to_thread(library.close)
        self._library = None

    def reboot(self, *, loses_clock: bool) -> None:
        """The power goes, and comes back a moment later: the library starts anew with what is in its outbox."""
        if not self.is_off and not self._is_leaving:
            self.is_off = True
            self._stage.spawn(self._cycle(loses_clock))

    async def _cycle(self, loses_clock: bool) -> None:
        self._cut(self.device)
        await self._let_go()
        await asyncio.sleep(REBOOT_S / self._stage.speed)
        self.boot(loses_clock=loses_clock)
