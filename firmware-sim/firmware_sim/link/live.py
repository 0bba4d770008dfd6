"""Devices over real MQTT in a thread of their own, while whoever started them goes on: a test, a trainee, a recorder.

One selector, one socket for each device. Everything that belongs to a device is touched by this thread alone, or by a predicate of `until`.
"""

from __future__ import annotations

import secrets
import selectors
import socket
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from random import Random
from types import TracebackType
from typing import Final, Self

from devices.protocol.vocabulary import Tone
from firmware_sim.firmware import actions
from firmware_sim.firmware.base import Firmware
from firmware_sim.link import packets
from firmware_sim.link.client import KEEP_ALIVE_S, Client, Numbers
from firmware_sim.record import Entry, Lost, Noted, Refused

CONNECT_TIMEOUT_S: Final = 5.0
PING_EVERY_S: Final = 10.0
GOODBYE_S: Final = 3.0
READ_BYTES: Final = 65_536


class Line:
    """A device with its firmware, and its present connection. `refused` is the code of a CONNACK that said no, `tones` what its user heard."""

    def __init__(self, fleet: Fleet, firmware: Firmware, password: str, *, clean: bool) -> None:
        self.device = firmware.device
        self.firmware = firmware
        self.refused = 0
        self.tones: list[Tone] = []
        self.inbox: list[actions.Item] = []
        self._fleet = fleet
        self._password = password
        self._clean = clean
        self._wake_s = 0.0
        self._client: Client | None = None
        self._socket: socket.socket | None = None
        self._out = b""
        self._heard_s = self._pinged_s = 0.0

    @property
    def is_connected(self) -> bool:
        return self._client is not None

    def next_s(self) -> float:
        """When it must be looked at again, on the monotonic clock."""
        if self.inbox:
            return 0.0
        return min(self._wake_s, self._pinged_s + PING_EVERY_S) if self._client is not None else self._wake_s

    def turn(self, now_s: float) -> None:
        """Let the firmware take its step, where it is time, and see whether the server still answers."""
        if self.inbox or self._wake_s <= now_s:
            inbox, self.inbox = self.inbox, []
            self._wake_s = float("inf")
            for action in self.firmware.step(self._fleet.now_ms(), inbox, self._fleet.rng):
                self._do(action)
        if self._client is not None and self._pinged_s + PING_EVERY_S <= now_s:
            self._look_at_silence(self._client, now_s)

    # --- actions ----------------------------------------------------------------------------------------------------------

    def _do(self, action: actions.Action) -> None:
        match action:
            case actions.Publish() if self._client is not None:
                self._client.publish(action, self._fleet.now_ms())
            case actions.Subscribe(filters) if self._client is not None:
                self._client.subscribe(filters)
            case actions.Connect():
                self._connect(action)
            case actions.Disconnect() if self._client is not None:
                self._client.disconnect()
                self.end("says goodbye", tell=False)
            case actions.HangUp(why):
                self.end(why, tell=False)
            case actions.WakeAt(at_ms):
                self._wake_s = time.monotonic() + (at_ms - self._fleet.now_ms()) / 1000
            case actions.Hand(to, item):
                self._fleet.lines[to].inbox.append(item)
            case actions.Beep(tone):
                self.tones.append(tone)
            case actions.Note(text):
                self._fleet.see(Noted(self._fleet.now_ms(), self.device, text))
            case _:
                pass

    def _connect(self, connect: actions.Connect) -> None:
        try:
            made = socket.create_connection((self._fleet.host, self._fleet.port), CONNECT_TIMEOUT_S)
        except OSError as error:
            self._fleet.see(Lost(self._fleet.now_ms(), self.device, f"nobody answers ({error})"))
            self.inbox.append(actions.Disconnected())
            return
        made.setblocking(False)
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket, self._out = made, b""
        self._heard_s = self._pinged_s = time.monotonic()
        self._fleet.selector.register(made, selectors.EVENT_READ, self)
        self._client = Client(self.device, self._password, self._fleet.numbers, self._send, self._see, clean=self._clean)
        self._client.connect(connect)

    def _look_at_silence(self, client: Client, now_s: float) -> None:
        """Ask the server whether it is there (§3.12), and give it up where nothing comes."""
        self._pinged_s = now_s
        if now_s - self._heard_s >= (KEEP_ALIVE_S if client.is_open else PING_EVERY_S):
            self.end("the server is silent")
        elif client.is_open:
            client.ping()

    def _see(self, entry: Entry) -> None:
        if isinstance(entry, Refused):
            self.refused = entry.code
        self._fleet.see(entry)

    # --- the socket -------------------------------------------------------------------------------------------------------

    def serve(self, events: int) -> None:
        """Read and write what can be."""
        if events & selectors.EVENT_WRITE:
            self._flush()
        if events & selectors.EVENT_READ and self._socket is not None:
            try:
                data = self._socket.recv(READ_BYTES)
            except BlockingIOError:
                return
            except OSError as error:
                self.end(str(error))
                return
            self._read(data) if data else self.end("the server hung up")

    def _read(self, data: bytes) -> None:
        if self._client is None:
            return
        self._heard_s = time.monotonic()
        try:
            self.inbox += self._client.feed(data, self._fleet.now_ms())
        except packets.Broken as error:
            self.firmware.troubles.append(f"{self.device}: {error}")
            self.end("the server broke the protocol")

    def _send(self, data: bytes, _no: int) -> None:
        self._out += data
        self._flush()

    def _flush(self) -> None:
        """Write what the socket takes; the rest waits until it takes more."""
        if self._socket is None:
            return
        with suppress(OSError):  # a broken connection is seen where it is read
            self._out = self._out[self._socket.send(self._out) :]
        self._fleet.selector.modify(self._socket, selectors.EVENT_READ | (selectors.EVENT_WRITE if self._out else 0), self)

    def end(self, why: str, *, tell: bool = True) -> None:
        """The connection is over, without a goodbye unless one was sent."""
        made, self._socket, self._client = self._socket, None, None
        if made is None:
            return
        self._fleet.selector.unregister(made)
        made.close()
        self._fleet.see(Lost(self._fleet.now_ms(), self.device, why))
        if tell:
            self.inbox.append(actions.Disconnected())


class Fleet:
    """Devices that live at one address. Use it as a context manager, or close it.

    Args:
        see: takes what happens, in the words of a record; called on the fleet's thread.
    """

    def __init__(self, host: str, port: int, see: Callable[[Entry], None] | None = None) -> None:
        self.host = host
        self.port = port
        self.see: Callable[[Entry], None] = see or _nobody
        self.lines: dict[str, Line] = {}
        self.numbers = Numbers()
        self.rng = Random(secrets.randbits(64))
        self.selector = selectors.DefaultSelector()
        self._anchor_s = time.time() - time.monotonic()
        self._errands: deque[Callable[[], None]] = deque()
        self._changed = threading.Condition(threading.RLock())
        self._ears, self._bell = socket.socketpair()
        self._ears.setblocking(False)
        self.selector.register(self._ears, selectors.EVENT_READ, None)
        self._is_over = False
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="devices", daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def now_ms(self) -> int:
        """True time, ms since 1970 UTC; no step of the wall clock moves it."""
        return round((self._anchor_s + time.monotonic()) * 1000)

    def add(self, firmware: Firmware, password: str, *, clean: bool = False) -> Line:
        """A device comes to life. `clean`: its session ends with its connection."""
        line = Line(self, firmware, password, clean=clean)
        self.call(lambda: self.lines.__setitem__(firmware.device, line))
        return line

    def call(self, errand: Callable[[], None]) -> None:
        """Have something done on the fleet's thread, soon; devices with something in their inbox take their step after it."""
        self._errands.append(errand)
        with suppress(OSError):
            self._bell.send(b"!")

    def put(self, device: str, *items: actions.Item) -> None:
        """Something comes in for a device; with nothing it takes a step."""

        def arrive() -> None:
            line = self.lines[device]
            line.inbox += items
            line._wake_s = 0.0

        self.call(arrive)

    def cut(self, device: str) -> None:
        """End a device's connection, as when it goes out of range."""
        self.call(lambda: self.lines[device].end("the line was cut"))

    def reboot(self, device: str, *, loses_clock: bool = False) -> None:
        """Take a device's power away and give it back."""

        def off_and_on() -> None:
            self.lines[device].end("lost its power", tell=False)
            self.lines[device].inbox = [actions.PowerCut(loses_clock=loses_clock)]

        self.call(off_and_on)

    def until(self, done: Callable[[], bool], timeout_s: float) -> bool:
        """Wait until something is true, looking after each thing that happens; whether it came true.

        Raises:
            RuntimeError: where a firmware failed.
        """
        with self._changed:
            came = self._changed.wait_for(lambda: self._failure is not None or done(), timeout_s)
            if self._failure is not None:
                raise RuntimeError("a simulated device failed") from self._failure
            return came

    def close(self) -> None:
        """Let every device say goodbye, so that no will speaks for it, and end."""
        if self._thread.is_alive():
            self.call(self._switch_off)
            with self._changed:
                self._changed.wait_for(lambda: self._failure is not None or not any(line.is_connected for line in self.lines.values()), GOODBYE_S)
            self.call(self._end)
            self._thread.join()
        self._bell.close()

    # --- its thread -------------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            while not self._is_over:
                self._turn()
        except BaseException as error:  # noqa: BLE001 -- whoever waits is told
            self._failure = error
        with self._changed:
            for line in self.lines.values():
                line.end("the run is over", tell=False)
            self.selector.close()
            self._ears.close()
            self._changed.notify_all()

    def _turn(self) -> None:
        with self._changed:
            while self._errands:
                self._errands.popleft()()
            if self._is_over:
                return
            now_s = time.monotonic()
            for line in list(self.lines.values()):
                line.turn(now_s)
            self._changed.notify_all()
            next_s = min((line.next_s() for line in self.lines.values()), default=float("inf"))
        wait_s = max(0.0, next_s - time.monotonic())
        ready = self.selector.select(None if wait_s == float("inf") else wait_s)
        with self._changed:
            for key, events in ready:
                if key.data is not None:
                    key.data.serve(events)
                else:
                    with suppress(BlockingIOError):
                        self._ears.recv(READ_BYTES)

    def _switch_off(self) -> None:
        for line in self.lines.values():
            line.inbox.append(actions.SwitchOff())

    def _end(self) -> None:
        self._is_over = True


def _nobody(_entry: Entry) -> None:
    """Nobody keeps a record."""
