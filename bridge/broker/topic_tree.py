"""Topic trees: subscriptions by topic, and retained messages by filter (MQTT 3.1.1 §4.7).

Matching walks the levels of one topic or filter and never the whole set: its time does not grow with the number of topics. It walks without recursion,
because a topic has up to 65,536 levels.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class _Node(Generic[K, V]):
    __slots__ = ("children", "values")

    def __init__(self) -> None:
        self.children: dict[str, _Node[K, V]] = {}
        self.values: dict[K, V] = {}


class FilterTree(Generic[K, V]):
    """Values by (topic filter, key): `match` finds those whose filter matches a topic."""

    def __init__(self) -> None:
        self._root: _Node[K, V] = _Node()

    def put(self, topic_filter: str, key: K, value: V) -> None:
        """Set the value of a filter and key; an earlier one is replaced."""
        node = self._root
        for level in topic_filter.split("/"):
            child = node.children.get(level)
            if child is None:
                child = node.children[level] = _Node()
            node = child
        node.values[key] = value

    def remove(self, topic_filter: str, key: K) -> None:
        """Take a value away, and the branches that it leaves bare."""
        path = [self._root]
        levels = topic_filter.split("/")
        for level in levels:
            child = path[-1].children.get(level)
            if child is None:
                return
            path.append(child)
        path[-1].values.pop(key, None)
        for level, parent, child in zip(reversed(levels), reversed(path[:-1]), reversed(path[1:]), strict=True):
            if child.values or child.children:
                return
            del parent.children[level]

    def match(self, topic: str) -> Iterator[tuple[K, V]]:
        """The (key, value) of every filter that matches a topic name; a key comes once for each of its filters."""
        # A wildcard in the first level does not match topics that begin with $ (§4.7.2).
        wild = not topic.startswith("$")
        nodes = [self._root]
        for level in topic.split("/"):
            below: list[_Node[K, V]] = []
            for node in nodes:
                if (exact := node.children.get(level)) is not None:
                    below.append(exact)
                if wild:
                    if (any_level := node.children.get("+")) is not None:
                        below.append(any_level)
                    if (rest := node.children.get("#")) is not None:
                        yield from rest.values.items()
            if not below:
                return
            nodes, wild = below, True
        for node in nodes:
            yield from node.values.items()
            if (rest := node.children.get("#")) is not None:
                yield from rest.values.items()


class Subscriptions(Generic[K]):
    """Who is subscribed to a topic, each once, at the highest QoS of its filters (§3.3.5).

    The answer for a topic is remembered until a subscription changes: a device's receipts, and the statuses of an order on its way, go to the same
    subscribers each time, and asking the tree costs as much as sending to one of them.

    Args:
        matches_max: pairs of topic and subscriber that are remembered.
    """

    def __init__(self, matches_max: int) -> None:
        self._tree: FilterTree[K, int] = FilterTree()
        self._found: dict[str, tuple[tuple[K, int], ...]] = {}
        self.remembered = 0
        """Pairs, and one more for each topic."""
        self._matches_max = matches_max

    def put(self, topic_filter: str, key: K, qos: int) -> None:
        """Subscribe; an earlier subscription of the key to the same filter is replaced."""
        self._tree.put(topic_filter, key, qos)
        self._forget()

    def remove(self, topic_filter: str, key: K) -> None:
        """End a subscription."""
        self._tree.remove(topic_filter, key)
        self._forget()

    def match(self, topic: str) -> tuple[tuple[K, int], ...]:
        """The (key, QoS) of every subscriber of a topic name."""
        found = self._found.get(topic)
        if found is None:
            best: dict[K, int] = {}
            for key, qos in self._tree.match(topic):
                if best.get(key, -1) < qos:
                    best[key] = qos
            found = tuple(best.items())
            size = len(found) + 1
            if self.remembered + size > self._matches_max:
                self._forget()
            if size <= self._matches_max:
                self.remembered += size
                self._found[topic] = found
        return found

    def _forget(self) -> None:
        if self._found:
            self._found = {}
            self.remembered = 0


class TopicTree(Generic[V]):
    """Values by topic name: `match` finds those that a filter matches."""

    def __init__(self) -> None:
        self._root: _Node[str, V] = _Node()
        self._topics: dict[str, V] = {}

    def __len__(self) -> int:
        return len(self._topics)

    def get(self, topic: str) -> V | None:
        return self._topics.get(topic)

    def put(self, topic: str, value: V) -> None:
        if topic not in self._topics:
            node = self._root
            for level in topic.split("/"):
                child = node.children.get(level)
                if child is None:
                    child = node.children[level] = _Node()
                node = child
            node.values[topic] = value
        self._topics[topic] = value

    def remove(self, topic: str) -> None:
        """Take a topic away, and the branches that it leaves bare."""
        if self._topics.pop(topic, None) is None:
            return
        path = [self._root]
        levels = topic.split("/")
        for level in levels:
            path.append(path[-1].children[level])
        path[-1].values.clear()
        for level, parent, child in zip(reversed(levels), reversed(path[:-1]), reversed(path[1:]), strict=True):
            if child.values or child.children:
                return
            del parent.children[level]

    def match(self, topic_filter: str) -> list[str]:
        """The topics that a filter matches, as of now."""
        if "+" not in topic_filter and "#" not in topic_filter:
            return [topic_filter] if topic_filter in self._topics else []
        levels = topic_filter.split("/")
        found: list[str] = []
        todo = [(self._root, 0)]
        while todo:
            node, place = todo.pop()
            if place == len(levels):
                found.extend(node.values)
                continue
            level = levels[place]
            if level not in ("+", "#"):
                if (exact := node.children.get(level)) is not None:
                    todo.append((exact, place + 1))
                continue
            below = [child for name, child in node.children.items() if node is not self._root or not name.startswith("$")]
            if level == "+":
                todo.extend((child, place + 1) for child in below)
                continue
            found.extend(node.values)
            while below:
                child = below.pop()
                found.extend(child.values)
                below.extend(child.children.values())
        return found
