"""A server that can be killed: what a run needs of one, and any broker that a command line starts."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import time
from collections import Counter
from contextlib import suppress
from typing import Final, Protocol

from firmware_sim.errors import ServerEnded

START_S: Final = 30.0
STOP_S: Final = 20.0
_LOOK_EVERY_S: Final = 0.01


class Server(Protocol):
    """A server process on a fixed address."""

    @property
    def address(self) -> tuple[str, int]: ...

    async def start(self, kill_at: str | None) -> bool:
        """Start it and wait until it is ready; with `kill_at` ("label:nth") it kills itself at that point. False where it did so before it was ready.

        Raises:
            ServerEnded: it does not come up.
        """
        ...

    @property
    def is_dead(self) -> bool: ...

    def kill(self) -> int:
        """SIGKILL, to it and all that it started; how it ended (a negative number is a signal's)."""
        ...

    def stop(self) -> None:
        """SIGTERM, and SIGKILL where that does not help."""
        ...

    def stored(self) -> Counter[bytes] | None:
        """How often each event id stands in its log, read while it does not run; None where nobody can look."""
        ...


class ServerProcess:
    """A server's process and its group. Subclasses start it."""

    def __init__(self) -> None:
        self.process: subprocess.Popen[str] | None = None

    @property
    def is_dead(self) -> bool:
        return self.process is None or self.process.poll() is not None

    def kill(self) -> int:
        assert self.process is not None
        self._signal(signal.SIGKILL)
        code = self.process.wait()
        self._close()
        return code

    def stop(self) -> None:
        if self.process is None:
            return
        if not self.is_dead:
            self._signal(signal.SIGTERM)
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(STOP_S)
        self.kill()

    def _signal(self, number: signal.Signals) -> None:
        assert self.process is not None
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, number)

    def _close(self) -> None:
        if self.process is not None and self.process.stdout is not None:
            self.process.stdout.close()


class ForeignServer(ServerProcess):
    """Any MQTT broker that a command line starts in the foreground."""

    def __init__(self, command: str, host: str, port: int) -> None:
        super().__init__()
        self.address = (host, port)
        self._command = command

    async def start(self, kill_at: str | None) -> bool:
        assert kill_at is None, "only our own server has labelled points"
        if self._listens():
            raise ServerEnded("something listens at the address already", fix="end it; --restart-with starts the broker itself")
        process = self.process = self._started()
        end_s = time.monotonic() + START_S
        while not self._listens():
            if process.poll() is not None:
                raise ServerEnded(f"`{self._command}` ended with {process.returncode}", fix="see why by running it; it must stay in the foreground")
            if time.monotonic() > end_s:
                raise ServerEnded(f"`{self._command}` does not listen at {self.address[0]}:{self.address[1]}", fix="give the address that it listens at")
            await asyncio.sleep(_LOOK_EVERY_S)
        return True

    def stored(self) -> Counter[bytes] | None:
        return None

    def _started(self) -> subprocess.Popen[str]:
        quiet = subprocess.DEVNULL
        return subprocess.Popen(self._command, shell=True, stdout=quiet, stderr=quiet, text=True, start_new_session=True)  # noqa: S602 -- the user's own words

    def _listens(self) -> bool:
        try:
            socket.create_connection(self.address, 1.0).close()
        except OSError:
            return False
        return True
