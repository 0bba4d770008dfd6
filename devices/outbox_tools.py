"""What `python -m devices` does: look into an outbox that is not in use, and move it to another device."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from sqlite3 import Connection
from typing import Any, Final

from devices import outbox_rows as rows
from devices.errors import OutboxError
from devices.mail import payload_bytes_max
from devices.outbox import SENT_BYTES_MAX, owner_of
from devices.outbox_file import OutboxFile, upgrade
from devices.protocol.bridge_messages import BridgeState
from devices.protocol.encoding import PayloadError, encode_cbor, load_cbor
from devices.protocol.later_editions import decode_later
from devices.protocol.topics import escape

# A receipt with n = 0 is about one payload that the server did not take: such an event was not stored.
_LEAVE_OUT_ANSWERED: Final = "DELETE FROM events WHERE EXISTS (SELECT 1 FROM receipts WHERE receipts.id = events.id AND n > 0)"
_CLEAR: Final = ("DELETE FROM logs", "DELETE FROM events", "DELETE FROM sent", "DELETE FROM receipts", "DELETE FROM kept")
_COUNTS: Final = """
    SELECT (SELECT count(*) FROM events), (SELECT count(*) FROM events WHERE length(payload) > ?), (SELECT count(*) FROM sent), (SELECT count(*) FROM receipts)
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Oldest:
    """The event that has waited longest, and when it happened, by the device's wall clock."""

    seq: int
    type: str
    at_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """What is in an outbox. `backlog` counts the events that wait, `too_large` those of them that are larger than the server takes, `kept` those that were
    acknowledged and can be sent again."""

    owner: str
    log: str
    last_seq: int
    backlog: int
    too_large: int
    oldest: Oldest | None
    kept: int
    receipts: int
    server: BridgeState | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Moved:
    """What became of the events that waited."""

    before: str
    owner: str
    moved: int
    left_out: int


def show(path: Path) -> Shown:
    """Looks into an outbox, without changing it.

    Raises:
        OutboxLocked: a process uses it.
        OutboxError: there is none, or it cannot be read.
    """
    with closing(OutboxFile(path, lock_wait_s=0, must_exist=True)) as file, closing(file.copy_in_memory()) as copy:
        (owner,) = copy.execute("SELECT owner FROM outbox").fetchone()
        logs, server = rows.read_logs(copy.execute), _state(copy)
        first = copy.execute("SELECT place, id, type, payload FROM events ORDER BY place LIMIT 1").fetchone()
        backlog, too_large, kept, receipts = copy.execute(_COUNTS, (payload_bytes_max(server) - SENT_BYTES_MAX,)).fetchone()
        return Shown(
            owner=owner,
            log=logs[-1].log.hex(),
            last_seq=logs[-1].last_seq,
            backlog=backlog,
            too_large=too_large,
            oldest=None if first is None else _oldest(rows.entry(logs, *first)),
            kept=kept,
            receipts=receipts,
            server=server,
        )


def move(path: Path, *, site: str, device: str, new_log: bytes) -> Moved:
    """Gives an outbox to another device: what waits in it keeps its ids and gets the numbers of a new log. All else was about the device before, and goes.

    An event that has a receipt had been stored by the server, though its acknowledgement was lost: it is left out.

    Raises:
        OutboxLocked: a process uses it.
        OutboxError: there is none, it cannot be read, or it is that device's already.
        ValueError: `site` or `device` cannot stand in a topic.
    """
    for name, said in (("site", site), ("device", device)):
        try:
            escape(said)
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from error
    owner = owner_of(site, device)

    def work(db: Connection) -> Moved:
        upgrade(db)
        (before,) = db.execute("SELECT owner FROM outbox").fetchone()
        if before == owner:
            raise OutboxError(f"{path} belongs to {owner} already")
        log = rows.read_logs(db.execute)[-1].next(lambda _: new_log)
        left_out = db.execute(_LEAVE_OUT_ANSWERED).rowcount
        waiting = db.execute("SELECT id, type, payload FROM events ORDER BY place").fetchall()
        for statement in _CLEAR:
            db.execute(statement)
        rows.begin_log(db, log)
        rows.add_events(db, log, [_numbered(log, seq, *row) for seq, row in enumerate(waiting, start=1)])
        db.execute("UPDATE outbox SET owner = ?", (owner,))
        return Moved(before=before, owner=owner, moved=len(waiting), left_out=left_out)

    with closing(OutboxFile(path, lock_wait_s=0, must_exist=True)) as file:
        return file.commit(work)


def _numbered(log: rows.Log, seq: int, event_id: bytes, event_type: str, payload: bytes) -> rows.Entry:
    value = load_cbor(payload)
    value |= {"log": log.log, "seq": seq}
    return rows.Entry(place=log.base + seq, seq=seq, id=event_id, type=event_type, payload=encode_cbor(value))


def _oldest(entry: rows.Entry) -> Oldest:
    value: Any = load_cbor(entry.payload)
    return Oldest(seq=entry.seq, type=entry.type, at_ms=value["at_ms"])


def _state(db: Connection) -> BridgeState | None:
    found = db.execute("SELECT payload FROM kept WHERE topic LIKE '%/bridge/state'").fetchone()
    try:
        return None if found is None else decode_later(found[0], BridgeState)
    except PayloadError:
        return None
