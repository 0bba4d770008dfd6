"""A day, or a shop's history, on a bridge that runs already: the devices of the scenarios' link, without faults, measured.

Two times are measured for each event: from its PUBLISH to its PUBACK, and from its PUBLISH to its receipt.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from devices.protocol import encoding
from devices.protocol.bridge_messages import OrderStatus, Receipt
from devices.protocol.encoding import PayloadError
from firmware_sim.errors import NoPassword
from firmware_sim.firmware import actions
from firmware_sim.firmware.base import Firmware
from firmware_sim.firmware.dispatcher import Screen
from firmware_sim.link import loops
from firmware_sim.link.fleet import Fleet
from firmware_sim.link.handset import Handset
from firmware_sim.link.progress import Progress, Reporter
from firmware_sim.record import Acknowledged, Connected, Entry, Published, Received, Refused
from firmware_sim.workload import SCREEN, Workload

LOOK_EVERY_S: Final = 0.02
PROGRESS_EVERY_S: Final = 0.1
QUIET_S: Final = 3.0
"""Once every device is finished, the screen is given up on when nothing new came for this long."""
GOODBYE_S: Final = 2.0


@dataclass(slots=True, kw_only=True)
class Record:
    """What a run did and saw. Latencies are in milliseconds, one for each event; `answered_ms` is PUBLISH to receipt.

    `events_of` counts the events of each order, as their receipts name it.
    """

    sent: dict[str, int] = field(default_factory=dict)
    acknowledged: int = 0
    outcomes: dict[str, int] = field(default_factory=dict)
    again: int = 0
    puback_ms: list[float] = field(default_factory=list)
    answered_ms: list[float] = field(default_factory=list)
    events_of: dict[str, int] = field(default_factory=dict)
    statuses: dict[str, OrderStatus] = field(default_factory=dict)
    errors: list[str] = field(default_factory=list)
    reconnects: int = 0
    seconds: float = 0.0

    @property
    def states(self) -> dict[str, str]:
        """Each order's state as the screen saw it last."""
        return {order: status.state for order, status in self.statuses.items()}


def run(
    workload: Workload,
    host: str,
    port: int,
    passwords: dict[str, str],
    speed: float = 1.0,
    on_progress: Callable[[Progress], None] | None = None,
    timeout_s: float = 600.0,
) -> Record:
    """Live through a workload's day over MQTT.

    Args:
        passwords: of every device in `workload.devices`; user names are the devices' names.
        speed: pauses of people and roads are divided by it; timestamps stay those of the real clock.

    Raises:
        SimError: the bridge cannot be reached, or does not admit a device.
    """
    firmwares = workload.build(speed=speed)
    return drive(firmwares, firmwares[SCREEN], host, port, passwords, workload.expected, on_progress, timeout_s)


def drive(
    firmwares: dict[str, Firmware],
    screen: Firmware,
    host: str,
    port: int,
    passwords: dict[str, str],
    expected: dict[str, str],
    on_progress: Callable[[Progress], None] | None = None,
    timeout_s: float = 600.0,
) -> Record:
    """Drive firmwares over MQTT until they are finished and the screen shows what is expected, or nothing moves any more.

    Raises:
        SimError: the bridge cannot be reached, or does not admit a device.
    """
    missing = [device for device in firmwares if device not in passwords]
    if missing:
        raise NoPassword(
            f"there is no password for {', '.join(missing)}", fix="enrol the device with `dockbridge device add` and add what it prints to the credentials"
        )
    if not isinstance(screen, Screen):
        raise TypeError("the screen is a Screen")

    async def live() -> Record:
        await loops.knock(host, port)
        fleet = _MeasuredFleet(firmwares, screen, (host, port), passwords, expected, on_progress)
        try:
            return await fleet.run(timeout_s)
        finally:
            await fleet.close()

    return loops.run(live())


class _Measured(Handset):
    """A device whose events are measured."""

    def __init__(self, fleet: _MeasuredFleet, firmware: Firmware, password: str) -> None:
        super().__init__(fleet, firmware, password)
        self._published_s = fleet.published_s

    def do(self, action: actions.Action, now_ms: int) -> None:
        if isinstance(action, actions.Publish) and action.event is not None and self.wire is not None:
            self._published_s.setdefault(action.event, time.perf_counter())
        super().do(action, now_ms)


class _MeasuredFleet(Fleet[_Measured]):
    """The devices of a run, and what is measured of them."""

    def __init__(
        self,
        firmwares: dict[str, Firmware],
        screen: Screen,
        address: tuple[str, int],
        passwords: dict[str, str],
        expected: dict[str, str],
        on_progress: Callable[[Progress], None] | None,
    ) -> None:
        super().__init__(loops.anchored_ms(), look_every_s=LOOK_EVERY_S)
        self.record = Record()
        self.published_s: dict[bytes, float] = {}
        """When each event without a receipt was published first."""
        self.handsets = {device: _Measured(self, firmware, passwords[device]) for device, firmware in firmwares.items()}
        self._sent_s: dict[int, float] = {}
        self._screen = screen
        self._address = address
        self._expected = expected
        self._reporter = Reporter(self.handsets, screen, expected, on_progress, every_s=PROGRESS_EVERY_S)
        self._connects = 0
        self._refused: Refused | None = None

    # --- the stage, for devices -----------------------------------------------------------------------------------------------

    def address(self) -> tuple[str, int] | None:
        return self._address

    def trouble(self, device: str, text: str) -> None:
        self.record.errors.append(f"{device}: {text}")

    def see(self, entry: Entry) -> None:
        match entry:
            case Published(no=no, topic=topic) if "/events/" in topic:
                self._sent_s[no] = time.perf_counter()
            case Acknowledged(no=no) if no in self._sent_s:
                self.record.puback_ms.append((time.perf_counter() - self._sent_s.pop(no)) * 1000)
            case Received(topic=topic, payload=payload) if topic.endswith("/receipts"):
                self._measure(payload, time.perf_counter())
            case Connected():
                self._connects += 1
            case Refused(code=code) if code in loops.BAD_LOGIN:
                self._refused = entry

    def _measure(self, payload: bytes, at_s: float) -> None:
        try:
            event = encoding.decode(payload, Receipt).id
        except PayloadError:
            return  # the firmware meets it too, and says so
        sent_s = self.published_s.pop(event, None) if event is not None else None
        if sent_s is not None:
            self.record.answered_ms.append((at_s - sent_s) * 1000)

    # --- from start to end ----------------------------------------------------------------------------------------------------

    async def run(self, timeout_s: float) -> Record:
        start_s = self.loop.time()
        self.switch_on()
        if not await self.until(lambda: self._is_hopeless() or not self._unfinished(), start_s + timeout_s):
            self.record.errors += [f"{h.device} did not finish within {timeout_s:g} s: {_waiting_for(h.firmware)}" for h in self._unfinished()]
        if not self._is_hopeless():
            await self._let_the_screen_catch_up()
        self._reporter.report()
        await self.say_goodbye(GOODBYE_S)
        self.record.seconds = self.loop.time() - start_s
        return self._finished_record()

    def look(self) -> None:
        if self._refused is not None:
            raise loops.not_admitted(self._refused.device)
        self._reporter.report_if_due(self.loop.time())

    def _unfinished(self) -> list[_Measured]:
        return [handset for handset in self.handsets.values() if not handset.is_finished]

    def _is_hopeless(self) -> bool:
        """Whether something went so wrong that the rest of the run would say nothing."""
        return any(handset.firmware.is_hopeless for handset in self.handsets.values())

    async def _let_the_screen_catch_up(self) -> None:
        """The last statuses may still be on their way to the screen; before it is given up on, it asks for all of them once more."""
        if not await self._waited_for_statuses():
            self._screen.look_again()
            self.handsets[self._screen.device].put()
            await self._waited_for_statuses()

    async def _waited_for_statuses(self) -> bool:
        """Wait as long as something comes. Returns whether all orders are shown as expected."""
        seen = -1
        while seen != self._screen.messages:
            seen = self._screen.messages
            if await self.until(lambda: self._reporter.agreed() == len(self._expected), self.loop.time() + QUIET_S):
                return True
        return False

    def _finished_record(self) -> Record:
        record = self.record
        firmwares = [handset.firmware for handset in self.handsets.values()]
        sent: Counter[str] = sum((Counter({t.value: n for t, n in f.sent.items()}) for f in firmwares), Counter())
        outcomes: Counter[str] = sum((Counter({o.value: n for o, n in f.answers.items()}) for f in firmwares), Counter())
        record.sent = dict(sorted(sent.items()))
        record.outcomes = dict(sorted(outcomes.items()))
        record.acknowledged = sum(f.acknowledged for f in firmwares)
        record.again = sum(f.answers_again for f in firmwares)
        record.events_of = dict(Counter(r.order for f in firmwares for r in f.verdicts.values() if r.order is not None))
        record.statuses = dict(self._screen.statuses)
        record.errors += [trouble for f in firmwares for trouble in f.troubles]
        record.reconnects = self._connects - len(self.handsets)
        return record


def _waiting_for(firmware: Firmware) -> str:
    """What an unfinished device is still waiting for, for a person."""
    unstored, unanswered = len(firmware.flash.events), len(firmware.flash.unanswered)
    if unstored or unanswered:
        return f"{unstored} events without acknowledgement, {unanswered} without receipt"
    return "others did not do their part"
