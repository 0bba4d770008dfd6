"""A simulated device that is used from outside: what a test or a simulated trainee does with it, one call at a time, over real MQTT."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from typing import Any, Final, Self, TypeVar

from devices.protocol import encoding
from devices.protocol.bridge_messages import Assignment
from devices.protocol.vocabulary import EventType, JobState, Tone
from firmware_sim.errors import NotAdmitted
from firmware_sim.firmware.by_hand import ByHand
from firmware_sim.link.background import BackgroundFleet
from firmware_sim.link.loops import BAD_LOGIN

TIMEOUT_S: Final = 10.0

T = TypeVar("T")


class Handheld:
    """A scanner or a phone. Scans made without a connection are kept, and sent on the next one; what is not acknowledged is sent again."""

    def __init__(self, fleet: BackgroundFleet, firmware: ByHand, password: str, *, clean: bool = False) -> None:
        self.name = firmware.device
        self.firmware = firmware
        self._fleet = fleet
        self._held = fleet.add(firmware, password, clean=clean)

    def __repr__(self) -> str:
        return f"<{self.name}: {'online' if self.is_online else 'offline'}, seq {self.seq}, {self.backlog} not acknowledged>"

    @property
    def log(self) -> bytes:
        """The log of its outbox: as long as its flash lives."""
        return self.firmware.flash.log

    @property
    def seq(self) -> int:
        """The seq of its last event."""
        return self.firmware.flash.last_seq

    @property
    def boot(self) -> bytes:
        return self.firmware.boot

    @property
    def backlog(self) -> int:
        """Events that are kept and not acknowledged."""
        return len(self.firmware.flash.events)

    @property
    def is_online(self) -> bool:
        return self.firmware.radio.is_online

    @property
    def tones(self) -> list[Tone]:
        """What its user has heard."""
        return self._held.tones

    @property
    def troubles(self) -> list[str]:
        """How the bridge broke the contract towards it."""
        return self.firmware.troubles

    # --- its connection ---------------------------------------------------------------------------------------------------

    def connect(self, timeout_s: float = TIMEOUT_S) -> Self:
        """Connect, and wait until that is done.

        Raises:
            NotAdmitted: the bridge refuses its credentials.
            TimeoutError: no server answers.
        """
        self._held.refused = 0
        self._ask(self.firmware.go_online)
        if not self._fleet.until(lambda: self.is_online or self._held.refused in BAD_LOGIN, timeout_s):
            raise TimeoutError(f"{self.name} found no server at {self._fleet.host}:{self._fleet.port} within {timeout_s:g} s")
        if not self.is_online:
            raise NotAdmitted(f"the bridge does not admit {self.name} (CONNACK {self._held.refused})", fix="enrol it, or give it its present password")
        return self

    def disconnect(self) -> None:
        """Say goodbye, and stay away until `connect`."""
        self._ask(self.firmware.go_offline)

    def cut(self) -> None:
        """Lose the connection without a goodbye: its will speaks. A device comes back by itself in a moment; `connect` waits for that."""
        self._fleet.cut(self.name)
        self._ask(lambda: None)

    def reboot(self, *, loses_clock: bool = False) -> None:
        """Lose power and start anew: another `boot`, the same `log`, and everything that was kept. With `loses_clock` its wall clock stands in 2020."""
        before = self.boot
        self._fleet.reboot(self.name, loses_clock=loses_clock)
        self._fleet.until(lambda: self.boot != before, TIMEOUT_S)

    # --- its user ---------------------------------------------------------------------------------------------------------

    def scan(
        self,
        event_type: str,
        *,
        order: str | None = None,
        parcel: str | None = None,
        code: str | None = None,
        body: Mapping[str, Any] | None = None,
        by: str | None = None,
    ) -> bytes:
        """Something happened: keep it, and send it when there is a connection; its event id, at once. The body is sent as it is, right or wrong."""
        kind = EventType(event_type)
        return self._ask(lambda: self.firmware.scan(kind, dict(body or {}), order=order, parcel=parcel, code=code, by=by))

    def receipt(self, event: bytes, *, outcome: str | None = None, timeout_s: float = TIMEOUT_S) -> dict[str, Any]:
        """The receipt of an event: the first that comes, or the first with this outcome (a parked event is applied later).

        Raises:
            TimeoutError: none comes.
        """
        verdicts = self.firmware.verdicts

        def is_there() -> bool:
            return event in verdicts and outcome in (None, verdicts[event].outcome)

        if not self._fleet.until(is_there, timeout_s):
            known = f"the last is {verdicts[event].outcome}" if event in verdicts else f"there is none; {self!r}"
            raise TimeoutError(f"{self.name}: no receipt{f' {outcome}' if outcome else ''} within {timeout_s:g} s: {known}")
        return encoding.plain(verdicts[event])

    def tell(
        self,
        event_type: str,
        *,
        order: str | None = None,
        parcel: str | None = None,
        code: str | None = None,
        body: Mapping[str, Any] | None = None,
        by: str | None = None,
        timeout_s: float = TIMEOUT_S,
    ) -> dict[str, Any]:
        """Tell the bridge of something, and wait for the first receipt.

        Raises:
            TimeoutError: none comes.
        """
        return self.receipt(self.scan(event_type, order=order, parcel=parcel, code=code, body=body, by=by), timeout_s=timeout_s)

    def job(self, order: str, *, state: JobState | str = JobState.ASSIGNED, timeout_s: float = TIMEOUT_S) -> dict[str, Any]:
        """The assignment with an order in it, once it has come to this phone and is in this state.

        Raises:
            TimeoutError: it does not come.
        """
        found: list[Assignment] = []

        def is_there() -> bool:
            jobs = [encoding.decode(payload, Assignment) for topic, payload in self.firmware.heard.items() if payload and "/assignments/" in topic]
            found[:] = [j for j in jobs if j.state == state and any(order in s.orders for s in j.stops)]
            return bool(found)

        if not self._fleet.until(is_there, timeout_s):
            raise TimeoutError(f"{self.name}: no job with {order} is {state} after {timeout_s:g} s")
        return encoding.plain(found[0])

    def _ask(self, work: Callable[[], T]) -> T:
        """Have something done within the firmware's next step; what came of it."""
        answer: Future[T] = Future()

        def do() -> None:
            try:
                answer.set_result(work())
            except Exception as error:  # noqa: BLE001 -- it is the caller's
                answer.set_exception(error)

        self.firmware.todo.append(do)
        self._fleet.put(self.name)
        try:
            return answer.result(TIMEOUT_S)
        except FutureTimeout:
            self._fleet.until(lambda: False, 0)  # raises, if the fleet failed
            raise TimeoutError(f"{self.name} is switched off") from None
