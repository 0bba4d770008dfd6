"""A run's own server: a process that is told how its disk is, is killed, is started again, and whose memory is looked at."""

from __future__ import annotations

import asyncio
import json
import os
import resource
import signal
import sqlite3
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, Final

from bridge.config import DATABASE_NAME
from firmware_sim.errors import ServerEnded
from firmware_sim.record import SERVER, Entry, Noted, Record, ServerKilled, ServerStarted

START_S: Final = 30.0
STOP_S: Final = 30.0
START_RETRY_S: Final = 2.0
"""Between two starts of a server that could not start."""
STARTS_MAX: Final = 20
"""Starts in a row that fail before the run is given up."""
MEMORY_EVERY_S: Final = 1.0


class OwnServer:
    """A site's folder, and the process that serves it.

    Args:
        speed: a server that was killed is away for so many times less.
    """

    def __init__(self, folder: Path, record: Record, now_ms: Callable[[], int], *, speed: float) -> None:
        self.address: tuple[str, int] | None = None
        """Where it listens; None while it does not."""
        self.failed: ServerEnded | None = None
        """Set where it does not come up any more."""
        self._folder = folder
        self._record = record
        self._now_ms = now_ms
        self._speed = speed
        self._process: Process | None = None
        self._said = {"slow": "slow 0 0", "full": "full 0", "kill": "kill -"}
        self._point = ""
        self._down_ms = 0
        self._is_dying = False
        self._starts = 0
        self._is_stopping = False
        self._tasks: set[asyncio.Task[Any]] = set()

    @property
    def is_up(self) -> bool:
        return self.address is not None

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process is not None else None

    # --- living -------------------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Start it, and wait until it is ready, or has ended; who starts it again after that is `_watch`.

        Raises:
            ServerEnded: it never came up.
        """
        stored = await asyncio.to_thread(self._stored)
        command = (sys.executable, "-m", "firmware_sim.link.served", str(self._folder))
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
        process = self._process = await asyncio.create_subprocess_exec(*command, stdin=PIPE, stdout=PIPE, stderr=PIPE, env=environment)
        for said in self._said.values():
            self._tell(said)
        self._spawn(self._watch(process))
        self._spawn(self._listen(process))
        assert process.stdout is not None
        with suppress(TimeoutError):
            async with asyncio.timeout(START_S):
                line = await process.stdout.readline()
                if line:
                    host, _, port = json.loads(line)["addresses"]["mqtt"].removeprefix("mqtt://").rpartition(":")
                    self._starts = 0
                    self._see(ServerStarted(self._now_ms(), stored))
                    self.address = (host, int(port))
                    self._spawn(self._look_at_memory(process))
                return
        self._starts += 1
        process.kill()

    async def stop(self) -> None:
        """Let it finish what it took in."""
        self._is_stopping = True
        process = self._process
        if process is not None and process.returncode is None:
            process.terminate()
            try:
                await asyncio.wait_for(process.wait(), STOP_S)
            except TimeoutError:
                self._record.end.troubles.append(f"the server did not end within {STOP_S:g} s")
                process.kill()
                await process.wait()
        self.address = None
        await self._let_go()

    async def abandon(self) -> None:
        """End it, whatever it does."""
        self._is_stopping = True
        if self._process is not None and self._process.returncode is None:
            self._process.kill()
            await self._process.wait()
        await self._let_go()

    async def _let_go(self) -> None:
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.close()
        _, pending = await asyncio.wait(self._tasks, timeout=START_RETRY_S) if self._tasks else ((), ())
        for task in pending:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _watch(self, process: Process) -> None:
        """When it ends, it is started again."""
        code = await process.wait()
        if process is not self._process or self._is_stopping:
            return
        was_up, self.address = self.is_up, None
        if process.stdin is not None:
            process.stdin.close()
        if code == -signal.SIGKILL:
            if not self._is_dying and self._point:
                self._see(ServerKilled(self._now_ms(), self._point))
                self._point, self._said["kill"] = "", "kill -"
            self._is_dying = False
            pause_s = self._down_ms / 1000 / self._speed
        else:
            self._starts += 1
            pause_s = START_RETRY_S
            self._see(Noted(self._now_ms(), SERVER, f"ended by itself, with {code}"))
            if was_up:
                self._record.end.troubles.append(f"the server ended by itself, with {code}")
        if self._starts >= STARTS_MAX:
            self.failed = ServerEnded(f"the server does not start: it ended with {code}", fix="see the record for what it said")
            return
        await asyncio.sleep(pause_s)
        if not self._is_stopping:
            await self.start()

    # --- what is done to it -----------------------------------------------------------------------------------------------------

    def slow(self, commit_ms: int, jitter_ms: int) -> None:
        self._say("slow", f"slow {commit_ms} {jitter_ms}")

    def fill(self, *, full: bool) -> None:
        self._say("full", f"full {int(full)}")

    def kill(self, point: str, down_ms: int) -> None:
        """Let it die at the next pass of a point, or now; it is away for a while then."""
        if point == "anywhere":
            if self.address is not None and self._process is not None and self._process.returncode is None:
                self.address = None
                self._is_dying = True
                self._down_ms = down_ms
                self._see(ServerKilled(self._now_ms(), point))
                self._process.kill()
            return
        self._down_ms, self._point = down_ms, point
        self._say("kill", f"kill {point}")

    def spare(self) -> None:
        """Let it live from now on, with a disk as usual."""
        self._point = ""
        for key, line in (("kill", "kill -"), ("full", "full 0"), ("slow", "slow 0 0")):
            self._say(key, line)

    def _say(self, key: str, line: str) -> None:
        self._said[key] = line
        self._tell(line)

    def _tell(self, line: str) -> None:
        if self._process is not None and self._process.stdin is not None and not self._process.stdin.is_closing():
            self._process.stdin.write(f"{line}\n".encode())

    # --- what is seen of it -----------------------------------------------------------------------------------------------------

    def _stored(self) -> tuple[tuple[str, bytes], ...]:
        """The events in its log, as (device, id), in the file as it left it."""
        with closing(sqlite3.connect(f"{(self._folder / DATABASE_NAME).absolute().as_uri()}?mode=ro", uri=True)) as db:
            return tuple(db.execute("SELECT device, id FROM events ORDER BY pos"))

    def alerts(self) -> list[tuple[str, str]]:
        """The alerts that stand now, as (code, subject)."""
        with closing(sqlite3.connect(f"{(self._folder / DATABASE_NAME).absolute().as_uri()}?mode=ro", uri=True)) as db:
            return list(db.execute("SELECT code, subject FROM alerts"))

    async def _listen(self, process: Process) -> None:
        """What it says to whoever looks after it."""
        assert process.stderr is not None
        while line := await process.stderr.readline():
            self._see(Noted(self._now_ms(), SERVER, line.decode(errors="replace").rstrip()))

    async def _look_at_memory(self, process: Process) -> None:
        while process.returncode is None and not self._is_stopping:
            with suppress(OSError, IndexError):
                self._record.memory.append((self._now_ms(), _resident(process.pid)))
            await asyncio.sleep(MEMORY_EVERY_S)

    def _see(self, entry: Entry) -> None:
        self._record.entries.append(entry)

    def _spawn(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _resident(pid: int) -> int:
    """What a process holds of the machine's memory, bytes."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * resource.getpagesize()
