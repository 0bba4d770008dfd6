"""Credentials are checked off the event loop: a few at a time, and later if too many logins have failed before (`logins.py`)."""

from __future__ import annotations

import asyncio
import logging
import os
import threading
from collections.abc import Awaitable, Callable
from typing import Final

from bridge.broker.client import Client
from bridge.broker.codec.events import Connect
from bridge.broker.hub import Hub
from bridge.broker.logins import NAME_CHARS_MAX, Brake, Failed, Logins
from bridge.broker.state import State
from bridge.domain.access import Identity
from bridge.ingest.ports import StoreUnavailable

logger = logging.getLogger("dockbridge.broker")

AUTHENTICATIONS_MAX: Final = 2
"""Passwords that are checked at once, each with 19 MiB and a core of its own."""
AUTHENTICATIONS_WAITING_MAX: Final = 5_000
LOGIN_NICENESS: Final = 10
"""Checking passwords gives way to scans: a thousand devices that come back at once take the time that is left."""

Identify = Callable[[Client, Connect], Awaitable[Identity | None]]
"""Who a client is by its credentials; None if they are wrong. It may raise `StoreUnavailable`."""


def give_way() -> None:
    """Lower the priority of the thread that calls (Linux knows one for each thread)."""
    os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), LOGIN_NICENESS)


class Authenticating:
    """Logins that are being checked.

    Args:
        hub: has its door when the first client comes.
        identify: checks credentials.
        remembers: whether a name and secret were right before, answered at once; such a login is never slowed down.
        logins: what failed lately, and who must wait for it.
        on_failed: called with each failed login.
    """

    def __init__(self, hub: Hub, *, identify: Identify, remembers: Callable[[str, str], bool], logins: Logins, on_failed: Callable[[Failed], None]) -> None:
        self._hub = hub
        self._identify = identify
        self._remembers = remembers
        self._logins = logins
        self._on_failed = on_failed
        self._tasks: set[asyncio.Task[None]] = set()
        self._checking = asyncio.Semaphore(AUTHENTICATIONS_MAX)
        self._lookups_fail = False

    def start(self, client: Client, connect: Connect) -> None:
        """Begin to check what a client says of itself; it is told with `authenticated` or `unavailable`."""
        if len(self._tasks) >= AUTHENTICATIONS_WAITING_MAX:
            client.unavailable()
            return
        task = asyncio.get_running_loop().create_task(self._stand_in_line(client, connect), name=f"authenticate {client.peer}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def stop(self) -> None:
        """Check nothing more."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _stand_in_line(self, client: Client, connect: Connect) -> None:
        name, source = (client.device or "")[:NAME_CHARS_MAX], client.peer.rpartition(":")[0]
        # A client that was right before, or shows a certificate, costs no work worth bounding, and does not wait for those that guess.
        is_quick = self._remembers(connect.username or "", connect.password or "") or (connect.password is None and client.certificate is not None)
        if is_quick:
            await self._check(client, connect, name, source)
            return
        if (brake := self._brake(name, source)) is not None and not await self._wait(client, brake):
            return
        async with self._checking:
            if brake is None and self._brake(name, source) is not None:
                self._hub.door.counters.slowed += 1
                self._put_off(client)  # others failed while it stood in line: it is to come again, and wait
                return
            await self._check(client, connect, name, source)

    def _brake(self, name: str, source: str) -> Brake | None:
        return self._logins.brake(name, source, self._hub.door.now_s())

    def _put_off(self, client: Client) -> None:
        client.unavailable()
        self._hub.flush()

    async def _wait(self, client: Client, brake: Brake) -> bool:
        """Let a login wait that must; False if too many wait already."""
        self._hub.door.counters.slowed += 1
        if not self._logins.has_place(brake):
            self._put_off(client)
            return False
        with self._logins.waiting(brake):
            await asyncio.sleep(brake.delay_s)
        return True

    async def _check(self, client: Client, connect: Connect, name: str, source: str) -> None:
        if client.state is not State.AUTHENTICATING:
            return  # it hung up while it waited; its password is not worth the time
        try:
            identity = await self._identify(client, connect)
        except StoreUnavailable as error:
            # Who it is can't be looked up now: that is no wrong password, and the device is to come again.
            if not self._lookups_fail:
                logger.error("logins can't be looked up (%s), and are put off until they can: %s", error, error.fix)
            self._lookups_fail = True
            self._put_off(client)
            return
        self._lookups_fail = False
        if identity is None:
            door = self._hub.door
            self._on_failed(self._logins.failed(name, source, now_s=door.now_s(), now_ms=door.now_ms()))
        elif connect.password is not None and connect.username == identity.device:  # a laboratory lets in any name
            self._logins.known.add(name, source)
        client.authenticated(identity)
        self._hub.flush()
