"""Retained messages (MQTT 3.1.1 §3.3.1.3): the last message of each topic, for clients that subscribe later.

Statuses of orders follow from the order tables, and stay there: they are read when a client subscribes, so that a million orders cost neither memory
nor time at the start, and a crash between commit and publish heals by itself. All other retained messages are kept in memory.
"""

from __future__ import annotations

from bridge.broker.codec.outgoing import Outgoing
from bridge.broker.store_view import NOTHING_STORED
from bridge.broker.topic_tree import TopicTree
from bridge.ingest.ports import NOT_YET, NotYet, Page, StoredRetained


class Retained:
    """The last retained message of each topic. `count` says how many there have been; each message knows which of them it was.

    Args:
        stored: the retained messages that are in tables.
        recent_max: topics in tables of which is known which was their last message; see `get`.
    """

    def __init__(self, stored: StoredRetained = NOTHING_STORED.retained, recent_max: int = 0) -> None:
        self.count = 0
        self._stored = stored
        self._tree: TopicTree[Outgoing] = TopicTree()
        self._recent: dict[str, int] = {}
        self._recent_max = recent_max

    def __len__(self) -> int:
        """How many are in memory."""
        return len(self._tree)

    def put(self, message: Outgoing) -> None:
        """Keep a message; an empty payload clears its topic."""
        self.count += 1
        message.order = self.count
        topic = message.topic
        if self._stored.covers(topic):
            self._recent.pop(topic, None)
            self._recent[topic] = message.order
            if len(self._recent) > self._recent_max:
                del self._recent[next(iter(self._recent))]
        elif message.payload:
            self._tree.put(topic, message)
        else:
            self._tree.remove(topic)

    def is_stored(self, topic: str) -> bool:
        """Whether a topic's message is in the tables, not in memory."""
        return self._stored.covers(topic)

    def held(self, topic: str) -> Outgoing | None:
        """The message of a topic, if it is in memory."""
        return self._tree.get(topic)

    def get(self, topic: str) -> Outgoing | NotYet | None:
        """The message of a topic. One from the tables that was published lately has its number, so that it is not sent twice to a client that waits for it."""
        if not self._stored.covers(topic):
            return self._tree.get(topic)
        payload = self._stored.get(topic)
        if payload is None or payload is NOT_YET:
            return payload
        message = Outgoing(topic, payload, 1)
        message.order = self._recent.get(topic, 0)
        return message

    def is_current(self, message: Outgoing) -> bool | NotYet:
        """Whether a message is still the last of its topic."""
        now = self.get(message.topic)
        if now is NOT_YET:
            return NOT_YET
        return now is not None and now.payload == message.payload

    def match(self, topic_filter: str) -> list[str]:
        """The topics in memory that a filter matches, as of now."""
        return self._tree.match(topic_filter)

    def every(self) -> dict[str, Outgoing] | NotYet:
        """Every retained message by its topic, in memory and in tables."""
        found = {topic: kept for topic in self.match("#") if (kept := self.held(topic)) is not None}
        after: str | None = ""
        while after is not None:
            page = self.page("#", after)
            if page is NOT_YET:
                return NOT_YET
            for topic in page.topics:
                message = self.get(topic)
                if message is NOT_YET:
                    return NOT_YET
                if message is not None:
                    found[topic] = message
            after = page.after
        return found

    def page(self, topic_filter: str, after: str = "") -> Page | NotYet:
        """Topics in tables that a filter matches, see `StoredRetained.page`."""
        return self._stored.page(topic_filter, after)
