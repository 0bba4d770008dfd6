"""A firmware as a program of its own: commands go in, answers and news come out, one JSON object in a line. The README has the protocol."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from asyncio.subprocess import PIPE, Process
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Final

from firmware_sim.errors import ClientFailed

ANSWER_S: Final = 20.0
"""A command is answered within this time."""
STOP_S: Final = 10.0
"""A program ends within this time after it was told to stop."""
LINE_BYTES_MAX: Final = 16 * 1024 * 1024
LAST_WORDS: Final = 5
"""Lines of stderr that are named if it ends by itself."""

Plain = dict[str, Any]


class Program:
    """One process, from its start to its end.

    Args:
        device: for messages.
        on_news: takes each line that is not an answer.
        on_said: takes each line of its stderr.
        on_failed: called when it ends or breaks the protocol, whether or not it was asked something.
    """

    def __init__(
        self,
        device: str,
        command: Sequence[str],
        *,
        on_news: Callable[[Plain], None],
        on_said: Callable[[str], None],
        on_failed: Callable[[ClientFailed], None],
    ) -> None:
        self._device = device
        self._command = command
        self._on_news = on_news
        self._on_said = on_said
        self._on_failed = on_failed
        self._last_words: deque[str] = deque(maxlen=LAST_WORDS)
        self._process: Process | None = None
        self._asked = 0
        self._answers: dict[int, asyncio.Future[Plain]] = {}
        self._failure: ClientFailed | None = None
        self._readers: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """
        Raises:
            ClientFailed: it can't be started.
        """
        try:
            # A session of its own: the command may be a shell that starts the program, and all of it must die.
            self._process = await asyncio.create_subprocess_exec(
                *self._command, stdin=PIPE, stdout=PIPE, stderr=PIPE, limit=LINE_BYTES_MAX, start_new_session=True
            )
        except OSError as error:
            raise ClientFailed(f"{self._command[0]} can't be started: {error.strerror}", fix="give --client a command that runs in this folder") from error
        self._readers = [asyncio.create_task(work(self._process), name=f"{work.__name__} of {self._device}") for work in (self._read, self._listen)]

    async def ask(self, what: str, **fields: Any) -> Plain:
        """Give a command; its answer.

        Raises:
            ClientFailed: it says that it could not, says nothing in time, says what is no answer, or ends.
        """
        assert self._process is not None
        assert self._process.stdin is not None
        if self._failure is not None:
            raise self._failure
        self._asked += 1
        no, answer = self._asked, asyncio.get_running_loop().create_future()
        self._answers[no] = answer
        said = {"do": what, "n": no, **{name: value for name, value in fields.items() if value is not None}}
        self._process.stdin.write(json.dumps(said).encode() + b"\n")
        try:
            async with asyncio.timeout(ANSWER_S):
                told: Plain = await answer
        except TimeoutError:
            raise ClientFailed(f"the program of {self._device} did not answer to {said} within {ANSWER_S:g} s", fix='answer with {"n": …}') from None
        finally:
            del self._answers[no]
        if "error" in told:
            raise ClientFailed(f"the program of {self._device} answered to {said}: {told['error']}")
        return told

    async def stopped(self) -> bool:
        """Wait until it has ended by itself. Returns False if it does not."""
        if self._process is not None:
            with suppress(TimeoutError):
                async with asyncio.timeout(STOP_S):
                    await self._process.wait()
        return self._process is None or self._process.returncode is not None

    async def kill(self) -> None:
        """End it with SIGKILL, whatever it does."""
        for reader in self._readers:
            reader.cancel()
        if self._process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            await self._process.wait()
            if self._process.stdin is not None:
                self._process.stdin.close()
        await asyncio.gather(*self._readers, return_exceptions=True)

    # --- what it says -------------------------------------------------------------------------------------------------------------

    async def _read(self, process: Process) -> None:
        assert process.stdout is not None
        line = b""
        try:
            while line := await process.stdout.readline():
                self._take(json.loads(line))
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            self._fail(f"the program of {self._device} wrote a line that can't be read ({error!r}): {line[:200]!r}")
            return
        code = await process.wait()
        words = "; ".join(self._last_words)
        self._fail(f"the program of {self._device} ended by itself, with {code}" + (f": {words}" if words else ""))

    def _take(self, said: Plain) -> None:
        if "n" not in said:
            self._on_news(said)
        elif (answer := self._answers.get(said["n"])) is not None and not answer.done():
            answer.set_result(said)

    async def _listen(self, process: Process) -> None:
        assert process.stderr is not None
        while line := await process.stderr.readline():
            self._last_words.append(line.decode(errors="replace").rstrip())
            self._on_said(self._last_words[-1])

    def _fail(self, why: str) -> None:
        self._failure = ClientFailed(why, fix="run the command by hand, and give it the lines that the README of firmware-sim shows")
        for answer in self._answers.values():
            if not answer.done():
                answer.set_exception(self._failure)
        self._on_failed(self._failure)
