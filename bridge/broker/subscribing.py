"""Subscriptions: which filters a session holds, and the retained messages that a new one brings (MQTT 3.1.1 §3.8, §3.10).

A subscription goes through the pipeline as a `Change`, in its place among the messages, and takes effect here once it is committed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any, Final

from bridge.broker.claims import ClaimSession, nothing_to_redeem
from bridge.broker.client import Client
from bridge.broker.codec import events
from bridge.broker.codec.reasons import SubscribeCode
from bridge.broker.codec.v311 import suback, unsuback
from bridge.broker.pump import Pump
from bridge.broker.retained import Retained
from bridge.broker.retained_owed import Todo
from bridge.broker.sessions import Session
from bridge.broker.shared import Shared
from bridge.broker.topic_tree import Subscriptions
from bridge.domain.access import OpenOrders, may_subscribe
from bridge.ingest.items import Subscribe, Unsubscribe
from bridge.ingest.ports import NOT_YET, PAGE_END, Page
from bridge.ingest.sessions import SubscriptionRow

TOPICS_PER_MESSAGE: Final = 20
"""Looking for so many retained topics takes about the time of one message; a subscription counts towards the rate accordingly."""


class Subscribing:
    """See the module.

    Args:
        in_open_job: whether an order is in an open job of a courier.
    """

    def __init__(self, shared: Shared, retained: Retained, pump: Pump, in_open_job: OpenOrders) -> None:
        self.subscribers: Subscriptions[Session] = Subscriptions(shared.limits.matches_max)
        self._shared = shared
        self._retained = retained
        self._pump = pump
        self._in_open_job = in_open_job
        self.redeem: Callable[[ClaimSession], None] = nothing_to_redeem
        """Called when a client that redeems a claim has subscribed to its credentials."""

    # --- SUBSCRIBE --------------------------------------------------------------------------------------------------------

    def subscribe(self, client: Client, session: Session, event: events.Subscribe) -> None:
        """Ask for filters with their QoS; SUBACK follows with a code for each that was asked, once they are stored."""
        # The last of several subscriptions to one filter holds (§3.8.4), and is all that is stored.
        wanted = {s.topic_filter: s.qos for s in event.subscriptions}
        room = before = self._shared.limits.subscriptions_max - len(session.subscriptions) - session.asked
        granted: dict[str, int] = {}
        for topic_filter, qos in wanted.items():
            is_new = topic_filter not in session.subscriptions
            why_not = self._why_not(session, topic_filter, qos=qos)
            if not why_not and is_new and room <= 0:
                why_not = "it has as many as it may have (broker.subscriptions_max)"
            if why_not:
                self._shared.notices.say("a filter was refused", session.identity.device, client.peer, why_not)
                continue
            granted[topic_filter] = qos
            room -= is_new
        new = before - room
        session.asked += new
        done = partial(self._subscribed, client, session, event, granted, new)
        self._shared.sink.change(Subscribe(received_ms=self._shared.now_ms(), done=done, sid=session.sid, filters=tuple(granted.items())))

    def _why_not(self, session: Session, topic_filter: str, *, qos: int) -> str:
        """Why a filter is not granted; empty if it is."""
        limits, identity = self._shared.limits, session.identity
        if topic_filter.count("/") >= limits.topic_levels_max or len(topic_filter.encode()) > limits.topic_bytes_max:
            return "it is too long (broker.topic_bytes_max, broker.topic_levels_max)"
        if not may_subscribe(identity, topic_filter, self._in_open_job).allowed:
            return f"its role does not allow it; `dockbridge access why {identity.device} subscribe FILTER` names the rule"
        if identity.redeems is not None and not qos:
            return "credentials are read at QoS 1, because only an acknowledgement says that they have arrived"
        return ""

    def _subscribed(self, client: Client, session: Session, event: events.Subscribe, granted: dict[str, int], new: int, _: Any) -> None:
        session.asked -= new
        if session.ended:
            return
        found = 0
        put: set[str] = set()
        for topic_filter, qos in event.subscriptions:
            if topic_filter in granted:
                if topic_filter in put:
                    self._pump.send(session)  # the same filter twice is as if asked in two packets: each brings the retained messages (3.8.4-4)
                found += self._put(session, topic_filter, qos, is_again=topic_filter in put)
                put.add(topic_filter)
        client.pace.may_send -= found // TOPICS_PER_MESSAGE
        self.end_forbidden(session)  # what was allowed when it was asked for may not be any more
        codes = [qos if f in granted and f in session.subscriptions else SubscribeCode.REFUSED for f, qos in event.subscriptions]
        self._shared.counters.denied += codes.count(SubscribeCode.REFUSED)
        if session.wire is client:
            client.write(suback(event.packet_id, codes))
            self._pump.send(session)
            if granted and isinstance(session, ClaimSession):
                self.redeem(session)

    def _put(self, session: Session, topic_filter: str, qos: int, *, is_again: bool) -> int:
        """An earlier subscription to the same filter is replaced (§3.8.4), and its retained messages are sent again; how many topics were looked at.

        Args:
            is_again: the same packet has asked for the filter before.
        """
        session.subscriptions[topic_filter] = qos
        self.subscribers.put(topic_filter, session, qos)
        topics = self._retained.match(topic_filter)
        page = self._retained.page(topic_filter)
        if page is NOT_YET:
            page = Page((), "")  # asked for again when it is wanted
        count = self._retained.count
        found = len(topics) + len(page.topics)
        if session.sid:
            if not is_again:
                _forget_todo(session, topic_filter)
            lasting = self._lasting(topics) if qos else []
            # Handed over even if there is nothing, so that the store knows that it was.
            session.todo.append(Todo(topic_filter, qos, [*lasting, *page.topics] if qos else [], count, page.after if qos else None))
            topics = list(set(topics).difference(lasting)) if len(lasting) < len(topics) else []
        if session.wire is not None:  # what is not handed over through the log is not kept for a client that is away
            session.retained_owed.owe([(topic, qos) for topic in topics], count)
            if not (session.sid and qos) and (page.topics or page.after is not None):
                session.retained_owed.owe_pages(Todo(topic_filter, qos, page.topics, count, page.after))
        return found

    def _lasting(self, topics: Iterable[str]) -> list[str]:
        """Those of some topics in memory whose message is not of QoS 0, in their order."""
        return sorted(t for t in topics if (message := self._retained.held(t)) is not None and message.qos)

    # --- UNSUBSCRIBE, and what ends a subscription else -------------------------------------------------------------------

    def unsubscribe(self, client: Client, session: Session, event: events.Unsubscribe) -> None:
        """UNSUBACK follows once it is stored (§3.10.4)."""
        done = partial(self._unsubscribed, client, session, event)
        self._shared.sink.change(Unsubscribe(received_ms=self._shared.now_ms(), done=done, sid=session.sid, filters=tuple(event.filters)))

    def _unsubscribed(self, client: Client, session: Session, event: events.Unsubscribe, _: Any) -> None:
        self._take(session, event.filters)
        if session.wire is client:
            client.write(unsuback(event.packet_id))

    def _take(self, session: Session, filters: Iterable[str]) -> None:
        for topic_filter in filters:
            if session.subscriptions.pop(topic_filter, None) is not None:
                self.subscribers.remove(topic_filter, session)
                _forget_todo(session, topic_filter)

    def end_forbidden(self, session: Session) -> None:
        """End the subscriptions that the session's identity is not allowed any more."""
        forbidden = [f for f in session.subscriptions if not may_subscribe(session.identity, f, self._in_open_job).allowed]
        if forbidden:
            self._take(session, forbidden)
            if session.sid:
                self._shared.sink.change(Unsubscribe(received_ms=self._shared.now_ms(), sid=session.sid, filters=tuple(forbidden)))

    def forget(self, session: Session) -> None:
        """A session ended: nothing is published to it any more."""
        for topic_filter in session.subscriptions:
            self.subscribers.remove(topic_filter, session)

    # --- start ------------------------------------------------------------------------------------------------------------

    def restore(self, session: Session, rows: Sequence[SubscriptionRow]) -> None:
        """A session's open subscriptions as the store has them; those that are no longer allowed end here."""
        for row in rows:
            session.subscriptions[row.topic_filter] = row.qos
            self.subscribers.put(row.topic_filter, session, row.qos)
            if row.retained_after is not None:
                after = row.retained_after
                goes_on = self._retained.is_stored(after.removesuffix(PAGE_END))
                rest = [] if goes_on else self._lasting(t for t in self._retained.match(row.topic_filter) if t > after)
                session.todo.append(Todo(row.topic_filter, row.qos, rest, self._retained.count, after if goes_on else ""))
        self.end_forbidden(session)


def _forget_todo(session: Session, topic_filter: str) -> None:
    for todo in [t for t in session.todo if t.topic_filter == topic_filter]:
        session.todo.remove(todo)
