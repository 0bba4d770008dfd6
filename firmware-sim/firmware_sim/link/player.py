"""A device on an event loop, whatever carries its packets: its inbox, its timer, its power, its patience, and the actions that mean the same on every link."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from random import Random
from typing import Final, Protocol

from firmware_sim.firmware import actions
from firmware_sim.firmware.base import Firmware
from firmware_sim.link.client import KEEP_ALIVE_S, Client, Numbers
from firmware_sim.record import Entry, Noted

PING_PATIENCE_S: Final = 10.0
CONNECT_PATIENCE_S: Final = 10.0
REBOOT_S: Final = 4.0


class Stage(Protocol):
    """What devices need of the run that they are in."""

    numbers: Numbers
    speed: float

    @property
    def loop(self) -> asyncio.AbstractEventLoop: ...

    def now_ms(self) -> int:
        """True time, ms since 1970 UTC."""
        ...

    def stream(self, name: str) -> Random:
        """A random stream of its own."""
        ...

    def see(self, entry: Entry) -> None: ...

    def trouble(self, device: str, text: str) -> None:
        """The server broke the contract towards a device."""
        ...

    def hand(self, to: str, item: actions.Handed) -> None:
        """Give something to the user of another device."""
        ...


class Player(ABC):
    """Lets a firmware take its steps, and does what it says."""

    KEPT: tuple[type, ...] = (actions.Handed, actions.SwitchOff)
    """What comes in while a device has no power and is there when it has: what its user was given or told."""

    def __init__(self, stage: Stage, firmware: Firmware) -> None:
        self.device = firmware.device
        self.firmware = firmware
        self.is_off = False
        self._stage = stage
        self._rng = stage.stream(firmware.device)
        self._inbox: list[actions.Item] = []
        self._wake: asyncio.TimerHandle | None = None
        self._is_due = False

    @property
    def is_finished(self) -> bool:
        return self.firmware.is_finished and not self.is_off

    @property
    def can_step(self) -> bool:
        return not self.is_off

    def put(self, *items: actions.Item) -> None:
        """Something comes in; the firmware takes its step in a moment."""
        self._inbox += items
        if not self._is_due:
            self._is_due = True
            self._stage.loop.call_soon(self._step)

    def forget_wake(self) -> None:
        if self._wake is not None:
            self._wake.cancel()
            self._wake = None

    def _step(self) -> None:
        self._is_due = False
        if not self.can_step:
            return
        self.forget_wake()
        inbox, self._inbox = self._inbox, []
        now_ms = self._stage.now_ms()
        for action in self.firmware.step(now_ms, inbox, self._rng):
            self.do(action, now_ms)

    def do(self, action: actions.Action, now_ms: int) -> None:
        match action:
            case actions.WakeAt(at_ms):
                self._wake = self._stage.loop.call_later(max(0, at_ms - now_ms) / 1000, self.put)
            case actions.Hand(to, item):
                self._stage.hand(to, item)
            case actions.Note(text):
                self._stage.see(Noted(now_ms, self.device, text))
            case _:
                self.carry(action, now_ms)

    @abstractmethod
    def carry(self, action: actions.Action, now_ms: int) -> None:
        """What an action means to the network."""

    def boot(self, *, loses_clock: bool) -> None:
        """The power is back."""
        self.is_off = False
        self._inbox = [i for i in self._inbox if isinstance(i, self.KEPT)]
        self.put(actions.PowerCut(loses_clock=loses_clock))


class Wired(Player):
    """A player whose packets are ours: `Client` makes them, a line carries them."""

    @property
    @abstractmethod
    def client(self) -> Client | None:
        """That of the present connection."""

    @property
    @abstractmethod
    def line(self) -> object | None:
        """The present connection: another one is another object."""

    @property
    @abstractmethod
    def heard_s(self) -> float:
        """When something came over it last, on the loop's clock."""

    @abstractmethod
    def connect(self, connect: actions.Connect) -> None:
        """Make a connection, and `watch` it."""

    @abstractmethod
    def flush(self) -> None:
        """Hand to the network what was sent since the last flush."""

    @abstractmethod
    def end(self, why: str, *, tell: bool = True) -> None:
        """End the present connection, if there is one; with `tell` the firmware learns it."""

    def _step(self) -> None:
        super()._step()
        self.flush()

    def carry(self, action: actions.Action, now_ms: int) -> None:
        client = self.client
        match action:
            case actions.Publish():
                if client is not None:
                    client.publish(action, now_ms)
            case actions.Subscribe(filters):
                if client is not None:
                    client.subscribe(filters)
            case actions.Connect():
                self.connect(action)
            case actions.Disconnect():
                if client is not None:
                    client.disconnect()
                    self.end("says goodbye", tell=False)
            case actions.HangUp(why):
                self.end(why, tell=False)
            case _:
                pass

    def watch(self) -> None:
        """Look after the present connection from now on."""
        self._stage.loop.call_later(CONNECT_PATIENCE_S, self._look_at_silence, self.line)

    def _look_at_silence(self, line: object) -> None:
        """Ask the server whether it is there (MQTT 3.1.1 §3.12), and give it up if nothing comes."""
        client = self.client
        if self.line is not line or client is None:
            return
        silent_s = self._stage.loop.time() - self.heard_s
        if silent_s >= KEEP_ALIVE_S + PING_PATIENCE_S or (not client.is_open and silent_s >= CONNECT_PATIENCE_S):
            self.end("the server is silent")
            return
        if client.is_open:
            client.ping()
            self.flush()
        self._stage.loop.call_later(PING_PATIENCE_S, self._look_at_silence, line)

    def reboot(self, *, loses_clock: bool) -> None:
        """The power goes, and comes back a moment later."""
        if self.is_off:
            return
        self.lose_power()
        self._stage.loop.call_later(REBOOT_S / self._stage.speed, lambda: self.boot(loses_clock=loses_clock))

    def lose_power(self) -> None:
        self.is_off = True
        self.end("lost its power", tell=False)
