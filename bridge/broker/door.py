"""The front door: what all connections share, without a socket. It publishes, and ties its parts together.

`session_book.py` knows which client has which session, `subscribing.py` which filters it holds, `pump.py` sends it what it may be sent, `acknowledging.py`
has stored what it acknowledged, `losses.py` says what was lost. `connection.py` is one client's connection; sections in comments are of the OASIS standard,
MQTT Version 3.1.1.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from bridge.broker.acknowledging import Acknowledging
from bridge.broker.client import Client
from bridge.broker.codec.events import Connect
from bridge.broker.codec.outgoing import Outgoing
from bridge.broker.codec.v311 import Decoder
from bridge.broker.limits import DoorLimits
from bridge.broker.losses import Losses
from bridge.broker.message_log import MessageLog
from bridge.broker.online import OnlineDevices
from bridge.broker.oversized import Oversized
from bridge.broker.pump import Pump
from bridge.broker.retained import Retained
from bridge.broker.rivals import Rivals
from bridge.broker.session_book import SessionBook
from bridge.broker.sessions import Session
from bridge.broker.shared import Shared, Sink
from bridge.broker.store_view import NOTHING_STORED, StoreView
from bridge.broker.subscribing import Subscribing
from bridge.broker.wills import Wills
from bridge.domain.access import Identity, OpenOrders
from bridge.ingest.items import Message
from bridge.ingest.ports import NOT_YET
from devices.protocol.vocabulary import AlertCode

HOUSEKEEPING_S: Final = 10.0


class FrontDoor:
    """What all connections share.

    Args:
        now_ms: the server's monotonic time, anchored to the wall clock at its start.
        now_s: a monotonic clock for timers.
        authenticate: starts to check credentials, and has `authenticated` of the client called with the result.
        in_open_job: whether an order is in an open job of a courier.
        stored: what is read from the store.
    """

    def __init__(
        self,
        *,
        decoder: Decoder,
        sink: Sink,
        limits: DoorLimits,
        now_ms: Callable[[], int],
        now_s: Callable[[], float],
        authenticate: Callable[[Client, Connect], None],
        in_open_job: OpenOrders,
        stored: StoreView = NOTHING_STORED,
    ) -> None:
        self.decoder = decoder
        self.authenticate = authenticate
        self.sink = sink
        self.limits = limits
        self.now_ms = now_ms
        self.now_s = now_s
        self.shared = Shared(sink, limits, now_ms, now_s)
        self.counters = self.shared.counters
        self.notices = self.shared.notices
        self.connections: dict[Client, None] = {}
        """In the order in which they came."""
        self.waiting: dict[Client, None] = {}
        """Those that wait for the store before their credentials are checked."""
        self.retained = Retained(stored.retained, limits.recent_retained_max)
        self.log = MessageLog(stored.messages, limits.recent_bytes_max)
        self.losses = Losses(self.shared, self.log)
        self.pump = Pump(self.shared, self.retained, self.log)
        self.acknowledging = Acknowledging(self.shared, self.log, self.pump)
        self.subscribing = Subscribing(self.shared, self.retained, self.pump, in_open_job)
        self.rivals = Rivals(self.shared)
        self.oversized = Oversized(self.shared)
        self.online = OnlineDevices(self.shared)
        self.wills = Wills(self.shared, self.online, self.has_room_for_retained)
        self.book = SessionBook(self.shared, self.retained, self.log, self.subscribing, self.losses, self.rivals, self.online)
        self._subscribers = self.subscribing.subscribers
        self._stored = stored
        self._housekept_s = now_s()

    def use_limits(self, limits: DoorLimits) -> None:
        """Go on with other limits, also for connections that stand. What was sized by the old ones keeps its size."""
        self.limits = self.shared.limits = limits
        for connection in self.connections:
            connection.pace.limits = limits

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
                self.losses.report(session)
        if len(self.log) > self.limits.message_log_max:
            self.losses.bound_log(self.book.sessions)

    def pass_on(self, topic: str, payload: bytes, qos: int) -> bool:
        """Send a message that nothing keeps: outside v1/, not retained, and owed to no persistent session. False if it has to be stored, or to go behind
        what is being stored."""
        if not self.sink.is_idle:
            return False
        subscribers = self._subscribers.match(topic)
        if any(wanted and session.sid for session, wanted in subscribers):
            return False
        if subscribers:
            self.publish(Message(topic, payload, qos, False))
        return True

    def has_room_for_retained(self, topic: str) -> bool:
        """Whether a client may have one more message retained, or another under this topic."""
        return len(self.retained) < self.limits.retained_max or self.retained.held(topic) is not None

    # --- sessions ---------------------------------------------------------------------------------------------------------

    @property
    def sessions(self) -> list[Session]:
        return self.book.sessions

    def disconnect(self, device: str, why: str, *, end_sessions: bool) -> None:
        """Close a device's connections, now; with `end_sessions` also end its sessions."""
        for connection in [c for c in self.connections if c.device == device]:
            connection.close(why)
        if end_sessions:
            self.book.end_all(device)

    def identify_anew(self, identity: Identity) -> None:
        """A device's enrolment was changed: its connections end, and its sessions keep what they may still read."""
        self.disconnect(identity.device, "its enrolment was changed", end_sessions=False)
        for session in self.book.of_device(identity.device):
            self.book.identify(session, identity)
            self.subscribing.end_forbidden(session)

    def recheck(self, courier: str) -> None:
        """A courier's jobs changed: subscriptions that are no longer allowed end."""
        for session in self.book.of_courier(courier):
            self.subscribing.end_forbidden(session)

    def flush_progress(self, *, now: bool = False) -> None:
        """Have written what clients acknowledged, see `Acknowledging.flush`."""
        self.acknowledging.flush(now=now)

    def ask_again(self) -> None:
        """The store can answer what it could not say before (`NOT_YET`): go on with the sessions that wait for it. What that has them sent is written by
        `Hub.flush`."""
        self.pump.ask_again()

    # --- alerts -----------------------------------------------------------------------------------------------------------

    def alarm(self, code: AlertCode, subject: str, text: str, fix: str) -> None:
        """Raise an alert, or, with an empty text, clear it."""
        self.shared.alarm(code, subject, text, fix)

    def loses(self, device: str) -> bool:
        """Whether messages for a device were dropped, and it is not well again."""
        return self.losses.loses(device)

    # --- timers -----------------------------------------------------------------------------------------------------------

    def begin_logins(self) -> None:
        """The store is not behind any more: begin the logins that have waited for it."""
        waiting, self.waiting = self.waiting, {}
        for connection in waiting:
            connection.begin_login()

    def tick(self) -> None:
        """Close what was silent for too long: half a handshake, or one and a half times the keep-alive (§3.1.2.10)."""
        now_s = self.now_s()
        for connection in list(self.connections):
            connection.check_silence(now_s)
        self.losses.look(now_s, self.book.count_of)
        self.rivals.look(now_s)
        self.oversized.look(now_s)
        if now_s - self._housekept_s >= HOUSEKEEPING_S:
            self._housekept_s = now_s
            self.keep_house(self.now_ms())

    def tick_progress(self) -> None:
        """Acknowledgements are committed at most `ack_flush_ms` after they were read: half of that is for the commit."""
        self.flush_progress(now=True)

    def keep_house(self, now_ms: int) -> None:
        """Messages that waited for too long, sessions whose client never came back, and what the store could not say before."""
        self.ask_again()
        young_from = self._stored.messages.young_from(now_ms - self.limits.session_queue_age_ms)
        self.book.expire(0 if young_from is NOT_YET else young_from, now_ms)
