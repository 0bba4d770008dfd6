"""A day, or a shop's history, on a bridge that runs already: the devices of the scenarios' link, without faults between, measured.

What the firmware handed to the network and when the answers came is measured here: PUBLISH to PUBACK, and PUBLISH to receipt.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any, Final

from devices.protocol import messages
from devices.protocol.messages import OrderStatus, PayloadError, Receipt
from firmware_sim.errors import NoPassword
from firmware_sim.firmware import actions
from firmware_sim.firmware.base import Firmware
from firmware_sim.firmware.dispatcher import Screen
from firmware_sim.link import loops
from firmware_sim.link.client import Client, Numbers
from firmware_sim.link.handset import Handset
from firmware_sim.link.progress import Progress
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
        SimError: where the bridge cannot be reached, or does not admit a device.
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
        SimError: where the bridge cannot be reached, or does not admit a device.
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
        driver = _Driver(firmwares, screen, (host, port), passwords, expected, on_progress)
        try:
            return await driver.run(timeout_s)
        finally:
            await driver.close()

    return loops.run(live())


class _Timed(Handset):
    """A device whose events' ways are measured."""

    def __init__(self, driver: _Driver, firmware: Firmware, password: str) -> None:
        super().__init__(driver, firmware, password)
        self._driver = driver

    def do(self, action: actions.Action, now_ms: int) -> None:
        if isinstance(action, actions.Publish) and action.event is not None and self.wire is not None:
            self._driver.told_s.setdefault(action.event, time.perf_counter())
        super().do(action, now_ms)


class _Driver:
    """The devices of a run, and the loop that moves them: a `Stage`."""

    def __init__(
        self,
        firmwares: dict[str, Firmware],
        screen: Screen,
        address: tuple[str, int],
        passwords: dict[str, str],
        expected: dict[str, str],
        on_progress: Callable[[Progress], None] | None,
    ) -> None:
        self.loop: asyncio.AbstractEventLoop = asyncio.get_running_loop()
        self.numbers = Numbers()
        self.speed = 1.0
        self.record = Record()
        self.now_ms = loops.anchored_ms()
        self.told_s: dict[bytes, float] = {}
        """When each event without receipt was published first."""
        self._sent_s: dict[int, float] = {}
        self._handsets = {device: _Timed(self, firmware, passwords[device]) for device, firmware in firmwares.items()}
        self._screen = screen
        self._address = address
        self._expected = expected
        self._on_progress = on_progress
        self._connects = 0
        self._refused: Refused | None = None
        self._in_agreement: set[str] = set()
        self._told_at_s = 0.0
        self._tasks: set[asyncio.Task[Any]] = set()

    # --- the stage ------------------------------------------------------------------------------------------------------------

    def address(self) -> tuple[str, int] | None:
        return self._address

    def stream(self, name: str) -> Random:
        # Ids are drawn anew in every run: only the plan comes from the seed.
        return Random(secrets.randbits(64))

    def trouble(self, text: str) -> None:
        self.record.errors.append(text)

    def hand(self, to: str, item: actions.Handed) -> None:
        self._handsets[to].put(item)

    def opened(self, port: int, client: Client) -> None:
        """Nobody asks for it here."""

    def spawn(self, work: Any) -> None:
        task = self.loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

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
            event = messages.decode(payload, Receipt).id
        except PayloadError:
            return  # the firmware meets it too, and says so
        sent_s = self.told_s.pop(event, None) if event is not None else None
        if sent_s is not None:
            self.record.answered_ms.append((at_s - sent_s) * 1000)

    # --- from start to end ----------------------------------------------------------------------------------------------------

    async def run(self, timeout_s: float) -> Record:
        start_s = self.loop.time()
        for handset in self._handsets.values():
            handset.put()
        if not await self._until(lambda: self._is_hopeless() or not self._unfinished(), start_s + timeout_s):
            self.record.errors += [f"{h.device} did not finish within {timeout_s:g} s: {_waiting_for(h.firmware)}" for h in self._unfinished()]
        if not self._is_hopeless():
            await self._let_the_screen_catch_up()
        self._tell(force=True)
        await self._say_goodbye()
        self.record.seconds = self.loop.time() - start_s
        return self._finished_record()

    async def close(self) -> None:
        """Let go of every connection that is still there."""
        for handset in self._handsets.values():
            handset.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _until(self, done: Callable[[], bool], deadline_s: float) -> bool:
        while not done():
            if self.loop.time() >= deadline_s:
                return False
            if self._refused is not None:
                raise loops.not_admitted(self._refused.device)
            self._tell()
            await asyncio.sleep(LOOK_EVERY_S)
        return True

    def _unfinished(self) -> list[_Timed]:
        return [handset for handset in self._handsets.values() if not handset.is_finished]

    def _is_hopeless(self) -> bool:
        """Whether something went so wrong that the rest of the run would say nothing."""
        return any(handset.firmware.is_hopeless for handset in self._handsets.values())

    def _agreed(self) -> int:
        """How many orders are shown as expected; only what changed is looked at again, because there may be very many."""
        statuses = self._screen.statuses
        for order in self._screen.changed & self._expected.keys():
            if statuses[order].state == self._expected[order]:
                self._in_agreement.add(order)
            else:
                self._in_agreement.discard(order)
        self._screen.changed.clear()
        return len(self._in_agreement)

    async def _let_the_screen_catch_up(self) -> None:
        """The last statuses may still be on their way to the screen; before it is given up on, it asks for all of them once more."""
        if not await self._waited_for_statuses():
            self._screen.look_again()
            self._handsets[self._screen.device].put()
            await self._waited_for_statuses()

    async def _waited_for_statuses(self) -> bool:
        """Wait as long as something comes; True where all are as expected."""
        seen = -1
        while seen != self._screen.messages:
            seen = self._screen.messages
            if await self._until(lambda: self._agreed() == len(self._expected), self.loop.time() + QUIET_S):
                return True
        return False

    async def _say_goodbye(self) -> None:
        """Every device tells that it goes, so that no will speaks for it."""
        for handset in self._handsets.values():
            handset.put(actions.SwitchOff())
        await self._until(lambda: all(handset.is_gone for handset in self._handsets.values()), self.loop.time() + GOODBYE_S)

    def _finished_record(self) -> Record:
        record = self.record
        firmwares = [handset.firmware for handset in self._handsets.values()]
        sent: Counter[str] = sum((Counter({t.value: n for t, n in f.sent.items()}) for f in firmwares), Counter())
        outcomes: Counter[str] = sum((Counter({o.value: n for o, n in f.answers.items()}) for f in firmwares), Counter())
        record.sent = dict(sorted(sent.items()))
        record.outcomes = dict(sorted(outcomes.items()))
        record.acknowledged = sum(f.acknowledged for f in firmwares)
        record.again = sum(f.answers_again for f in firmwares)
        record.events_of = dict(Counter(r.order for f in firmwares for r in f.verdicts.values() if r.order is not None))
        record.statuses = dict(self._screen.statuses)
        record.errors += [trouble for f in firmwares for trouble in f.troubles]
        record.reconnects = self._connects - len(self._handsets)
        return record

    def _tell(self, *, force: bool = False) -> None:
        now_s = self.loop.time()
        if self._on_progress is None or (not force and now_s - self._told_at_s < PROGRESS_EVERY_S):
            return
        self._told_at_s = now_s
        firmwares = [handset.firmware for handset in self._handsets.values()]
        self._on_progress(
            Progress(
                sent=sum(f.sent.total() for f in firmwares),
                acknowledged=sum(f.acknowledged for f in firmwares),
                answered=sum(len(f.verdicts) for f in firmwares),
                orders=len(self._expected),
                agreed=self._agreed(),
                devices=len(firmwares),
                finished=sum(f.is_finished for f in firmwares),
            ),
        )


def _waiting_for(firmware: Firmware) -> str:
    """What an unfinished device is still waiting for, for a person."""
    unstored, unanswered = len(firmware.flash.events), len(firmware.flash.unanswered)
    if unstored or unanswered:
        return f"{unstored} events without acknowledgement, {unanswered} without receipt"
    return "others did not do their part"


__all__ = ["Progress", "Record", "drive", "run"]
