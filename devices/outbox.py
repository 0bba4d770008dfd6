"""The outbox: every event is on disk before `put` returns, and waits there until the server has acknowledged it.

Acknowledged events are kept for a time, because a server whose database was restored from a backup asks for them again. The outbox also keeps what the server
said, so that a receipt can be read after its event has left, and after a restart. It is one file (`outbox_file.py`) of one device, used by one process.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from sqlite3 import Connection
from typing import Final, NamedTuple

from devices import outbox_rows as rows
from devices.errors import Closed, DiskFull, InvalidEvent, OutboxError, OutboxFull, OutboxGone
from devices.outbox_file import OutboxFile, T
from devices.outbox_rows import LOG_BYTES, Answer, Entry, Log, Sized
from devices.run import Run

EVENTS_MAX: Final = 100_000
RECEIPTS_MAX: Final = 20_000
KEPT_MAX: Final = 50_000
RESEND_H: Final = 48.0
LOCK_WAIT_S: Final = 1.0
LOGS_MAX: Final = 16
"""So many logs are announced to the server: the present one, and the newest earlier ones of which something may be kept."""
SENT_BYTES_MAX: Final = 8
"""A payload grows by no more when `sent_*` are set anew."""
SURE_BYTES_MAX: Final = 768
"""Every server takes payloads of so many bytes (a packet of 1,024 is the least that it can be set to)."""

_HOUR_MS: Final = 3_600_000
_FORGET_EVERY_MS: Final = 60_000
_NO_LIMIT: Final = 2**63 - 1

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class OutboxLimits:
    """How much an outbox holds: events that wait; receipts, the newest; and how long acknowledged events are kept, if they are of the newest `kept_max`."""

    events_max: int = EVENTS_MAX
    receipts_max: int = RECEIPTS_MAX
    kept_max: int = KEPT_MAX
    resend_h: float = RESEND_H


class Made(NamedTuple):
    """An event that is to be stored. `payload` gives its content, once its log and its number in it are known."""

    id: bytes
    type: str
    payload: Callable[[bytes, int], bytes]


class Waiting(NamedTuple):
    """A log, the highest `seq` in it, and how many of its events wait."""

    log: bytes
    last_seq: int
    backlog: int


def owner_of(site: str, device: str) -> str:
    """The owner of a device's outbox."""
    return f"{site}/{device}"


class Outbox:
    """A durable queue of one device's events. Safe to use from several threads.

    `owner` names the site and device that the file belongs to: events never leave under another's name.

    Raises:
        OutboxLocked: another process has it open.
        WrongOwner: it belongs to another device.
        OutboxError: it cannot be opened, or a newer version of this library wrote it.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        owner: str,
        limits: OutboxLimits | None = None,
        lock_wait_s: float = LOCK_WAIT_S,
        random_bytes: Callable[[int], bytes] = os.urandom,
    ) -> None:
        self.path = Path(path)
        self._limits = limits or OutboxLimits()
        self._random_bytes = random_bytes
        self._lock = threading.Lock()
        self._file = OutboxFile(path, lock_wait_s=lock_wait_s)
        try:
            self._file.prepare(owner, random_bytes(LOG_BYTES))
            self._logs = rows.read_logs(self._file.rows)
            self._count: int = self._file.rows("SELECT count(*) FROM events")[0][0]
        except BaseException:
            self._file.close()
            raise
        self._run = Run(self._logs[-1].last_place)
        self._unwritten: dict[int, int] = {}
        """When events were acknowledged, by place, that the disk did not take yet."""
        self._payload_max = self._sure_max = _NO_LIMIT
        self._too_large: dict[bytes, int] = {}
        self._forgot_ms: int | None = None
        self._cannot_heal = False

    @property
    def log(self) -> bytes:
        """8 bytes, random when the file was created or its numbers began anew; `seq` is contiguous within it."""
        return self._logs[-1].log

    @property
    def last_seq(self) -> int:
        """The highest `seq` given out in this log; 0 in a new one."""
        return self._logs[-1].last_seq

    @property
    def backlog(self) -> int:
        """How many events are still to be acknowledged. Those that are too large for the server are not counted."""
        with self._lock:
            return self._count - len(self._unwritten) - len(self._too_large)

    # --- events ----------------------------------------------------------------------------------------------------------

    def put(self, made: Made) -> Entry:
        """Stores an event under the next `seq`. It is on disk when this returns.

        Raises:
            InvalidEvent: it is larger than the server takes.
            OutboxFull: `events_max` events wait already.
            OutboxGone: the file was deleted.
            DiskFull, OutboxError: it could not be stored.
        """
        return self.put_many([made])[0]

    def put_many(self, made: Sequence[Made]) -> list[Entry]:
        """Like `put` for many events in one commit: all of them are stored, or none."""
        with self._lock:
            waiting = self._count - len(self._unwritten)
            if waiting + len(made) > self._limits.events_max:
                raise OutboxFull(f"{waiting} of {self._limits.events_max} events wait")
            if not self._file.is_there:
                raise OutboxGone(self._heal() or "what was in it is in a new file, and so will be the next scan")
            log = self._logs[-1]
            entries = [self._numbered(event, log, seq) for seq, event in enumerate(made, start=log.last_seq + 1)]
            self._commit(lambda db: rows.add_events(db, log, entries))
            self._logs[-1] = log._replace(last_seq=log.last_seq + len(entries))
            self._count += len(entries)
        return entries

    def start_run(self) -> None:
        """Begins a new run of hand-outs, on a new connection: whatever was not acknowledged is backlog now.

        Events over `SURE_BYTES_MAX` wait for `limit_payload`: the server's limit may be lower since the last connection, and it hangs up on larger ones.
        """
        with self._lock:
            self._run = Run(self._logs[-1].last_place)
            self._sure_max = min(self._payload_max, SURE_BYTES_MAX - SENT_BYTES_MAX)

    def take(self, room: int) -> list[Entry]:
        """Up to `room` events to send next, each once a run: those made since the run began; then the backlog and what is sent again, oldest first."""
        with self._lock:
            return self._run.take(room, self._logs[-1].last_place, self._between, self._at)

    def send_again(self, log: bytes, first: int, last: int) -> None:
        """Hands out once more, in this run, those events of a log that were acknowledged and are kept.

        The request is not stored. If the connection ends before it is fulfilled, the server misses the same events at the next presence, and asks again.
        """
        with self._lock:
            for found in self._logs:
                if found.log == log and first <= found.last_seq:
                    places = self._places(rows.SENT_PLACES, found.base + first, found.base + min(last, found.last_seq))
                    self._run.send_again(places)

    def waits(self, place: int) -> bool:
        """Whether an event still waits for its acknowledgement."""
        with self._lock:
            return place not in self._unwritten and bool(self._file.rows("SELECT 1 FROM events WHERE place = ?", place))

    def logs(self) -> list[Waiting]:
        """The present log last, and before it the earlier ones of which something may be kept."""
        with self._lock:
            earlier = []
            for found in self._logs[-LOGS_MAX:-1]:
                places = self._places(rows.WAITING_PLACES, found.base + 1, found.last_place)
                earlier.append(Waiting(found.log, found.last_seq, len(places.difference(self._unwritten))))
            waiting = self._count - len(self._unwritten) - len(self._too_large)
            return [*earlier, Waiting(self.log, self.last_seq, waiting - sum(e.backlog for e in earlier))]

    def limit_payload(self, bytes_max: int) -> list[Sized]:
        """The server takes payloads of so many bytes. Returns those waiting events that are larger and were not before: they are set aside."""
        with self._lock:
            before, known = self._sure_max, self._too_large
            self._payload_max = self._sure_max = most = bytes_max - SENT_BYTES_MAX
            large = [Sized(*row) for row in self._file.rows(rows.LARGER, min(before, most))] if self._count else []
            self._run.release(event.place for event in large if before < event.size <= most)
            too_large = [event for event in large if event.size > most and event.place not in self._unwritten]
            self._too_large = {event.id: event.place for event in too_large}
            return [event for event in too_large if event.id not in known]

    def is_too_large(self, event_id: bytes) -> bool:
        """Whether an event is set aside, because it is larger than the server takes."""
        return event_id in self._too_large

    # --- what the server said --------------------------------------------------------------------------------------------

    def settle(
        self,
        acknowledged: Sequence[int],
        answers: Sequence[Answer] = (),
        *,
        now_ms: int,
        retained: Mapping[str, bytes] | None = None,
        new_log: bool = False,
    ) -> list[Answer]:
        """Notes acknowledged events (by `place`), keeps receipts and what is retained on topics (empty: nothing any more), in one commit.

        With `new_log` a new log begins, with `seq` from 1: for an outbox that was restored from a backup or copied, and would give out numbers that another
        event has. Returns the receipts that were news: the highest (`epoch`, `n`) holds.

        Raises:
            DiskFull, OutboxError: nothing was stored. What was acknowledged is remembered, and stored by the next call that succeeds.
        """
        with self._lock:
            again = self._run.acknowledge(acknowledged)
            self._unwritten.update((place, now_ms) for place in acknowledged if place not in again)
            if self._too_large:
                self._too_large = {event_id: place for event_id, place in self._too_large.items() if place not in self._unwritten}
            if not self._file.is_there:
                self._heal()
            fresh = self._logs[-1].next(self._random_bytes) if new_log else None
            forgets = self._forgot_ms is None or abs(now_ms - self._forgot_ms) >= _FORGET_EVERY_MS

            def work(db: Connection) -> tuple[int, list[Answer]]:
                gone = rows.let_go(db, self._unwritten, self._kept_from)
                db.executemany("UPDATE sent SET acknowledged_ms = ? WHERE place = ?", [(now_ms, place) for place in again])
                if forgets:
                    rows.forget(db, now_ms - round(self._limits.resend_h * _HOUR_MS))
                if fresh is not None:
                    rows.begin_log(db, fresh)
                rows.retain(db, retained or {})
                return gone, rows.keep_answers(db, answers, self._limits.receipts_max)

            gone, news = self._commit(work)
            self._count -= gone
            self._unwritten.clear()
            if forgets or fresh is not None:
                self._forgot_ms = now_ms
                self._logs = rows.read_logs(self._file.rows)
        return news

    def receipt(self, event_id: bytes) -> bytes | None:
        """The payload of the receipt of an event that holds; None before the first, and once it is one of more than `receipts_max`."""
        with self._lock:
            found = self._file.rows("SELECT payload FROM receipts WHERE id = ?", event_id)
        return found[0][0] if found else None

    def retained(self) -> dict[str, bytes]:
        """What is retained, by topic."""
        with self._lock:
            return dict(self._file.rows("SELECT topic, payload FROM kept"))

    def close(self) -> None:
        """Closes the file; what is in it stays. Closing twice is harmless."""
        with self._lock:
            if self._unwritten:
                with suppress(OutboxError, Closed):
                    self._commit(lambda db: rows.let_go(db, self._unwritten, self._kept_from))
            self._file.close()

    # --- below, with the lock held ---------------------------------------------------------------------------------------

    @property
    def _kept_from(self) -> int | None:
        """The place from which on acknowledged events are kept."""
        limits = self._limits
        return self._logs[-1].last_place - limits.kept_max + 1 if limits.kept_max and limits.resend_h else None

    def _numbered(self, made: Made, log: Log, seq: int) -> Entry:
        entry = Entry(place=log.base + seq, seq=seq, id=made.id, type=made.type, payload=made.payload(log.log, seq))
        if len(entry.payload) > self._payload_max:
            size, most = len(entry.payload) + SENT_BYTES_MAX, self._payload_max + SENT_BYTES_MAX
            raise InvalidEvent(f"it may take {size:,} bytes, and the server takes at most {most:,} (payload_bytes_max)")
        return entry

    def _entries(self, sql: str, *values: int) -> list[Entry]:
        return [rows.entry(self._logs, *row) for row in self._file.rows(sql, *values)]

    def _between(self, after: int, last: int, room: int) -> list[Entry]:
        found: list[Entry] = []
        while after < last and room > len(found):
            page = self._entries(rows.WAITING, after + 1, last, self._sure_max, room - len(found))
            found += [entry for entry in page if entry.place not in self._unwritten]
            after = page[-1].place if page else last
        return found

    def _at(self, place: int) -> Entry | None:
        return next(iter(self._entries(rows.AT, place)), None)

    def _places(self, sql: str, first: int, last: int) -> set[int]:
        return {place for (place,) in self._file.rows(sql, first, last, self._payload_max)}

    def _commit(self, work: Callable[[Connection], T]) -> T:
        try:
            return self._file.commit(work)
        except DiskFull:
            if self._file.make_room():
                logger.warning("%s: the disk is full: events that were kept in case the server asks for them again gave way", self.path)
            return self._file.commit(work)

    def _heal(self) -> str | None:
        """The file was deleted: puts everything into a new one, and begins a new log in case the old file is found again. Returns why it could not."""
        try:
            self._file.make_anew()
            fresh = self._logs[-1].next(self._random_bytes)
            self._file.commit(lambda db: rows.begin_log(db, fresh))
        except OutboxError as error:
            if not self._cannot_heal:
                logger.error("%s was deleted or replaced while it was in use: %s", self.path, error.detail)
            self._cannot_heal = True
            return error.detail
        self._logs = rows.read_logs(self._file.rows)
        self._cannot_heal = False
        logger.error("%s was deleted while it was in use: what was in it is in a new file, and goes on with a new log", self.path)
        return None
