"""The pump: sends a session what it may be sent, hands over retained messages to persistent sessions, and knows which sessions wait for the store.

Retained messages for a new subscription of a persistent session are handed over in portions, as messages of the log for that session alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Final

from bridge.broker.codec.outgoing import Outgoing
from bridge.broker.message_log import MessageLog
from bridge.broker.retained import Retained
from bridge.broker.retained_owed import Todo
from bridge.broker.sessions import Session
from bridge.broker.shared import Shared
from bridge.ingest.items import HandOver, Message
from bridge.ingest.ports import NOT_YET

PORTION: Final = 256
"""Retained messages that are handed over to a persistent session at a time."""


class Pump:
    """See the module."""

    def __init__(self, shared: Shared, retained: Retained, log: MessageLog) -> None:
        self._shared = shared
        self._retained = retained
        self._log = log
        self._unanswered: dict[Session, None] = {}
        """Sessions that need something of the store which it could not say yet."""

    def send(self, session: Session) -> None:
        """Send what may be sent, and hand over more retained messages once little waits."""
        is_answered = session.pump()
        if session.wire is None:
            return
        if session.todo and not session.handing_over and len(session.queue) < self._shared.limits.window:
            is_answered = self._hand_over(session) and is_answered
        if not is_answered:
            self._unanswered[session] = None

    def ask_again(self) -> None:
        """The store may be able to answer now: go on with the sessions that wait for it."""
        waiting, self._unanswered = self._unanswered, {}
        for session in waiting:
            if not session.ended:
                self.send(session)

    def _hand_over(self, session: Session) -> bool:
        """Hand over a portion. False if the store can't say yet which messages these are."""
        todo = session.todo[0]
        messages: list[Message] = []
        room = self._shared.limits.output_bytes_max
        before = todo.after, todo.place
        done = todo.topics[todo.place - 1] if todo.place else None
        if todo.place >= len(todo.topics) and todo.after is not None:
            page = self._retained.page(todo.topic_filter, todo.after)
            if page is NOT_YET:
                return False
            todo.topics, todo.after = page
            todo.place = 0
            done = todo.after if not todo.topics else None
        is_answered = True
        while todo.place < len(todo.topics) and len(messages) < PORTION and room > 0:
            message = self._retained.get(todo.topics[todo.place])
            if message is NOT_YET:
                is_answered = False
                break
            done = todo.topics[todo.place]
            todo.place += 1
            # What was published since the subscription went out as a message of its own.
            if message is not None and message.order <= todo.as_of and (qos := min(message.qos, todo.qos)):
                messages.append(Message(message.topic, message.payload, qos, True))
                room -= message.size
        is_last = todo.is_done
        if not is_last and (todo.after, todo.place) == before:
            return is_answered
        session.handing_over = True
        self._shared.sink.change(
            HandOver(
                received_ms=self._shared.now_ms(),
                done=partial(self._handed_over, session, todo, messages, is_last),
                sid=session.sid,
                topic_filter=todo.topic_filter,
                after=None if is_last else done,
                messages=tuple(messages),
            ),
        )
        return True

    def _handed_over(self, session: Session, todo: Todo, messages: list[Message], is_last: bool, positions: Sequence[int] | None) -> None:
        session.handing_over = False
        for message, pos in zip(messages, positions or (), strict=False):
            self._log.owe(pos, 0 if session.ended else 1)
            if not session.ended:
                session.deliver(Outgoing(message.topic, message.payload, message.qos), message.qos, retain=True, pos=pos)
        if is_last and todo in session.todo:
            session.todo.remove(todo)
        self.send(session)
