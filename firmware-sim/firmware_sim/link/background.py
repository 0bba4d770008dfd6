"""Devices over real MQTT in a thread of their own, while the thread that started them goes on: a test, a training, a recording.

The devices live on an event loop in that thread, as in every run over sockets. Only that thread touches what belongs to a device.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from types import TracebackType
from typing import Any, Final, Self

from devices.protocol.vocabulary import Tone
from firmware_sim.firmware import actions
from firmware_sim.firmware.base import Firmware
from firmware_sim.link import loops
from firmware_sim.link.fleet import Fleet
from firmware_sim.link.handset import Handset
from firmware_sim.record import Entry, Refused

GOODBYE_S: Final = 3.0
LOOK_EVERY_S: Final = 0.02


class Held(Handset):
    """A device that is used from outside. `refused` is the code of a CONNACK that refused it, `tones` is what its user heard."""

    def __init__(self, stage: _Stage, firmware: Firmware, password: str, *, clean: bool) -> None:
        super().__init__(stage, firmware, password, clean=clean)
        self.refused = 0
        self.tones: list[Tone] = []
        self._stage: _Stage = stage

    def carry(self, action: actions.Action, now_ms: int) -> None:
        if isinstance(action, actions.Beep):
            self.tones.append(action.tone)
        else:
            super().carry(action, now_ms)

    def _step(self) -> None:
        super()._step()
        self._stage.look_soon()

    def reboot(self, *, loses_clock: bool) -> None:
        """Take its power away, and give it back at once."""
        self.lose_power()
        self.boot(loses_clock=loses_clock)


class BackgroundFleet:
    """Devices that connect to one address. Use it as a context manager, or close it.

    Args:
        see: takes what happens, in the words of a record; called on the fleet's thread.
    """

    def __init__(self, host: str, port: int, see: Callable[[Entry], None] | None = None) -> None:
        self.host = host
        self.port = port
        self._see = see
        self._failure: BaseException | None = None
        self._stage: _Stage
        self._is_ready = threading.Event()
        self._thread = threading.Thread(target=self._run, name="devices", daemon=True)
        self._thread.start()
        self._is_ready.wait()
        self._check()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def add(self, firmware: Firmware, password: str, *, clean: bool = False) -> Held:
        """Switch a device on. `clean`: its session ends with its connection."""
        held = Held(self._stage, firmware, password, clean=clean)
        self._call(lambda: self._stage.add(held))
        return held

    def put(self, device: str, *items: actions.Item) -> None:
        """Give a device something that comes in; with nothing it takes a step."""
        self._call(lambda: self._stage.handsets[device].put(*items))

    def cut(self, device: str) -> None:
        """End a device's connection, as when it goes out of range."""
        self._call(lambda: self._stage.handsets[device].end("the line was cut"))

    def reboot(self, device: str, *, loses_clock: bool = False) -> None:
        """Take a device's power away and give it back."""
        self._call(lambda: self._stage.handsets[device].reboot(loses_clock=loses_clock))

    def until(self, done: Callable[[], bool], timeout_s: float) -> bool:
        """Wait until `done` returns True; it is called on the fleet's thread, again after each thing that happens. Returns whether it did.

        Raises:
            RuntimeError: a firmware failed.
        """
        waiting = _Waiting(done)
        self._call(lambda: self._stage.wait(waiting))
        try:
            came = waiting.answer.result(timeout_s)
        except TimeoutError:
            self._call(lambda: self._stage.forget(waiting))
            came = False
        if not came:
            self._check()
        return came

    def close(self) -> None:
        """Let every device say goodbye, so that its will is not published, and end the thread."""
        self._call_soon(self._stage.is_over.set)
        self._thread.join()

    def _call(self, work: Callable[[], object]) -> None:
        self._check()
        self._call_soon(work)

    def _call_soon(self, work: Callable[[], object]) -> None:
        """Do something on the fleet's thread, unless that has ended."""
        with suppress(RuntimeError):
            self._stage.loop.call_soon_threadsafe(work)

    def _check(self) -> None:
        failure = self._failure or self._stage.failure
        if failure is not None:
            raise RuntimeError("a simulated device failed") from failure

    # --- its thread -------------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            loops.run(self._live())
        except BaseException as error:  # noqa: BLE001 -- the thread that waits raises it
            self._failure = error
        finally:
            self._is_ready.set()

    async def _live(self) -> None:
        stage = self._stage = _Stage((self.host, self.port), self._see or _keep_no_record)
        self._is_ready.set()
        try:
            await stage.is_over.wait()
            if stage.failure is None:
                await stage.say_goodbye(GOODBYE_S)
        finally:
            stage.give_up_waiting()
            await stage.close()


class _Waiting:
    """Something that another thread waits for."""

    def __init__(self, done: Callable[[], bool]) -> None:
        self.answer: Future[bool] = Future()
        self._done = done

    def look(self) -> bool:
        """Answer if there is an answer. Returns whether there is one."""
        try:
            if self._done():
                self.answer.set_result(True)
        except Exception as error:  # noqa: BLE001 -- it is the caller's
            self.answer.set_exception(error)
        return self.answer.done()


class _Stage(Fleet[Held]):
    """The devices, on the loop of their thread."""

    def __init__(self, address: tuple[str, int], see: Callable[[Entry], None]) -> None:
        super().__init__(loops.anchored_ms(), look_every_s=LOOK_EVERY_S)
        self.handsets: dict[str, Held] = {}
        self.is_over = asyncio.Event()
        self.failure: BaseException | None = None
        self._address = address
        self._see = see
        self._waiting: list[_Waiting] = []
        self._is_look_due = False
        self.loop.set_exception_handler(self._on_exception)

    def address(self) -> tuple[str, int] | None:
        return self._address

    def see(self, entry: Entry) -> None:
        if isinstance(entry, Refused):
            self.handsets[entry.device].refused = entry.code
        self._see(entry)
        self.look_soon()

    def trouble(self, device: str, text: str) -> None:
        self.handsets[device].firmware.troubles.append(f"{device}: {text}")

    def add(self, held: Held) -> None:
        self.handsets[held.device] = held
        held.put()

    # --- threads that wait ---------------------------------------------------------------------------------------------------

    def wait(self, waiting: _Waiting) -> None:
        if self.failure is not None:
            waiting.answer.set_result(False)
        elif not waiting.look():
            self._waiting.append(waiting)

    def forget(self, waiting: _Waiting) -> None:
        if waiting in self._waiting:
            self._waiting.remove(waiting)

    def look_soon(self) -> None:
        """Call the predicates of waiting threads once after all that happens now."""
        if self._waiting and not self._is_look_due:
            self._is_look_due = True
            self.loop.call_soon(self._look_at_waiting)

    def _look_at_waiting(self) -> None:
        self._is_look_due = False
        self._waiting = [waiting for waiting in self._waiting if not waiting.look()]

    def give_up_waiting(self) -> None:
        for waiting in self._waiting:
            waiting.answer.set_result(False)
        self._waiting.clear()

    def _on_exception(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """What a callback raises is a firmware's failure, and ends the fleet."""
        error = context.get("exception")
        if error is None:
            loop.default_exception_handler(context)
        elif self.failure is None:
            self.failure = error
            self.is_over.set()


def _keep_no_record(_entry: Entry) -> None:
    """Stands in for a record."""
