"""Retained messages (MQTT 3.1.1 §3.3.1.3): the last of each topic, for whoever subscribes later.

Statuses of orders are a projection of the order tables, and stay there: they are read when somebody subscribes, so that a million orders cost neither memory
nor time at the start, and a crash between commit and publish heals by itself. All other retained messages are kept in memory.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from bridge.broker.packets import Outgoing
from bridge.broker.topic_tree import TopicTree
from bridge.ingest.ports import Page, Projection, StoreUnavailable


class _Nothing:
    """The projection of a broker without tables."""

    def covers(self, topic: str) -> bool:
        return False

    def get(self, topic: str) -> bytes | None:
        raise AssertionError(topic)

    def page(self, topic_filter: str, after: str) -> Page:
        return Page((), None)


class Retained:
    """The last retained message of each topic. `count` says how many there have been; each message knows which of them it was.

    Args:
        projection: what is read from tables.
        recent_max: topics of the projection of which is known which was their last message; see `get`.
    """

    def __init__(self, projection: Projection | None = None, recent_max: int = 0) -> None:
        self.count = 0
        self.projection: Projection = projection or _NOTHING
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
        if self.projection.covers(topic):
            self._recent.pop(topic, None)
            self._recent[topic] = message.order
            if len(self._recent) > self._recent_max:
                del self._recent[next(iter(self._recent))]
        elif message.payload:
            self._tree.put(topic, message)
        else:
            self._tree.remove(topic)

    def get(self, topic: str) -> Outgoing | None:
        """The message of a topic. Of the projection's, those that were published lately have their number, so that whoever waits for them is not sent twice.

        Raises:
            StoreUnavailable: where it is in the tables, and they can't be read now.
        """
        if not self.projection.covers(topic):
            return self._tree.get(topic)
        payload = self.projection.get(topic)
        if payload is None:
            return None
        message = Outgoing(topic, payload, 1)
        message.order = self._recent.get(topic, 0)
        return message

    def match(self, topic_filter: str) -> list[str]:
        """The topics in memory that a filter matches, as of now."""
        return self._tree.match(topic_filter)

    def page(self, topic_filter: str, after: str = "") -> Page:
        """Topics of the projection that a filter matches, see `Projection.page`; none where they can't be read now, and then to be asked for again."""
        try:
            return self.projection.page(topic_filter, after)
        except StoreUnavailable:
            return Page((), after)

    def every(self) -> Iterator[str]:
        """Every topic that has a message now.

        Raises:
            StoreUnavailable: where the tables can't be read.
        """
        yield from self.match("#")
        after: str | None = ""
        while after is not None:
            topics, after = self.projection.page("#", after)
            yield from topics


_NOTHING: Final = _Nothing()
