"""The devices of a run over real MQTT, on one event loop: what a measured day, a scenario over sockets and a fleet in the background share."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Mapping
from random import Random
from typing import Any, Generic, Protocol, TypeVar

from firmware_sim.firmware import actions
from firmware_sim.firmware.base import Firmware
from firmware_sim.link.client import Client, Numbers


class Member(Protocol):
    """A device of a fleet, simulated or with the device library in it."""

    device: str

    @property
    def firmware(self) -> Firmware: ...

    @property
    def is_finished(self) -> bool: ...

    @property
    def is_gone(self) -> bool:
        """Whether it has no connection."""
        ...

    def put(self, *items: actions.Item) -> None: ...

    def close(self) -> None: ...


M = TypeVar("M", bound=Member)


class Fleet(Generic[M]):
    """The part of a `SocketStage` that is the same in every run. Made within the loop that it uses.

    A subclass says where devices connect, fills `handsets`, and takes what they see.
    """

    def __init__(self, now_ms: Callable[[], int], *, look_every_s: float, speed: float = 1.0) -> None:
        self.loop: asyncio.AbstractEventLoop = asyncio.get_running_loop()
        self.numbers = Numbers()
        self.speed = speed
        self.now_ms = now_ms
        self.handsets: Mapping[str, M] = {}
        self._look_every_s = look_every_s
        self._tasks: set[asyncio.Task[Any]] = set()

    # --- the stage, for devices -----------------------------------------------------------------------------------------------

    def stream(self, name: str) -> Random:
        """Ids are drawn anew in every run."""
        return Random(secrets.randbits(64))

    def hand(self, to: str, item: actions.Handed) -> None:
        self.handsets[to].put(item)

    def opened(self, port: int, client: Client) -> None:
        """Only a run with a proxy needs to know."""

    def spawn(self, work: Any) -> None:
        task = self.loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # --- from start to end ----------------------------------------------------------------------------------------------------

    def switch_on(self) -> None:
        """Every device takes its first step."""
        for handset in self.handsets.values():
            handset.put()

    async def until(self, done: Callable[[], bool], ends_s: float) -> bool:
        """Wait until something is true, at most until this time of the loop. Returns whether it became true."""
        while not done():
            if self.loop.time() >= ends_s:
                return False
            self.look()
            await asyncio.sleep(self._look_every_s)
        return True

    def look(self) -> None:
        """What a run looks after while it waits."""

    async def say_goodbye(self, patience_s: float) -> None:
        """Every device says that it leaves, so that its will is not published."""
        for handset in self.handsets.values():
            handset.put(actions.SwitchOff())
        await self.until(lambda: self.are_gone, self.loop.time() + patience_s)

    @property
    def are_gone(self) -> bool:
        return all(handset.is_gone for handset in self.handsets.values())

    async def close(self) -> None:
        """Close every connection that is left, and end the fleet's tasks."""
        for handset in self.handsets.values():
            handset.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
