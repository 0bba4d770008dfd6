"""Sessions after a start: what each is still owed follows from the message log and the intervals of the subscriptions."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from bridge.broker.door import FrontDoor
from bridge.broker.queues import Owed
from bridge.broker.sessions import Received, Session
from bridge.broker.topic_tree import FilterTree
from bridge.domain.access import Identity
from bridge.ingest.sessions import MessageRow, SessionRow, SubscriptionRow


class _Interval(NamedTuple):
    session: Session
    qos: int
    from_pos: int
    to_pos: int | None
    next_pos: int


def restore(
    door: FrontDoor,
    *,
    sessions: Iterable[SessionRow],
    subscriptions: Iterable[SubscriptionRow],
    messages: Iterable[MessageRow],
    incoming_ids: Iterable[tuple[int, int]],
    next_pos: int,
    identity_of: Callable[[str], Identity | None],
) -> list[int]:
    """Fill a front door that no client has come through yet; the sids of sessions whose device may not come back.

    The retained messages are there already. `messages` come in their order.
    """
    rows = {s.sid: s for s in sessions}
    there: dict[int, Session] = {}
    for row in rows.values():
        identity = identity_of(row.device)
        if identity is not None:
            there[row.sid] = _session(door, row, identity)
    intervals: FilterTree[tuple[int, int], _Interval] = FilterTree()
    now: dict[int, list[SubscriptionRow]] = {}
    for held in subscriptions:
        if held.sid not in there:
            continue
        if held.to_pos is None:
            now.setdefault(held.sid, []).append(held)
        interval = _Interval(there[held.sid], held.qos, held.from_pos, held.to_pos, rows[held.sid].next_pos)
        intervals.put(held.topic_filter, (held.sid, held.from_pos), interval)
    for packet in incoming_ids:
        if packet[0] in there:
            there[packet[0]].incoming[packet[1]] = Received.STORED
    matching: dict[str, list[_Interval]] = {}
    for message in messages:
        if message.sid is not None:
            session = there.get(message.sid)
            owners = [(session, message.qos)] if session is not None and message.pos >= rows[message.sid].next_pos else []
        else:
            if message.topic not in matching:
                matching[message.topic] = [interval for _, interval in intervals.match(message.topic)]
            owners = _owners(message, matching[message.topic])
        _message(door, message, owners)
    door.log.last_pos = next_pos - 1
    for sid, session in there.items():
        door.subscribing.restore(session, now.get(sid, []))
    door.book.restored()
    return [sid for sid in rows if sid not in there]


def _session(door: FrontDoor, row: SessionRow, identity: Identity) -> Session:
    """A persistent session as the store has it."""
    session = door.book.add(identity, row.client_id, row.sid)
    for pos in session.restore(row):
        door.log.owe(pos, door.log.owners(pos) + 1)
    door.losses.restore(session)
    return session


def _message(door: FrontDoor, row: MessageRow, owners: Sequence[tuple[Session, int]]) -> None:
    """A message of the log, and the sessions that are still owed it, each at which QoS."""
    door.log.owe(row.pos, door.log.owners(row.pos) + len(owners))
    for session, qos in owners:
        # What was sent and acknowledged since the session's row was written last is not known: each of them might be sent again (§3.3.1.1).
        session.queue.push(Owed(None, qos, row.sid is not None, row.pos, True))


def _owners(message: MessageRow, intervals: Iterable[_Interval]) -> list[tuple[Session, int]]:
    best: dict[Session, int] = {}
    for interval in intervals:
        stood = interval.from_pos <= message.pos and (interval.to_pos is None or message.pos < interval.to_pos)
        if stood and message.pos >= interval.next_pos and best.get(interval.session, 0) < interval.qos:
            best[interval.session] = interval.qos
    return [(session, min(qos, message.qos)) for session, qos in best.items()]
