"""Processes of the server side: started on its core, measured together, and stopped."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.machine import Cores
from devices.protocol.vocabulary import Role

START_S: Final = 60.0
STOP_S: Final = 60.0
CHECKOUT: Final = Path(__file__).parents[3]


@dataclass(frozen=True, slots=True)
class Usage:
    """What the whole server side has used: processor seconds since its start, current and highest memory in MB (the sum over its processes)."""

    cpu_s: float
    memory_mb: float
    peak_mb: float


def environment() -> dict[str, str]:
    """The environment of a process, which must find the modules that this process has found."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(CHECKOUT / "tests"), str(CHECKOUT), *(p for p in sys.path if p)])}


class Processes:
    """The processes of one contestant."""

    def __init__(self, cores: Cores) -> None:
        self._cores = cores
        self._running: list[subprocess.Popen[str]] = []

    def spawn(self, command: Sequence[str], *, give: str | None = None, until: str | None = None, log: Path | None = None) -> str:
        """Start a process on the server's core. With `until`, waits for a line with that text on its stdout, and returns it.

        Raises:
            RuntimeError: if the process ends before that.
        """
        with open(log or os.devnull, "a") as errors:
            process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE if give is not None else subprocess.DEVNULL,
                stdout=subprocess.PIPE if until is not None else subprocess.DEVNULL,
                stderr=errors,
                text=True,
                cwd=CHECKOUT,
                env=environment(),
                preexec_fn=self.prepare,
            )
        self._running.append(process)
        if give is not None:
            assert process.stdin is not None
            process.stdin.write(give)
            process.stdin.close()
        if until is None:
            return ""
        assert process.stdout is not None
        for line in process.stdout:
            if until in line:
                return line
        raise RuntimeError(f"`{' '.join(command)}` ended with {process.wait()}" + (f": {log.read_text()[-2_000:]}" if log is not None else ""))

    def take(self, process: subprocess.Popen[str]) -> None:
        """Also measure and stop a process that was started elsewhere, with `prepare`."""
        self._running.append(process)

    def prepare(self) -> None:
        """Called in a process before it starts."""
        self._cores.pin_server()
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))

    def usage(self) -> Usage:
        pids = [p.pid for p in self._running if p.poll() is None]
        return Usage(sum(map(_cpu_s, pids)), sum(_memory_mb(p, "VmRSS") for p in pids), sum(_memory_mb(p, "VmHWM") for p in pids))

    def stop(self) -> None:
        """Stop them, the last started first: a consumer before its broker."""
        for process in reversed(self._running):
            with suppress(ProcessLookupError):
                process.send_signal(signal.SIGTERM)
            try:
                process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            if process.stdout is not None:
                process.stdout.close()
        self._running.clear()


class Server(ABC):
    """A running contestant."""

    host = "127.0.0.1"
    password: str | None = None
    port: int

    def __init__(self, cores: Cores) -> None:
        self._processes = Processes(cores)

    def usage(self) -> Usage:
        return self._processes.usage()

    def stop(self) -> None:
        """Stop every process; returns once they have ended."""
        self._processes.stop()

    @abstractmethod
    def stored(self) -> int:
        """How many events are in its database, once it has stopped."""


Start = Callable[[Path, Mapping[str, Role], Cores], Server]
"""(an empty folder, names and roles of the devices that will connect, cores) → a server that is ready."""


def _cpu_s(pid: int) -> float:
    """User and system time of a process (proc(5)); 0 if the system has no /proc."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _memory_mb(pid: int, field: str) -> float:
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith(field + ":")), 0.0)


def wait_for(condition: Callable[[], bool], what: str) -> None:
    """Wait until a condition is true.

    Raises:
        TimeoutError: if it is not true within a minute.
    """
    end_s = time.monotonic() + START_S
    while not condition():
        if time.monotonic() > end_s:
            raise TimeoutError(f"waited too long for {what}")
        time.sleep(0.02)
