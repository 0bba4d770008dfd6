"""The writer's half of sessions: wills, which messages go into the message log, and where in it subscriptions begin and end.

A message is written once, however many sessions are owed it, in the transaction of what caused it. Who is owed it follows from its place in the log and the
intervals of the subscriptions, so that a crash finds the same answer again; `sessions.py` is the other half.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from bridge.broker.topic_tree import Subscriptions
from bridge.ingest.items import (
    Announce,
    Change,
    Done,
    DropWill,
    Effect,
    EndSession,
    HandOver,
    Message,
    OpenSession,
    Progress,
    Release,
    Subscribe,
    Unsubscribe,
)
from bridge.ingest.ports import Transaction
from bridge.ingest.relation import Writes
from bridge.ingest.sessions import (
    HANDED_OVER,
    INCOMING_ID_GONE,
    INCOMING_IDS,
    MESSAGE_GONE,
    MESSAGE_LOG,
    PROGRESS,
    SESSION_GONE,
    SESSIONS,
    SUBSCRIPTIONS,
    WILL_GONE,
    WILLS,
    IncomingIdRow,
    MessageRow,
    SessionRow,
    SubscriptionRow,
    WillKey,
)

MATCHES_MAX: Final = 65_536
"""Pairs of topic and session that are remembered until a subscription changes."""


class _Held(NamedTuple):
    """An open subscription: its QoS, and where its interval of the log begins."""

    qos: int
    from_pos: int


class SessionLog:
    """Who is subscribed to what at QoS 1 or 2, with a persistent session, as far as the log is written."""

    def __init__(self) -> None:
        self.next_pos = 1
        self._next_sid = 1
        self._sids: dict[tuple[str, str], int] = {}
        self._keys: dict[int, tuple[str, str]] = {}
        self._filters: dict[int, dict[str, _Held]] = {}
        self._tree: Subscriptions[int] = Subscriptions(MATCHES_MAX)

    def load(self, tx: Transaction) -> None:
        self.next_pos = max(self.next_pos, tx.next_message())
        for session in tx.rows(SESSIONS):
            self._know(session.sid, (session.device, session.client_id))
        for row in tx.rows(SUBSCRIPTIONS):
            if row.to_pos is None and row.sid in self._keys:
                self._put(row.sid, row.topic_filter, _Held(row.qos, row.from_pos))

    def forget(self) -> None:
        """See `seam.SessionLog.forget`. A place that the loop was told of is never given again, even if nothing in the store names it any more."""
        next_pos = self.next_pos
        self.__init__()  # type: ignore[misc]
        self.next_pos = next_pos

    def _know(self, sid: int, key: tuple[str, str]) -> None:
        self._sids[key] = sid
        self._keys[sid] = key
        self._filters[sid] = {}
        self._next_sid = max(self._next_sid, sid + 1)

    def _put(self, sid: int, topic_filter: str, held: _Held) -> None:
        self._filters[sid][topic_filter] = held
        self._tree.put(topic_filter, sid, held.qos)

    def _remove(self, sid: int, topic_filter: str) -> _Held | None:
        held = self._filters.get(sid, {}).pop(topic_filter, None)
        if held is not None:
            self._tree.remove(topic_filter, sid)
        return held

    def _is_owed(self, topic: str) -> bool:
        subscribers = self._tree.match(topic)
        return bool(subscribers) and any(qos for _, qos in subscribers)

    # --- one batch --------------------------------------------------------------------------------------------------------

    def received(self, packet: IncomingIdRow, writes: Writes) -> None:
        writes.keyed(INCOMING_IDS)[packet] = packet

    def take(self, effects: Sequence[Message | Change], writes: Writes, now_ms: int) -> list[Effect]:
        """Walk through what a batch causes, in its order: messages that a session is owed get their place in the log, changes theirs among them."""
        taken: list[Effect] = []
        for effect in effects:
            if isinstance(effect, Message):
                taken.append(self._message(effect, writes, now_ms))
            elif isinstance(effect, Announce):
                taken.append(self._message(effect.message, writes, now_ms))
            else:
                taken.append(Done(effect, self._change(effect, writes, now_ms)))
        return taken

    def _message(self, message: Message, writes: Writes, now_ms: int) -> Message:
        if message.qos and self._is_owed(message.topic):
            return self._log(message, None, writes, now_ms)
        return message

    def _log(self, message: Message, sid: int | None, writes: Writes, now_ms: int) -> Message:
        pos = self.next_pos
        self.next_pos = pos + 1
        writes.rows(MESSAGE_LOG).append(MessageRow(pos, message.topic, message.payload, message.qos, sid, now_ms))
        return message._replace(pos=pos)

    def _change(self, change: Change, writes: Writes, now_ms: int) -> object:
        match change:
            case OpenSession():
                if (will := change.will) is not None:
                    writes.keyed(WILLS)[WillKey(will.device, will.client_id)] = will
                return self._open(change, writes)
            case DropWill(will=will):
                writes.keyed(WILLS).pop(will, None)
                writes.delete(WILL_GONE, *will)
            case EndSession(sid=sid):
                self._end(sid, writes)
            case Subscribe(sid=sid, filters=filters):
                for topic_filter, qos in filters:
                    self._subscribe(sid, topic_filter, qos, writes)
            case Unsubscribe(sid=sid, filters=unwanted):
                for topic_filter in unwanted:
                    self._unsubscribe(sid, topic_filter, writes)
            case HandOver():
                return self._hand_over(change, writes, now_ms)
            case Release(sid=sid, packet_id=packet_id):
                writes.keyed(INCOMING_IDS).pop((sid, packet_id), None)
                writes.delete(INCOMING_ID_GONE, sid, packet_id)
            case Progress(sessions=sessions, finished=finished):
                for progress in sessions:
                    if progress.sid in self._keys:
                        writes.update(PROGRESS, *progress)
                for pos in finished:
                    writes.delete(MESSAGE_GONE, pos)
            case _:
                pass
        return None

    def _open(self, change: OpenSession, writes: Writes) -> int:
        key = (change.device, change.client_id)
        sid = self._sids.get(key, 0)
        if change.clean:
            if sid:
                self._end(sid, writes)
            return 0
        if not sid:
            sid = self._next_sid
            self._know(sid, key)
            writes.keyed(SESSIONS)[sid] = SessionRow(sid, *key, self.next_pos, 0, b"", 0, change.received_ms)
        return sid

    def _end(self, sid: int, writes: Writes) -> None:
        for topic_filter in list(self._filters.get(sid, {})):
            self._remove(sid, topic_filter)
        self._filters.pop(sid, None)
        key = self._keys.pop(sid, None)
        if key is not None:
            del self._sids[key]
        # Rows of this batch are not in the tables yet, and would come back after the session is gone.
        writes.keyed(SESSIONS).pop(sid, None)
        for relation in (SUBSCRIPTIONS, INCOMING_IDS):
            rows = writes.keyed(relation)
            for row_key in [k for k in rows if k[0] == sid]:
                del rows[row_key]
        for gone in SESSION_GONE:
            writes.delete(gone, sid)

    def _subscribe(self, sid: int, topic_filter: str, qos: int, writes: Writes) -> None:
        if sid not in self._keys:
            return
        held = self._filters[sid].get(topic_filter)
        from_pos = self.next_pos
        if held is not None and held.qos == qos:
            from_pos = held.from_pos  # the same again: only its retained messages are sent once more (§3.8.4)
        elif held is not None:
            self._unsubscribe(sid, topic_filter, writes)
        self._put(sid, topic_filter, _Held(qos, from_pos))
        self._write(writes, SubscriptionRow(sid, topic_filter, from_pos, None, qos, ""))

    def _unsubscribe(self, sid: int, topic_filter: str, writes: Writes) -> None:
        held = self._remove(sid, topic_filter)
        if held is not None:
            # An interval in which nothing was published is empty, and is dropped with those that ended.
            self._write(writes, SubscriptionRow(sid, topic_filter, held.from_pos, self.next_pos, held.qos, None))

    def _hand_over(self, change: HandOver, writes: Writes, now_ms: int) -> tuple[int, ...] | None:
        held = self._filters.get(change.sid, {}).get(change.topic_filter)
        if held is None:
            return None
        writes.update(HANDED_OVER, change.after, change.sid, change.topic_filter, held.from_pos)
        return tuple(self._log(m, change.sid, writes, now_ms).pos for m in change.messages)

    @staticmethod
    def _write(writes: Writes, row: SubscriptionRow) -> None:
        writes.keyed(SUBSCRIPTIONS)[(row.sid, row.topic_filter, row.from_pos)] = row
