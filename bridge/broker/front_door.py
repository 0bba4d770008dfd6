"""The front door: what all connections share, without a socket. Sessions, subscriptions, retained messages, and the way into the pipeline.

Whatever a persistent session is made of goes through the pipeline as a `Change`, in its place among the messages, and takes effect here once it is committed.
`connection.py` is one client's connection; sections in comments are of the OASIS standard, MQTT Version 3.1.1.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any, Final, Protocol

from bridge.broker import packets
from bridge.broker.connection import Connection, State
from bridge.broker.limits import DoorLimits
from bridge.broker.message_log import Fetch, MessageLog
from bridge.broker.notices import Notices
from bridge.broker.packets import Connect, ConnectCode, Decoder, Outgoing, RefusedConnect
from bridge.broker.queues import LogQueue, MemoryQueue, Owed
from bridge.broker.retained import Retained
from bridge.broker.sessions import Received, Session, Todo, Unstored
from bridge.domain.access import Identity, OpenOrders, may_subscribe
from bridge.domain.topic_tree import Subscriptions
from bridge.ingest.ports import (
    PAGE_END,
    Acknowledge,
    Alarm,
    Change,
    EndSession,
    HandOver,
    Incoming,
    Message,
    MessageRow,
    OpenSession,
    Progress,
    Projection,
    Release,
    SessionRow,
    StoreUnavailable,
    Subscribe,
    SubscriptionRow,
    Unsubscribe,
)
from bridge.words import counted
from devices.protocol.vocabulary import AlertCode

logger = logging.getLogger("dockbridge.broker")

PORTION: Final = 256
"""Retained messages that are handed over to a persistent session at a time."""
HOUSEKEEPING_S: Final = 10.0
CALM_S: Final = 5.0
"""Seconds without a loss after which a client that has caught up is said to be well again."""
CROWDED_S: Final = 86_400.0
"""Seconds after which the alert about a device whose sessions had to give way is cleared, where none had to any more."""
TOPICS_PER_MESSAGE: Final = 20
"""Looking for so many retained topics takes about the time of one message; a subscription counts towards the rate accordingly."""

Key = tuple[str, str]


class Sink(Protocol):
    """Where accepted messages and changes of sessions go: the ingest pipeline."""

    @property
    def is_full(self) -> bool: ...

    @property
    def is_idle(self) -> bool:
        """Whether everything that was offered is committed and shown."""
        ...

    def offer(self, incoming: Incoming, acknowledge: Acknowledge) -> None: ...

    def change(self, change: Change) -> None: ...


class Counters:
    """What happened at the door since the start."""

    __slots__ = ("connections", "denied", "dropped", "evicted", "faults", "handshakes_failed", "protocol_errors", "refused", "turned_away")

    def __init__(self) -> None:
        self.connections = self.refused = self.denied = self.protocol_errors = self.dropped = self.turned_away = self.faults = self.evicted = (
            self.handshakes_failed
        ) = 0

    def plain(self) -> dict[str, int]:
        return {name: getattr(self, name) for name in self.__slots__}


class FrontDoor:
    """What all connections share.

    Args:
        now_ms: the server's monotonic time, anchored to the wall clock at its start.
        now_s: a monotonic clock for timers.
        authenticate: starts to check credentials; whoever checks calls `Connection.authenticated` when it is done.
        in_open_job: whether an order is in an open job of a courier.
        fetch: reads messages of the message log.
        projection: retained messages that are read from tables.
        young_from: the place in the log of the first message that is not older than a time.
    """

    def __init__(
        self,
        *,
        decoder: Decoder,
        sink: Sink,
        limits: DoorLimits,
        now_ms: Callable[[], int],
        now_s: Callable[[], float],
        authenticate: Callable[[Connection, Connect], None],
        in_open_job: OpenOrders,
        fetch: Fetch = lambda positions: {},
        young_from: Callable[[int], int] = lambda before_ms: 0,
        projection: Projection | None = None,
    ) -> None:
        self.decoder = decoder
        self.sink = sink
        self.limits = limits
        self.now_ms = now_ms
        self.now_s = now_s
        self.authenticate = authenticate
        self.in_open_job = in_open_job
        self.retained = Retained(projection, limits.recent_retained_max)
        self.log = MessageLog(fetch, limits.recent_bytes_max)
        self.counters = Counters()
        self.notices = Notices(now_s)
        self.connections: dict[Connection, None] = {}
        """In the order in which they came."""
        self._young_from = young_from
        self._losing: dict[Session, tuple[int, float]] = {}
        self._crowded: dict[str, float] = {}
        """Devices whose sessions had to give way, and when one last did."""
        self._subscribers: Subscriptions[Session] = Subscriptions(limits.matches_max)
        self._sessions: dict[Key, Session] = {}
        self._of_device: dict[str, dict[str, Session]] = {}
        self._claims: dict[Key, Connection] = {}
        self._opening: dict[Key, int] = {}
        self._unwanted: set[Key] = set()
        """Of `_opening`, those that are to end as soon as they are there."""
        self._progress_is_out = False
        self._housekept_s = now_s()

    # --- messages out -----------------------------------------------------------------------------------------------------

    def publish(self, message: Message) -> None:
        """Send a message to every subscriber, once each, at the lower of the two QoS (§3.3.5, §3.8.4)."""
        outgoing = Outgoing(message.topic, message.payload, message.qos)
        if message.retain:
            self.retained.put(outgoing)
        subscribers = self._subscribers.match(message.topic)
        pos = message.pos
        if pos:
            self.log.owe(pos, sum(1 for session, qos in subscribers if qos and session.sid), outgoing)
        for session, qos in subscribers:
            lower = qos if qos < message.qos else message.qos
            if pos and lower and session.sid:
                session.deliver(outgoing, lower, pos=pos)
            elif not (lower and session.sid):
                session.deliver(outgoing, lower)
            if session.dropped and not session.dropped_told:
                self._tell_dropped(session)
        if len(self.log) > self.limits.message_log_max:
            self._bound_log()

    def pass_on(self, topic: str, payload: bytes, qos: int) -> bool:
        """Send a message that nothing keeps: outside v1/, not retained, and owed to no persistent session. False where it has to be stored, or to go behind
        what is being stored."""
        if not self.sink.is_idle:
            return False
        subscribers = self._subscribers.match(topic)
        if any(wanted and session.sid for session, wanted in subscribers):
            return False
        if subscribers:
            self.publish(Message(topic, payload, qos, False))
        return True

    def _bound_log(self) -> None:
        """The log is full: whoever has most waiting gives up a part of it."""
        longest = max((s for s in self._sessions.values() if s.sid), key=_waiting, default=None)
        if longest is not None and len(longest.queue):
            longest.give_up()
            if not longest.dropped_told:
                self._tell_dropped(longest)

    def _tell_dropped(self, session: Session) -> None:
        """What is dropped is said once, and again only after the client has caught up."""
        session.dropped_told = True
        self._losing[session] = (session.dropped, self.now_s())
        self.counters.dropped += 1
        logger.warning("messages for %s (client %r) are dropped: it does not fetch them, and no more may wait", session.identity.device, session.client_id)
        self.alarm(
            AlertCode.DROPPED,
            session.identity.device,
            f"Messages for device {session.identity.device} were dropped: it did not fetch them, and what may wait is bounded.",
            "Connect the device; what it missed of orders is retained. Raise broker.session_queue_max if it is away for long.",
        )

    def alarm(self, code: AlertCode, subject: str, text: str, fix: str) -> None:
        """Raise an alert, or, with an empty text, clear it."""
        self.sink.change(Alarm(received_ms=self.now_ms(), code=code.value, subject=subject, text=text, fix=fix))

    def has_room_for_retained(self, topic: str) -> bool:
        return len(self.retained) < self.limits.retained_max or self.retained.get(topic) is not None

    # --- sessions ---------------------------------------------------------------------------------------------------------

    def open_session(self, connection: Connection, identity: Identity, connect: Connect) -> None:
        """Give a connection its session, with `Connection.opened`. An older connection of the same client is closed (§3.1.4).

        Sessions are kept by (device, client id): a client id belongs to the identity that uses it, and nobody else can reach what is behind it.

        Raises:
            RefusedConnect: where no more sessions are kept.
        """
        key = (identity.device, connect.client_id)
        if (holder := self._claims.get(key)) is not None:
            holder.close("another connection of the same client took over")
        session = self._sessions.get(key)
        if session is None:
            self._make_room(connection, key)
        self._claims[key] = connection
        connection.claim = key
        is_stored = session is not None and not session.clean
        if key not in self._opening and connect.clean_session is not is_stored:
            # Nothing has to be stored: a clean session is new, or a stored one goes on.
            self._opened(connection, identity, connect.clean_session, is_stored, session.sid if session is not None and is_stored else 0)
            return
        self._opening[key] = self._opening.get(key, 0) + 1
        self.sink.change(
            OpenSession(
                received_ms=self.now_ms(),
                done=partial(self._session_stored, connection, identity, connect.clean_session, key),
                device=key[0],
                client_id=key[1],
                clean=connect.clean_session,
            ),
        )

    def _session_stored(self, connection: Connection, identity: Identity, clean: bool, key: Key, sid: int) -> None:
        self._opening[key] -= 1
        if not self._opening[key]:
            del self._opening[key]
        session = self._sessions.get(key)
        if session is not None and session.sid != sid:
            self._forget(session)
            session = None
        if sid and key in self._unwanted:
            self.end_session(session or self._add(identity, key[1], sid))
            self._unwanted.discard(key)
            return
        self._unwanted.discard(key)
        if session is None and sid:
            session = self._add(identity, key[1], sid)
            self._opened(connection, identity, clean, False, sid)
        else:
            self._opened(connection, identity, clean, session is not None, sid)

    def _opened(self, connection: Connection, identity: Identity, clean: bool, present: bool, sid: int) -> None:
        if connection.state is not State.OPENING or connection.claim is None:
            return
        key = connection.claim
        session = self._sessions.get(key)
        if session is None:
            session = self._add(identity, key[1], sid)
        session.identity = identity
        self._end_forbidden(session)  # what it may read can be less than when it was here last
        connection.opened(session, present=present and not clean)

    def _add(self, identity: Identity, client_id: str, sid: int) -> Session:
        limits = self.limits
        session = Session(
            identity,
            client_id,
            queue=LogQueue(limits.session_queue_max, self.log) if sid else MemoryQueue(limits.session_queue_max, limits.session_queue_bytes_max),
            window=limits.window,
            retained=self.retained,
            sid=sid,
            log=self.log if sid else None,
        )
        session.seen_ms = self.now_ms()
        self._sessions[(identity.device, client_id)] = session
        self._of_device.setdefault(identity.device, {})[client_id] = session
        return session

    def _make_room(self, connection: Connection, key: Key) -> None:
        """Before a new session: a device that has its share gives up its oldest that is not connected.

        Raises:
            RefusedConnect: where there is none to give up, or no more sessions are kept at all.
        """
        device = key[0]
        own = self._of_device.get(device, {})
        # Those that are still being stored count, whether their connection stands or not.
        opening = {client_id for owner, client_id in self._opening if owner == device}
        if len(own.keys() | opening) >= self.limits.sessions_per_device_max:
            away = next((s for s in own.values() if (device, s.client_id) not in self._claims), None)
            if away is None:
                raise RefusedConnect(ConnectCode.SERVER_UNAVAILABLE, "the device has too many connections (broker.sessions_per_device_max)")
            self._evict(away, connection.peer)
        if len(self._sessions) + len(self._opening) >= self.limits.sessions_max:
            raise RefusedConnect(ConnectCode.SERVER_UNAVAILABLE, "no more sessions are kept (broker.sessions_max)")

    def _evict(self, session: Session, peer: str) -> None:
        """A session gives way to a newer one of its device. What waited for it is lost: that is said."""
        device, limit = session.identity.device, self.limits.sessions_per_device_max
        waiting = counted(session.waiting + session.in_flight, "message")
        self.end_session(session)
        self.counters.evicted += 1
        reason = f"it has {limit} already (broker.sessions_per_device_max); its oldest ended with {waiting} that waited"
        self.notices.say("a session gave way to another of its device", device, peer, reason)
        if device not in self._crowded:
            self.alarm(
                AlertCode.DROPPED,
                device,
                f"Device {device} opened more than {limit} sessions: its oldest ended, with {waiting} that waited for it.",
                "Give each program of the device one client id that stays the same, or raise broker.sessions_per_device_max.",
            )
        self._crowded[device] = self.now_s()

    def loses(self, device: str) -> bool:
        """Whether messages for a device were dropped, and it is not well again."""
        return device in self._crowded or any(s.dropped_told for s in self._of_device.get(device, {}).values())

    def close_session(self, connection: Connection) -> None:
        """A connection is gone; a clean session goes with it (§3.1.2.4)."""
        if connection.claim is not None and self._claims.get(connection.claim) is connection:
            del self._claims[connection.claim]
        session = connection.session
        if session is not None and session.wire is connection:
            session.detach(self.now_ms())
            if session.clean:
                self._forget(session)

    def end_session(self, session: Session) -> None:
        """A session ends for good, in the store too."""
        self._forget(session)
        if session.sid:
            self.sink.change(EndSession(received_ms=self.now_ms(), sid=session.sid))

    def _forget(self, session: Session) -> None:
        if session.ended:
            return
        session.ended = True
        for topic_filter in session.subscriptions:
            self._subscribers.remove(topic_filter, session)
        key = (session.identity.device, session.client_id)
        if self._sessions.get(key) is session:
            del self._sessions[key]
            own = self._of_device[key[0]]
            del own[key[1]]
            if not own:
                del self._of_device[key[0]]
        if session.sid:
            self.log.forget(session)
        if session.dropped_told:
            self._clear_dropped(session)

    def disconnect(self, device: str, why: str, *, end_sessions: bool) -> None:
        """Close a device's connections, now; with `end_sessions` also what is kept for it."""
        for connection in [c for c in self.connections if c.device == device]:
            connection.close(why)
        if end_sessions:
            self._unwanted.update(key for key in self._opening if key[0] == device)
            for session in list(self._of_device.get(device, {}).values()):
                self.end_session(session)

    def recheck(self, courier: str) -> None:
        """A courier's jobs changed: subscriptions that are no longer allowed end."""
        for session in [s for s in self._sessions.values() if s.identity.courier == courier]:
            self._end_forbidden(session)

    def _end_forbidden(self, session: Session) -> None:
        forbidden = [f for f in session.subscriptions if not may_subscribe(session.identity, f, self.in_open_job).allowed]
        if forbidden:
            self._take_filters(session, forbidden)
            if session.sid:
                self.sink.change(Unsubscribe(received_ms=self.now_ms(), sid=session.sid, filters=tuple(forbidden)))

    # --- subscriptions ----------------------------------------------------------------------------------------------------

    def subscribe(self, connection: Connection, session: Session, wanted: dict[str, int], packet_id: int, asked: Sequence[str]) -> None:
        """Ask for filters with their QoS; SUBACK follows with a code for each that was asked, once they are stored."""
        room = before = self.limits.subscriptions_max - len(session.subscriptions) - session.asked
        granted: dict[str, int] = {}
        for topic_filter, qos in wanted.items():
            is_new = topic_filter not in session.subscriptions
            why_not = connection.why_not(topic_filter)
            if not why_not and is_new and room <= 0:
                why_not = "it has as many as it may have (broker.subscriptions_max)"
            if why_not:
                connection.say_refused(why_not)
                continue
            granted[topic_filter] = qos
            room -= is_new
        session.asked += before - room
        self.sink.change(
            Subscribe(
                received_ms=self.now_ms(),
                done=partial(self._subscribed, connection, session, granted, packet_id, asked, before - room),
                sid=session.sid,
                filters=tuple(granted.items()),
            ),
        )

    def _subscribed(self, connection: Connection, session: Session, granted: dict[str, int], packet_id: int, asked: Sequence[str], new: int, _: Any) -> None:
        session.asked -= new
        if session.ended:
            return
        found = sum(self._put_filter(session, topic_filter, qos) for topic_filter, qos in granted.items())
        connection.charge(found // TOPICS_PER_MESSAGE)
        self._end_forbidden(session)  # what was allowed when it was asked for may not be any more
        codes = [granted[f] if f in granted and f in session.subscriptions else packets.SUBSCRIPTION_REFUSED for f in asked]
        self.counters.denied += codes.count(packets.SUBSCRIPTION_REFUSED)
        if session.wire is connection:
            connection.write(packets.suback(packet_id, codes))
            session.pump()
            self.after_pump(session)

    def _put_filter(self, session: Session, topic_filter: str, qos: int) -> int:
        """An earlier subscription to the same filter is replaced (§3.8.4), and its retained messages are sent again; how many topics were looked at."""
        session.subscriptions[topic_filter] = qos
        self._subscribers.put(topic_filter, session, qos)
        topics = self.retained.match(topic_filter)
        page = self.retained.page(topic_filter)
        found = len(topics) + len(page.topics)
        count = self.retained.count
        if session.sid:
            self._forget_todo(session, topic_filter)
            lasting = sorted(t for t in topics if qos and (message := self.retained.get(t)) is not None and message.qos)
            # Handed over even where there is nothing, so that the store knows that it was.
            session.todo.append(Todo(topic_filter, qos, [*lasting, *page.topics] if qos else [], count, page.after if qos else None))
            topics = list(set(topics).difference(lasting)) if len(lasting) < len(topics) else []
        if session.wire is not None:  # what is not handed over through the log is not kept for who is away
            session.owe_retained([(topic, qos) for topic in topics], count)
            if not (session.sid and qos) and (page.topics or page.after is not None):
                session.owe_pages(Todo(topic_filter, qos, page.topics, count, page.after))
        return found

    def unsubscribe(self, connection: Connection, session: Session, filters: Sequence[str], packet_id: int) -> None:
        """UNSUBACK follows once it is stored (§3.10.4)."""
        done = partial(self._unsubscribed, connection, session, filters, packet_id)
        self.sink.change(Unsubscribe(received_ms=self.now_ms(), done=done, sid=session.sid, filters=tuple(filters)))

    def _unsubscribed(self, connection: Connection, session: Session, filters: Sequence[str], packet_id: int, _: Any) -> None:
        self._take_filters(session, filters)
        if session.wire is connection:
            connection.write(packets.unsuback(packet_id))

    def _take_filters(self, session: Session, filters: Iterable[str]) -> None:
        for topic_filter in filters:
            if session.subscriptions.pop(topic_filter, None) is not None:
                self._subscribers.remove(topic_filter, session)
                self._forget_todo(session, topic_filter)

    def _forget_todo(self, session: Session, topic_filter: str) -> None:
        for todo in [t for t in session.todo if t.topic_filter == topic_filter]:
            session.todo.remove(todo)

    # --- retained messages of persistent sessions -------------------------------------------------------------------------

    def after_pump(self, session: Session) -> None:
        """A session has sent what it can: hand over more of its retained messages, and see whether it has caught up."""
        if session.wire is None:
            return
        if session.todo and not session.handing_over and len(session.queue) < self.limits.window:
            self._hand_over(session)

    def _look_at_losses(self, now_s: float) -> None:
        """Whoever lost messages, has fetched since what was left, and loses no more, is well again, connected or not. Not at once: a slow reader would flap."""
        for session, (dropped, since_s) in list(self._losing.items()):
            has_fetched = not session.waiting and not session.lost_while_away and (session.wire is not None or not session.in_flight)
            if session.dropped != dropped or not has_fetched:
                self._losing[session] = (session.dropped, now_s)
            elif now_s - since_s >= CALM_S:
                session.dropped = 0
                session.dropped_told = False
                if session.sid:
                    self.log.changed(session)
                self._clear_dropped(session)

    def _clear_dropped(self, session: Session) -> None:
        self._losing.pop(session, None)
        device = session.identity.device
        if not self.loses(device):
            self.alarm(AlertCode.DROPPED, device, "", "")

    def _look_at_crowds(self, now_s: float) -> None:
        """A device that has room for a session again, or opened no more of them for long, is well again."""
        for device, since_s in list(self._crowded.items()):
            calm_s = CALM_S if len(self._of_device.get(device, ())) < self.limits.sessions_per_device_max else CROWDED_S
            if now_s - since_s >= calm_s:
                del self._crowded[device]
                if not self.loses(device):
                    self.alarm(AlertCode.DROPPED, device, "", "")

    def _hand_over(self, session: Session) -> None:
        todo = session.todo[0]
        messages: list[Message] = []
        room = self.limits.output_bytes_max
        before = todo.after, todo.place
        done = todo.topics[todo.place - 1] if todo.place else None
        if todo.place >= len(todo.topics) and todo.after is not None:
            todo.topics, todo.after = self.retained.page(todo.topic_filter, todo.after)
            todo.place = 0
            done = todo.after if not todo.topics else None
        while todo.place < len(todo.topics) and len(messages) < PORTION and room > 0:
            try:
                message = self.retained.get(todo.topics[todo.place])
            except StoreUnavailable:
                break
            done = todo.topics[todo.place]
            todo.place += 1
            # What was published since the subscription went out as a message of its own.
            if message is not None and message.order <= todo.as_of and (qos := min(message.qos, todo.qos)):
                messages.append(Message(message.topic, message.payload, qos, True))
                room -= message.size
        is_last = todo.is_done
        if not is_last and (todo.after, todo.place) == before:
            return  # the tables can't be read now; they are asked again when the client has something to say
        session.handing_over = True
        self.sink.change(
            HandOver(
                received_ms=self.now_ms(),
                done=partial(self._handed_over, session, todo, messages, is_last),
                sid=session.sid,
                topic_filter=todo.topic_filter,
                after=None if is_last else done,
                messages=tuple(messages),
            ),
        )

    def _handed_over(self, session: Session, todo: Todo, messages: list[Message], is_last: bool, positions: Sequence[int] | None) -> None:
        session.handing_over = False
        for message, pos in zip(messages, positions or (), strict=False):
            self.log.owe(pos, 0 if session.ended else 1)
            if not session.ended:
                session.deliver(Outgoing(message.topic, message.payload, message.qos), message.qos, retain=True, pos=pos)
        if is_last and todo in session.todo:
            session.todo.remove(todo)
        session.pump()
        self.after_pump(session)

    # --- acknowledgements -------------------------------------------------------------------------------------------------

    def release(self, connection: Connection, session: Session, packet_id: int) -> None:
        """PUBREL came: the id is free again, and PUBCOMP follows once that is stored (§4.3.3)."""
        state = session.incoming.get(packet_id)
        if state is Received.RELEASING:
            return  # PUBCOMP is on its way: a second change could free the id of the message that follows
        if session.sid and state is not None:
            session.incoming[packet_id] = Received.RELEASING
            done = partial(self._released, session, packet_id)
            self.sink.change(Release(received_ms=self.now_ms(), done=done, sid=session.sid, packet_id=packet_id))
        else:
            session.incoming.pop(packet_id, None)
            connection.write(packets.pubcomp(packet_id))

    def _released(self, session: Session, packet_id: int, _: Any) -> None:
        session.incoming.pop(packet_id, None)
        if session.wire is not None:
            session.wire.write(packets.pubcomp(packet_id))

    def flush_progress(self, *, now: bool = False) -> None:
        """Have written what clients acknowledged: when a packet waits for it, or with `now`; one such change is under way at a time."""
        if self._progress_is_out or not (now or self.log.is_urgent):
            return
        due = self.log.take_due()
        if due is None:
            return
        self._progress_is_out = True
        self.sink.change(Progress(received_ms=self.now_ms(), done=partial(self._progress_stored, due.unstored), sessions=due.rows, finished=due.finished))

    def _progress_stored(self, unstored: Sequence[Unstored], _: Any) -> None:
        self._progress_is_out = False
        for waiting in unstored:
            waiting.session.stored(waiting)
            waiting.session.pump()
            self.after_pump(waiting.session)
        self.flush_progress()

    # --- start ------------------------------------------------------------------------------------------------------------

    def restore(self, session_row: SessionRow, identity: Identity) -> Session:
        """A persistent session as the store has it."""
        session = self._add(identity, session_row.client_id, session_row.sid)
        for pos in session.restore(session_row):
            self.log.owe(pos, self.log.owners(pos) + 1)
        if session.dropped_told:
            session.lost_while_away = True
            self._losing[session] = (session.dropped, self.now_s())
        return session

    def restore_subscriptions(self, session: Session, rows: Sequence[SubscriptionRow]) -> None:
        """Its open subscriptions; those that are no longer allowed end here."""
        for row in rows:
            session.subscriptions[row.topic_filter] = row.qos
            self._subscribers.put(row.topic_filter, session, row.qos)
            if row.retained_after is not None:
                after = row.retained_after
                goes_on = self.retained.projection.covers(after.removesuffix(PAGE_END))
                rest = [] if goes_on else [t for t in self.retained.match(row.topic_filter) if t > after]
                lasting = sorted(t for t in rest if (m := self.retained.get(t)) is not None and m.qos)
                session.todo.append(Todo(row.topic_filter, row.qos, lasting, self.retained.count, after if goes_on else ""))
        self._end_forbidden(session)

    def restore_message(self, row: MessageRow, owners: Sequence[tuple[Session, int]]) -> None:
        """A message of the log, and who is still owed it at which QoS."""
        self.log.owe(row.pos, self.log.owners(row.pos) + len(owners))
        for session, qos in owners:
            # What was sent and acknowledged since the session's row was written last is not known: each of them might be sent again (§3.3.1.1).
            session.queue.push(Owed(None, qos, row.sid is not None, row.pos, True))

    def restored(self) -> None:
        """Everything is there: whoever was connected is not."""
        now_ms = self.now_ms()
        for session in self._sessions.values():
            if not session.seen_ms:
                session.seen_ms = now_ms
                self.log.changed(session)

    # --- timers -----------------------------------------------------------------------------------------------------------

    def tick(self) -> None:
        """Close what was silent for too long: half a handshake, or one and a half times the keep-alive (§3.1.2.10)."""
        now_s = self.now_s()
        for connection in list(self.connections):
            connection.check_silence(now_s)
        self._look_at_losses(now_s)
        self._look_at_crowds(now_s)
        if now_s - self._housekept_s >= HOUSEKEEPING_S:
            self._housekept_s = now_s
            self._keep_house(self.now_ms())

    def tick_progress(self) -> None:
        """Acknowledgements are committed at most `ack_flush_ms` after they were read: half of that is for the commit."""
        self.flush_progress(now=True)

    def _keep_house(self, now_ms: int) -> None:
        """Messages that waited for too long, and sessions whose client never came back."""
        limits = self.limits
        young_from = self._young_from(now_ms - limits.session_queue_age_ms)
        for session in list(self._sessions.values()):
            if not session.sid:
                continue
            if session.seen_ms and now_ms - session.seen_ms > limits.session_expiry_ms:
                logger.info("the session of %s (client %r) expired", session.identity.device, session.client_id)
                self.end_session(session)
            elif len(session.queue):
                session.pump()  # where the log could not be read when it was its turn
                self.after_pump(session)
                session.expire(young_from)
                if session.dropped and not session.dropped_told:
                    self._tell_dropped(session)

    @property
    def sessions(self) -> list[Session]:
        return list(self._sessions.values())


def _waiting(session: Session) -> int:
    return len(session.queue)


__all__ = ["Connection", "Counters", "DoorLimits", "FrontDoor", "Sink", "State"]
