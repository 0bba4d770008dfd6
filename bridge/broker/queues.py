"""What waits for a client: in memory for a clean session, as places in the message log for a persistent one."""

from __future__ import annotations

from array import array
from collections import deque
from collections.abc import Sequence
from typing import Final, NamedTuple, Protocol

from bridge.broker.codec.outgoing import Outgoing
from bridge.ingest.ports import NOT_YET, NotYet

RETAIN, DUP = 4, 8
"""Bits beside the QoS in the codes of a queue, and in the rows of a session."""
_BITS: Final = 5
_READ_AHEAD: Final = 64
"""Messages that are read from the log at a time."""


class LogReader(Protocol):
    """The message log, as a queue needs it."""

    def read(self, positions: Sequence[int]) -> dict[int, Outgoing] | NotYet:
        """Messages by their places; those that are gone are missing."""
        ...


class Owed(NamedTuple):
    """A message for one session. `message` is None if it is gone from the log. `pos` is 0 if it is not in the log."""

    message: Outgoing | None
    qos: int
    retain: bool = False
    pos: int = 0
    dup: bool = False


class Queue(Protocol):
    """What waits, oldest first."""

    def __len__(self) -> int: ...

    def push(self, owed: Owed) -> None: ...

    @property
    def is_full(self) -> bool: ...

    def pop(self) -> Owed | NotYet:
        """Take the oldest."""
        ...

    def put_back(self, owed: Owed) -> None:
        """What was taken last is the oldest again: it can't be sent yet."""
        ...

    def drop(self) -> int:
        """Let go of the oldest; its place in the log."""
        ...


class MemoryQueue:
    """The queue of a clean session: it ends with the connection.

    Args:
        messages_max, bytes_max: what is kept at most.
    """

    def __init__(self, messages_max: int, bytes_max: int) -> None:
        self._waiting: deque[Owed] = deque()
        self._bytes = 0
        self._messages_max = messages_max
        self._bytes_max = bytes_max

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def is_full(self) -> bool:
        return len(self._waiting) >= self._messages_max or self._bytes >= self._bytes_max

    def push(self, owed: Owed) -> None:
        self._waiting.append(owed)
        self._bytes += owed.message.size if owed.message is not None else 0

    def pop(self) -> Owed:
        owed = self._waiting.popleft()
        self._bytes -= owed.message.size if owed.message is not None else 0
        return owed

    def put_back(self, owed: Owed) -> None:
        self._waiting.appendleft(owed)
        self._bytes += owed.message.size if owed.message is not None else 0

    def drop(self) -> int:
        self.pop()
        return 0


class LogQueue:
    """The queue of a persistent session: places in the message log, eight bytes each."""

    def __init__(self, messages_max: int, log: LogReader) -> None:
        self._codes = array("q")
        self._head = 0
        self._ahead: dict[int, Outgoing] = {}
        self._messages_max = messages_max
        self._log = log

    def __len__(self) -> int:
        return len(self._codes) - self._head

    @property
    def is_full(self) -> bool:
        return len(self) >= self._messages_max

    def positions(self) -> list[int]:
        """The places of what waits, oldest first."""
        return [code >> _BITS for code in self._codes[self._head :]]

    @property
    def first_pos(self) -> int:
        return self._codes[self._head] >> _BITS

    def push(self, owed: Owed) -> None:
        self._codes.append(_code(owed))

    def pop(self) -> Owed | NotYet:
        code = self._codes[self._head]
        pos = code >> _BITS
        message = self._ahead.pop(pos, None)
        if message is None:
            found = self._log.read([c >> _BITS for c in self._codes[self._head : self._head + _READ_AHEAD]])
            if found is NOT_YET:
                return NOT_YET
            self._ahead = found
            message = found.pop(pos, None)
        self._advance()
        return Owed(message, code & 3, bool(code & RETAIN), pos, bool(code & DUP))

    def put_back(self, owed: Owed) -> None:
        if self._head:
            self._head -= 1
        else:
            self._codes.insert(0, _code(owed))
        if owed.message is not None:
            self._ahead[owed.pos] = owed.message

    def drop(self) -> int:
        pos = self.first_pos
        self._ahead.pop(pos, None)
        self._advance()
        return pos

    def forget_ahead(self) -> None:
        """The client is away: payloads that were read for it are not kept."""
        self._ahead = {}

    def _advance(self) -> None:
        self._head += 1
        if self._head >= 4_096 and self._head * 2 >= len(self._codes):
            del self._codes[: self._head]
            self._head = 0


def _code(owed: Owed) -> int:
    return owed.pos << _BITS | (RETAIN if owed.retain else 0) | (DUP if owed.dup else 0) | owed.qos
