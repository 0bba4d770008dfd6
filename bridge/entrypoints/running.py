"""A server process while it runs: its signals, and what the service manager hears of it."""

from __future__ import annotations

import asyncio
import logging
import os
import signal

from bridge.app import Application
from bridge.entrypoints.control.users import own_user
from bridge.entrypoints.notify import READY, STOPPING, ServiceManager
from bridge.errors import BridgeError
from bridge.ingest.ports import StoreUnavailable
from bridge.operations import server
from bridge.operations.acts import carry_out

logger = logging.getLogger("dockbridge")


class Signals:
    """The signals of the process, as events. Ctrl-C and SIGTERM stop it, SIGHUP has it read its configuration again.

    SIGHUP also means that the terminal was closed; then it stops a server that was started in one.
    """

    def __init__(self) -> None:
        self.stop = asyncio.Event()
        self.reload = asyncio.Event()
        self._has_terminal = _has_terminal()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self.stop.set)
        loop.add_signal_handler(signal.SIGHUP, self._hung_up)

    def _hung_up(self) -> None:
        (self.stop if self._has_terminal and not _has_terminal() else self.reload).set()


async def run_until_stopped(app: Application, signals: Signals, manager: ServiceManager) -> None:
    """Wait until the process is to stop, or a part of the server has failed. Meanwhile obey SIGHUP, and keep the service manager informed."""
    manager.notify(READY)
    beside = [asyncio.create_task(_reload(app, signals.reload, manager), name="reload"), asyncio.create_task(manager.keep_alive(), name="watchdog")]
    ends = [asyncio.create_task(event.wait(), name="end") for event in (signals.stop, app.failed)]
    await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
    for task in (*ends, *beside):
        task.cancel()
    await asyncio.gather(*ends, *beside, return_exceptions=True)
    manager.notify(STOPPING)


async def _reload(app: Application, asked: asyncio.Event, manager: ServiceManager) -> None:
    """Read the configuration again whenever SIGHUP came. The kernel does not say who sent it: the audit log has the server's own user."""
    while True:
        await asked.wait()
        asked.clear()
        manager.reloading()
        try:
            await carry_out(app, f"{own_user()} (SIGHUP)", server.reload, {})
        except (BridgeError, StoreUnavailable) as error:
            logger.error("SIGHUP: %s; %s", error, error.fix)
        except Exception:
            logger.exception("SIGHUP: the server failed to read its configuration again")
        manager.notify(READY)


def _has_terminal() -> bool:
    """Whether the process has a terminal that stands. One that was closed can't be opened any more (tty(4))."""
    try:
        os.close(os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY))
    except OSError:
        return False
    return True


__all__ = ["Signals", "run_until_stopped"]
