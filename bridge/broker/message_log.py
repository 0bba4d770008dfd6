"""The loop's view of the message log: which sessions are still owed what, and which rows of the log and of its sessions are to be written next."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import NamedTuple

from bridge.broker.codec.outgoing import Outgoing
from bridge.broker.sessions import Session, Unstored
from bridge.ingest.items import SessionProgress
from bridge.ingest.ports import NOT_YET, NotYet, StoredMessages


class Due(NamedTuple):
    """What is to be written: rows of sessions, places that no session is owed any more, and what waits for it."""

    rows: tuple[SessionProgress, ...]
    finished: tuple[int, ...]
    unstored: tuple[Unstored, ...]


class MessageLog:
    """See `sessions.Log`.

    Args:
        stored: what is not in memory any more is read there.
        recent_bytes_max: payloads of the newest messages that are kept in memory.
    """

    def __init__(self, stored: StoredMessages, recent_bytes_max: int) -> None:
        self.last_pos = 0
        self.is_urgent = False
        self._stored = stored
        self._recent: OrderedDict[int, Outgoing] = OrderedDict()
        self._recent_bytes = 0
        self._recent_bytes_max = recent_bytes_max
        self._owners: dict[int, int] = {}
        self._finished: list[int] = []
        self._changed: dict[Session, None] = {}

    def __len__(self) -> int:
        """Messages that a session is owed."""
        return len(self._owners)

    def owe(self, pos: int, owners: int, message: Outgoing | None = None) -> None:
        """A message of the log was published to so many sessions."""
        self.last_pos = max(self.last_pos, pos)
        if not owners:
            self._finished.append(pos)
            return
        self._owners[pos] = owners
        if message is not None:
            self._recent[pos] = message
            self._recent_bytes += message.size
            while self._recent_bytes > self._recent_bytes_max:
                self._recent_bytes -= self._recent.popitem(last=False)[1].size

    def owners(self, pos: int) -> int:
        """How many sessions are owed the message at a place."""
        return self._owners.get(pos, 0)

    def read(self, positions: Sequence[int]) -> dict[int, Outgoing] | NotYet:
        recent = self._recent
        found = {pos: recent[pos] for pos in positions if pos in recent}
        if len(found) < len(positions):
            fetched = self._stored.fetch([pos for pos in positions if pos not in found])
            if fetched is NOT_YET:
                return NOT_YET
            found.update((pos, Outgoing(*message)) for pos, message in fetched.items())
        return found

    def finished(self, pos: int) -> None:
        owners = self._owners.get(pos)
        if owners is None:
            return
        if owners > 1:
            self._owners[pos] = owners - 1
            return
        del self._owners[pos]
        self._finished.append(pos)
        message = self._recent.pop(pos, None)
        if message is not None:
            self._recent_bytes -= message.size

    def changed(self, session: Session, *, now: bool = False) -> None:
        self._changed[session] = None
        self.is_urgent = self.is_urgent or now

    def forget(self, session: Session) -> None:
        """A persistent session ended: it is owed nothing any more."""
        self._changed.pop(session, None)
        for pos in session.owed_positions():
            self.finished(pos)

    def take_due(self) -> Due | None:
        """What is to be written now, once; None if nothing is."""
        self.is_urgent = False
        if not (self._changed or self._finished):
            return None
        sessions = [s for s in self._changed if not s.ended]
        due = Due(
            tuple(s.progress() for s in sessions),
            tuple(self._finished),
            tuple(u for s in sessions if (u := s.unstored()) is not None),
        )
        self._changed = {}
        self._finished = []
        return due
