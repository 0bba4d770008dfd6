"""Retained messages that a client is still to be sent because it subscribed: topics and places in the tables, no payloads."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from bridge.broker.codec.outgoing import Outgoing
from bridge.broker.retained import Retained
from bridge.ingest.ports import NOT_YET, NotYet


@dataclass(slots=True, eq=False)
class Todo:
    """Retained messages that a new subscription is still to get: topics in their order, `place` is the next, `after` where those in tables go on (None if
    there are no more). What was published after `as_of` comes anyway."""

    topic_filter: str
    qos: int
    topics: Sequence[str]
    as_of: int
    after: str | None = None
    place: int = 0

    @property
    def is_done(self) -> bool:
        return self.place >= len(self.topics) and self.after is None


class RetainedOwed:
    """What is sent as the client reads, each topic once. Payloads are read when they are sent.

    Args:
        retained: the retained messages.
    """

    __slots__ = ("_kept", "pages", "topics")

    def __init__(self, retained: Retained) -> None:
        self.topics: OrderedDict[str, tuple[int, int]] = OrderedDict()
        """QoS of the subscription, and its `as_of`, by topic."""
        self.pages: deque[Todo] = deque()
        self._kept = retained

    def owe(self, topics: Iterable[tuple[str, int]], as_of: int) -> None:
        """Topics, each with the QoS of its subscription."""
        self.topics.update((topic, (qos, as_of)) for topic, qos in topics)

    def owe_pages(self, todo: Todo) -> None:
        """Topics in tables: `todo.topics` and what comes behind them."""
        self.pages = deque(t for t in self.pages if t.topic_filter != todo.topic_filter)
        self.pages.append(todo)

    def clear(self) -> None:
        self.topics.clear()
        self.pages.clear()

    def take(self) -> tuple[Outgoing, int] | NotYet | None:
        """The next message and its QoS. None if this step has none: a page was turned, or the message is gone, or came since as one of its own."""
        if not self.topics:
            return self._turn_page()
        topic, (qos, as_of) = next(iter(self.topics.items()))
        message = self._kept.get(topic)
        if message is NOT_YET:
            return NOT_YET
        del self.topics[topic]
        if message is None or message.order > as_of:
            return None
        return message, min(qos, message.qos)

    def _turn_page(self) -> NotYet | None:
        todo = self.pages[0]
        self.owe([(topic, todo.qos) for topic in todo.topics], todo.as_of)
        todo.topics = ()
        if todo.after is None:
            self.pages.popleft()
            return None
        page = self._kept.page(todo.topic_filter, todo.after)
        if page is NOT_YET:
            return NOT_YET
        todo.topics, todo.after = page
        return None
