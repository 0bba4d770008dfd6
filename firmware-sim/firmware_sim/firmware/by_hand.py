"""A device whose user is outside of the simulation: a test, a trainee. By itself it does only what its firmware owes: keep, send, send again."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any, cast

from devices.protocol.bodies import Body
from devices.protocol.bridge_messages import Receipt
from devices.protocol.vocabulary import EventType
from firmware_sim.firmware.actions import Disconnect
from firmware_sim.firmware.base import Firmware


class ByHand(Firmware):
    """Takes what is to be done from `todo`, at its next step. `heard` is the last message of each topic that it listens to."""

    HAS_BEEPER = True

    def __init__(self, *, site: str, device: str, filters: tuple[str, ...] = (), **more: Any) -> None:
        super().__init__(site=site, device=device, **more)
        self.todo: deque[Callable[[], None]] = deque()
        self.heard: dict[str, bytes] = {}
        self._filters = filters
        self.radio.has_signal = False

    def live(self) -> None:
        while self.todo:
            self.todo.popleft()()

    def filters(self) -> tuple[str, ...]:
        return self._filters

    def on_message(self, topic: str, payload: bytes) -> None:
        self.heard[topic] = payload

    # --- what may be in `todo` --------------------------------------------------------------------------------------------

    def scan(self, event_type: EventType, body: dict[str, Any], **fields: str | None) -> bytes:
        """Keep an event, and send it when there is a connection. Returns its id. The body is sent as it is, right or wrong: the bridge is to judge it."""
        return self.record(event_type, cast("Body", body), **fields)

    def go_online(self) -> None:
        if not self.radio.has_signal:
            self.radio.has_signal = True
            self.radio.connect_in(0)

    def go_offline(self) -> None:
        """Say goodbye, and stay away."""
        if self.radio.is_online:
            self.do(self._will())
        self.do(Disconnect())
        self.radio.lost()
        self.radio.has_signal = False

    def _on_unread(self, receipt: Receipt) -> None:
        """An event that breaks the contract is answered by its digest: here that is an answer like any other."""
        mine = self.outbox.sent_as(receipt.digest)
        if mine is None:
            super()._on_unread(receipt)
            return
        self.verdicts[mine.id] = receipt
        self.flash.unanswered.pop(mine.id, None)
