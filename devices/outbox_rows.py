"""The rows of an outbox: events that wait, events that were sent and are kept, receipts, and what is retained on topics.

Functions that change something are called in a transaction (`OutboxFile.commit`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from sqlite3 import Connection
from typing import Any, Final, NamedTuple

LOG_BYTES: Final = 8

_FAR: Final = 2**63 - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """An event in the outbox. `payload` is its content as it was when it happened; `sent_*` are set again at each sending.

    `place` counts all events of the outbox, `seq` those of one log.
    """

    place: int
    seq: int
    id: bytes
    type: str
    payload: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A receipt to keep: `id` of its event, its `epoch` and `n`, and the payload as it came."""

    id: bytes
    epoch: int
    n: int
    payload: bytes


class Sized(NamedTuple):
    """An event in the outbox, and how many bytes its payload has."""

    place: int
    id: bytes
    type: str
    size: int


class Log(NamedTuple):
    """A log of the outbox: `base` is the place before its first event."""

    base: int
    log: bytes
    last_seq: int

    @property
    def last_place(self) -> int:
        return self.base + self.last_seq

    def next(self, random_bytes: Callable[[int], bytes]) -> Log:
        """The log that follows this one."""
        return Log(self.last_place, random_bytes(LOG_BYTES), 0)


# --- events ---------------------------------------------------------------------------------------------------------------


def add_events(db: Connection, log: Log, entries: Sequence[Entry]) -> None:
    """Stores events behind the last of a log."""
    db.executemany("INSERT INTO events VALUES (?, ?, ?, ?)", [(e.place, e.id, e.type, e.payload) for e in entries])
    db.execute("UPDATE logs SET last_seq = last_seq + ? WHERE base = ?", (len(entries), log.base))


WAITING: Final = "SELECT place, id, type, payload FROM events WHERE place BETWEEN ? AND ? AND length(payload) <= ? ORDER BY place LIMIT ?"
WAITING_PLACES: Final = "SELECT place FROM events WHERE place BETWEEN ? AND ? AND length(payload) <= ?"
SENT_PLACES: Final = "SELECT place FROM sent WHERE place BETWEEN ? AND ? AND length(payload) <= ?"
LARGER: Final = "SELECT place, id, type, length(payload) FROM events WHERE length(payload) > ?"
AT: Final = "SELECT place, id, type, payload FROM sent WHERE place = ?1 UNION ALL SELECT place, id, type, payload FROM events WHERE place = ?1"


def read_logs(query: Callable[[str], Iterable[Any]]) -> list[Log]:
    """The logs, the present one last."""
    return [Log(*row) for row in query("SELECT base, log, last_seq FROM logs ORDER BY base")]


def entry(logs: Sequence[Log], place: int, event_id: bytes, event_type: str, payload: bytes) -> Entry:
    """An event as it is stored, with its number in its log."""
    base = next(log.base for log in reversed(logs) if log.base < place)
    return Entry(place=place, seq=place - base, id=event_id, type=event_type, payload=payload)


def let_go(db: Connection, acknowledged: Mapping[int, int], kept_from: int | None) -> int:
    """Takes events (by place, and when each was acknowledged) from those that wait; returns how many there were.

    Those from the place `kept_from` on are kept; with None, none is.
    """
    gone = 0
    for place, acknowledged_ms in acknowledged.items():
        if kept_from is not None:
            db.execute("INSERT OR REPLACE INTO sent SELECT place, id, type, payload, ? FROM events WHERE place = ?", (acknowledged_ms, place))
        gone += db.execute("DELETE FROM events WHERE place = ?", (place,)).rowcount
    db.execute("DELETE FROM sent WHERE place < ?", (_FAR if kept_from is None else kept_from,))
    return gone


def forget(db: Connection, until_ms: int) -> None:
    """Forgets events that were acknowledged by a time, and logs of which nothing is left."""
    # The oldest come first: the search ends at the first that stays.
    first = db.execute("SELECT place FROM sent WHERE acknowledged_ms > ? ORDER BY place LIMIT 1", (until_ms,)).fetchone()
    db.execute("DELETE FROM sent WHERE place < ?", (_FAR if first is None else first[0],))
    oldest = [row[0] for row in db.execute("SELECT min(place) FROM sent UNION ALL SELECT min(place) FROM events") if row[0] is not None]
    db.execute("DELETE FROM logs WHERE base + last_seq < ? AND base < (SELECT max(base) FROM logs)", (min(oldest, default=_FAR),))


def begin_log(db: Connection, log: Log) -> None:
    """Begins a log, in place of one without events."""
    db.execute("INSERT OR REPLACE INTO logs VALUES (?, ?, ?)", log)


# --- what the server said -------------------------------------------------------------------------------------------------


def keep_answers(db: Connection, answers: Sequence[Answer], receipts_max: int) -> list[Answer]:
    """Keeps the newest receipts. Returns those that were news: the highest (`epoch`, `n`) holds."""
    news = [answer for answer in answers if _keep(db, answer)]
    if news:
        db.execute("DELETE FROM receipts WHERE place <= (SELECT max(place) FROM receipts) - ?", (receipts_max,))
    return news


def _keep(db: Connection, answer: Answer) -> bool:
    cursor = db.execute(
        "INSERT INTO receipts (id, epoch, n, payload) VALUES (?, ?, ?, ?)"
        " ON CONFLICT (id) DO UPDATE SET epoch = excluded.epoch, n = excluded.n, payload = excluded.payload"
        " WHERE (excluded.epoch, excluded.n) > (receipts.epoch, receipts.n)",
        (answer.id, answer.epoch, answer.n, answer.payload),
    )
    return cursor.rowcount > 0


def retain(db: Connection, retained: Mapping[str, bytes]) -> None:
    """Keeps what is retained on topics; an empty payload says that nothing is any more."""
    for topic, payload in retained.items():
        if payload:
            db.execute("INSERT OR REPLACE INTO kept VALUES (?, ?)", (topic, payload))
        else:
            db.execute("DELETE FROM kept WHERE topic = ?", (topic,))
