"""Processes that start quickly: each is forked from a process that has already imported the bridge, which takes most of the start-up time.

It is a process like any other: it has its own memory and files, it ends by itself or by a signal, and a kill ends only this process. That
`dockbridge` also starts in a fresh interpreter is tested in `tests/cli`.
"""

from __future__ import annotations

import multiprocessing
import os
import resource
import runpy
import signal
import sys
from collections.abc import Mapping, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import IO, Final

from bridge.entrypoints.cli.main import main

_FORKS: Final = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload(["bridge.entrypoints.cli.main", "firmware_sim.sweep", "uvloop", "pydantic.type_adapter", "encodings.idna"])
"""The bridge, and the modules that it imports when it serves: typer imports pydantic if it is installed."""


class Forked:
    """A Python program in a process of its own, with the part of the interface of `subprocess.Popen` that tests of servers use.

    Args:
        arguments: its `sys.argv`: a program's file first, or `dockbridge`.
        log: a file to which its standard error is appended; without one it is discarded.
        limits: `resource` limits of the process, soft and hard.
    """

    def __init__(
        self,
        arguments: Sequence[str | Path],
        *,
        log: Path | None = None,
        environment: Mapping[str, str] | None = None,
        folder: Path | None = None,
        limits: Mapping[int, int] | None = None,
    ) -> None:
        heard, said = _FORKS.Pipe(duplex=False)
        how = (list(map(str, arguments)), said, str(log or os.devnull), dict(environment or os.environ), str(folder or Path.cwd()), dict(limits or {}))
        self._process = _FORKS.Process(target=_run, args=how)
        self._process.start()
        said.close()
        self.stdout: IO[str] = os.fdopen(os.dup(heard.fileno()))
        heard.close()

    @property
    def pid(self) -> int:
        assert self._process.pid is not None
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        return self._process.exitcode

    def poll(self) -> int | None:
        """The exit code, or None if it still runs."""
        return self._process.exitcode

    def wait(self, timeout_s: float | None = None) -> int:
        """Waits until the process has ended; returns its exit code.

        Raises:
            TimeoutError: if the process has not ended in time.
        """
        self._process.join(timeout_s)
        code = self._process.exitcode
        if code is None:
            raise TimeoutError(f"the process {self.pid} has not ended within {timeout_s} s")
        return code

    def send_signal(self, number: signal.Signals) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


def _run(arguments: list[str], said: Connection, log: str, environment: dict[str, str], folder: str, limits: dict[int, int]) -> None:
    """What the new process does instead of a start from scratch."""
    os.dup2(said.fileno(), 1)
    said.close()
    with open(log, "ab") as heard:
        os.dup2(heard.fileno(), 2)
    sys.stdout = os.fdopen(1, "w", encoding="utf-8", closefd=False)
    sys.stderr = os.fdopen(2, "w", encoding="utf-8", closefd=False, buffering=1)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    for number, limit in limits.items():
        resource.setrlimit(number, (limit, limit))
    sys.argv = arguments
    if arguments[0] == "dockbridge":
        main()
    else:
        runpy.run_path(arguments[0], run_name="__main__")
