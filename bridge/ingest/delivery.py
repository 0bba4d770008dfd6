"""The writer's half of persistent sessions: which messages go into the message log, and where in it subscriptions begin and end.

A message is written once, however many sessions are owed it, in the transaction of what caused it. Who is owed it follows from its place in the log and the
intervals of the subscriptions, so that a crash finds the same answer again; `broker/sessions.py` is the other half.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from bridge.domain.topic_tree import Subscriptions
from bridge.ingest.ports import (
    Announce,
    Change,
    Effect,
    EndSession,
    HandOver,
    Message,
    MessageRow,
    OpenSession,
    Progress,
    Release,
    SessionRow,
    Subscribe,
    SubscriptionRow,
    Told,
    Transaction,
    Unsubscribe,
    Writes,
)

MATCHES_MAX: Final = 65_536
"""Pairs of topic and session that are remembered until a subscription changes."""


class Subscribers:
    """Who is subscribed to what at QoS 1 or 2, with a persistent session, as far as the log is written."""

    def __init__(self) -> None:
        self.next_pos = 1
        self._next_sid = 1
        self._sids: dict[tuple[str, str], int] = {}
        self._keys: dict[int, tuple[str, str]] = {}
        self._filters: dict[int, dict[str, tuple[int, int]]] = {}
        self._tree: Subscriptions[int] = Subscriptions(MATCHES_MAX)

    def load(self, tx: Transaction) -> None:
        self.next_pos = max(self.next_pos, tx.next_message())
        for session in tx.sessions():
            self._know(session.sid, (session.device, session.client_id))
        for row in tx.subscriptions():
            if row.to_pos is None and row.sid in self._keys:
                self._put(row.sid, row.topic_filter, row.qos, row.from_pos)

    def _know(self, sid: int, key: tuple[str, str]) -> None:
        self._sids[key] = sid
        self._keys[sid] = key
        self._filters[sid] = {}
        self._next_sid = max(self._next_sid, sid + 1)

    def _put(self, sid: int, topic_filter: str, qos: int, from_pos: int) -> None:
        self._filters[sid][topic_filter] = (qos, from_pos)
        self._tree.put(topic_filter, sid, qos)

    def _remove(self, sid: int, topic_filter: str) -> tuple[int, int] | None:
        held = self._filters.get(sid, {}).pop(topic_filter, None)
        if held is not None:
            self._tree.remove(topic_filter, sid)
        return held

    def _is_owed(self, topic: str) -> bool:
        return any(qos for _, qos in self._tree.match(topic))

    # --- one batch --------------------------------------------------------------------------------------------------------

    def take(self, effects: Sequence[Message | Change], writes: Writes, now_ms: int) -> list[Effect]:
        """Walk through what a batch causes, in its order: messages that a session is owed get their place in the log, changes theirs among them."""
        told: list[Effect] = []
        for effect in effects:
            if isinstance(effect, Message):
                told.append(self._message(effect, writes, now_ms))
            elif isinstance(effect, Announce):
                told.append(self._message(effect.message, writes, now_ms))
            else:
                told.append(Told(effect, self._change(effect, writes, now_ms)))
        return told

    def _message(self, message: Message, writes: Writes, now_ms: int) -> Message:
        if message.qos and self._is_owed(message.topic):
            return self._log(message, None, writes, now_ms)
        return message

    def _log(self, message: Message, sid: int | None, writes: Writes, now_ms: int) -> Message:
        pos = self.next_pos
        self.next_pos = pos + 1
        writes.messages.append(MessageRow(pos, message.topic, message.payload, message.qos, sid, now_ms))
        return message._replace(pos=pos)

    def _change(self, change: Change, writes: Writes, now_ms: int) -> object:
        match change:
            case OpenSession():
                return self._open(change, writes)
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
                writes.incoming_ids_gone.append((sid, packet_id))
            case Progress(sessions=sessions, finished=finished):
                writes.progress.extend(s for s in sessions if s.sid in self._keys)
                writes.messages_gone.extend((pos,) for pos in finished)
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
            writes.sessions.append(SessionRow(sid, *key, self.next_pos, 0, b"", 0, change.received_ms))
        return sid

    def _end(self, sid: int, writes: Writes) -> None:
        for topic_filter in list(self._filters.get(sid, {})):
            self._remove(sid, topic_filter)
        self._filters.pop(sid, None)
        key = self._keys.pop(sid, None)
        if key is not None:
            del self._sids[key]
        # Rows of this batch are not in the tables yet, and would come back after the session is gone.
        writes.sessions = [s for s in writes.sessions if s.sid != sid]
        writes.subscriptions = [s for s in writes.subscriptions if s.sid != sid]
        writes.incoming_ids = [i for i in writes.incoming_ids if i[0] != sid]
        writes.sessions_gone.append((sid,))

    def _subscribe(self, sid: int, topic_filter: str, qos: int, writes: Writes) -> None:
        if sid not in self._keys:
            return
        held = self._filters[sid].get(topic_filter)
        from_pos = self.next_pos
        if held is not None and held[0] == qos:
            from_pos = held[1]  # the same again: only its retained messages are sent once more (§3.8.4)
        elif held is not None:
            self._unsubscribe(sid, topic_filter, writes)
        self._put(sid, topic_filter, qos, from_pos)
        writes.subscriptions.append(SubscriptionRow(sid, topic_filter, from_pos, None, qos, ""))

    def _unsubscribe(self, sid: int, topic_filter: str, writes: Writes) -> None:
        held = self._remove(sid, topic_filter)
        if held is None:
            return
        if held[1] == self.next_pos:  # nothing was published while it stood
            writes.subscriptions = [s for s in writes.subscriptions if (s.sid, s.topic_filter, s.from_pos) != (sid, topic_filter, held[1])]
        else:
            # One that was made in this batch is closed in its row; the statement closes one that is in the table already.
            writes.subscriptions = [
                s._replace(to_pos=self.next_pos) if (s.sid, s.topic_filter) == (sid, topic_filter) and s.to_pos is None else s for s in writes.subscriptions
            ]
        writes.subscriptions_closed.append((self.next_pos, sid, topic_filter))

    def _hand_over(self, change: HandOver, writes: Writes, now_ms: int) -> tuple[int, ...] | None:
        if change.topic_filter not in self._filters.get(change.sid, {}):
            return None
        writes.handed_over.append((change.after, change.sid, change.topic_filter))
        return tuple(self._log(m, change.sid, writes, now_ms).pos for m in change.messages)
