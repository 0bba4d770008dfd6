"""Retained messages (MQTT 3.1.1 §3.3.1.3): the last of each topic, for whoever subscribes later.

Statuses are a projection of the order table and are filled from it at the start, so that a crash between commit and publish heals by itself.
"""

from __future__ import annotations

from bridge.broker.packets import Outgoing
from bridge.domain.topic_tree import TopicTree


class Retained:
    """The last retained message of each topic. `count` says how many there have been; each message knows which of them it was."""

    def __init__(self) -> None:
        self.count = 0
        self._tree: TopicTree[Outgoing] = TopicTree()

    def __len__(self) -> int:
        return len(self._tree)

    def put(self, message: Outgoing) -> None:
        """Keep a message; an empty payload clears its topic."""
        self.count += 1
        message.order = self.count
        if message.payload:
            self._tree.put(message.topic, message)
        else:
            self._tree.remove(message.topic)

    def get(self, topic: str) -> Outgoing | None:
        return self._tree.get(topic)

    def match(self, topic_filter: str) -> list[str]:
        """The topics that a filter matches, as of now."""
        return self._tree.match(topic_filter)
