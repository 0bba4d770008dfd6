"""The session book: which client has which session. Sessions are claimed, opened, made room for, and ended (MQTT 3.1.1 §3.1.2.4, §3.1.4).

Sessions are kept by (device, client id): a client id belongs to the identity that uses it, and no other identity can reach what is behind it. A persistent
session goes through the pipeline as a `Change`, in its place among the messages, and is here once it is committed.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from functools import partial

from bridge.broker.claims import ClaimSession
from bridge.broker.client import Client
from bridge.broker.codec.events import Connect
from bridge.broker.codec.reasons import ConnectCode, RefusedConnect
from bridge.broker.losses import Losses
from bridge.broker.message_log import MessageLog
from bridge.broker.online import OnlineDevices
from bridge.broker.queues import LogQueue, MemoryQueue
from bridge.broker.retained import Retained
from bridge.broker.rivals import Rivals
from bridge.broker.sessions import Session
from bridge.broker.shared import Shared
from bridge.broker.state import State
from bridge.broker.subscribing import Subscribing
from bridge.broker.wills import row_of
from bridge.domain.access import Identity
from bridge.ingest.items import EndSession, OpenSession
from bridge.ingest.sessions import WillKey

logger = logging.getLogger("dockbridge.broker")

Key = tuple[str, str]
"""(device, client id)."""


class SessionBook:
    """See the module."""

    def __init__(
        self, shared: Shared, retained: Retained, log: MessageLog, subscribing: Subscribing, losses: Losses, rivals: Rivals, online: OnlineDevices
    ) -> None:
        self._shared = shared
        self._retained = retained
        self._log = log
        self._subscribing = subscribing
        self._losses = losses
        self._rivals = rivals
        self._online = online
        self._sessions: dict[Key, Session] = {}
        self._of_device: dict[str, dict[str, Session]] = {}
        self._of_courier: dict[str, dict[Session, None]] = {}
        self._claims: dict[Key, Client] = {}
        self._opening: dict[Key, int] = {}
        self._unwanted: set[Key] = set()
        """Of `_opening`, those that are to end as soon as they are there."""

    # --- look-ups ---------------------------------------------------------------------------------------------------------

    @property
    def sessions(self) -> list[Session]:
        return list(self._sessions.values())

    def count_of(self, device: str) -> int:
        """How many sessions a device has."""
        return len(self._of_device.get(device, ()))

    def is_held(self, device: str, client_id: str) -> bool:
        """Whether a connection has this session, or is about to."""
        return (device, client_id) in self._claims

    def of_device(self, device: str) -> list[Session]:
        """The sessions of a device."""
        return list(self._of_device.get(device, {}).values())

    def of_courier(self, courier: str) -> list[Session]:
        """The sessions of devices that are bound to a courier."""
        return list(self._of_courier.get(courier, ()))

    # --- coming -----------------------------------------------------------------------------------------------------------

    def open(self, client: Client, identity: Identity, connect: Connect) -> None:
        """Give a connection its session, with `opened`. An older connection of the same client is closed (§3.1.4).

        Raises:
            RefusedConnect: if no more sessions are kept.
        """
        key = (identity.device, connect.client_id)
        if identity.redeems is None:
            self._online.hold(client, identity.device)
        if (holder := self._claims.get(key)) is not None:
            holder.close("another connection of the same client took over")
            self._rivals.took_over(*key, client.peer)
        session = self._sessions.get(key)
        if session is None:
            self._make_room(client, key)
        self._claims[key] = client
        client.claim = key
        sink, clean = self._shared.sink, connect.clean_session or identity.redeems is not None
        will = row_of(identity, connect.client_id, connect.will)
        client.stored_will = WillKey(*key) if will is not None else None
        change = OpenSession(received_ms=self._shared.now_ms(), device=key[0], client_id=key[1], clean=clean, will=will)
        is_stored = session is not None and not session.clean
        # A clean session that is new need not be stored, nor one that goes on. While the store fails, no client waits because of its will alone.
        if key not in self._opening and clean is not is_stored and (will is None or sink.store_failing):
            if will is not None:
                sink.change(change)
            self._opened(client, identity, clean, is_stored, session.sid if session is not None and is_stored else 0)
            return
        self._opening[key] = self._opening.get(key, 0) + 1
        sink.change(replace(change, done=partial(self._stored, client, identity, clean, key)))

    def _stored(self, client: Client, identity: Identity, clean: bool, key: Key, sid: int) -> None:
        self._opening[key] -= 1
        if not self._opening[key]:
            del self._opening[key]
        session = self._sessions.get(key)
        if session is not None and session.sid != sid:
            self._forget(session)
            session = None
        if sid and key in self._unwanted:
            self.end(session or self.add(identity, key[1], sid))
            self._unwanted.discard(key)
            return
        self._unwanted.discard(key)
        if session is None and sid:
            session = self.add(identity, key[1], sid)
            self._opened(client, identity, clean, False, sid)
        else:
            self._opened(client, identity, clean, session is not None, sid)

    def _opened(self, client: Client, identity: Identity, clean: bool, present: bool, sid: int) -> None:
        if client.state is not State.OPENING or client.claim is None:
            return
        key = client.claim
        session = self._sessions.get(key)
        if session is None:
            session = self.add(identity, key[1], sid)
        self.identify(session, identity)
        self._subscribing.end_forbidden(session)  # what it may read can be less than when it was here last
        client.opened(session, present=present and not clean)

    def add(self, identity: Identity, client_id: str, sid: int) -> Session:
        """A new session, or one as the store has it. `sid` is 0 for a clean one."""
        limits = self._shared.limits
        session = (Session if identity.redeems is None else ClaimSession)(
            identity,
            client_id,
            queue=LogQueue(limits.session_queue_max, self._log) if sid else MemoryQueue(limits.session_queue_max, limits.session_queue_bytes_max),
            window=limits.window,
            retained=self._retained,
            sid=sid,
            log=self._log if sid else None,
        )
        session.seen_ms = self._shared.now_ms()
        self._sessions[(identity.device, client_id)] = session
        self._of_device.setdefault(identity.device, {})[client_id] = session
        self._index(session)
        return session

    def identify(self, session: Session, identity: Identity) -> None:
        """A session's device is bound to another courier, or may be."""
        if session.identity.courier != identity.courier:
            self._unindex(session)
            session.identity = identity
            self._index(session)
        else:
            session.identity = identity

    def _index(self, session: Session) -> None:
        courier = session.identity.courier
        if courier is not None:
            self._of_courier.setdefault(courier, {})[session] = None

    def _unindex(self, session: Session) -> None:
        courier = session.identity.courier
        if courier is not None:
            own = self._of_courier[courier]
            del own[session]
            if not own:
                del self._of_courier[courier]

    def _make_room(self, client: Client, key: Key) -> None:
        """Before a new session: a device that has its share gives up its oldest that is not connected.

        Raises:
            RefusedConnect: if there is none to give up, or no more sessions are kept at all.
        """
        device, limits = key[0], self._shared.limits
        own = self._of_device.get(device, {})
        # Those that are still being stored count, whether their connection stands or not.
        opening = {client_id for owner, client_id in self._opening if owner == device}
        if len(own.keys() | opening) >= limits.sessions_per_device_max:
            away = next((s for s in own.values() if (device, s.client_id) not in self._claims), None)
            if away is None:
                raise RefusedConnect(ConnectCode.SERVER_UNAVAILABLE, "the device has too many connections (broker.sessions_per_device_max)")
            waited = away.waiting + away.in_flight
            self.end(away)
            self._losses.gave_way(device, client.peer, waited=waited)
        if len(self._sessions) + len(self._opening) >= limits.sessions_max:
            raise RefusedConnect(ConnectCode.SERVER_UNAVAILABLE, "no more sessions are kept (broker.sessions_max)")

    # --- going ------------------------------------------------------------------------------------------------------------

    def close(self, client: Client) -> None:
        """A connection is gone; a clean session goes with it (§3.1.2.4)."""
        if client.identity is not None:
            self._online.release(client, client.identity.device)
        key = client.claim
        if key is None or self._claims.get(key) is not client:
            return
        del self._claims[key]
        session = self._sessions.get(key)
        if session is not None and session.wire is client:
            session.detach(self._shared.now_ms())
            if session.clean:
                self._forget(session)

    def end(self, session: Session) -> None:
        """A session ends for good, in the store too."""
        self._forget(session)
        if session.sid:
            self._shared.sink.change(EndSession(received_ms=self._shared.now_ms(), sid=session.sid))

    def end_all(self, device: str) -> None:
        """Every session of a device ends, also those that are still being stored."""
        self._unwanted.update(key for key in self._opening if key[0] == device)
        for session in list(self._of_device.get(device, {}).values()):
            self.end(session)

    def _forget(self, session: Session) -> None:
        if session.ended:
            return
        session.ended = True
        self._subscribing.forget(session)
        key = (session.identity.device, session.client_id)
        if self._sessions.get(key) is session:
            del self._sessions[key]
            own = self._of_device[key[0]]
            del own[key[1]]
            if not own:
                del self._of_device[key[0]]
            self._unindex(session)
        if session.sid:
            self._log.forget(session)
        self._losses.forget(session)

    def expire(self, young_from: int, now_ms: int) -> None:
        """End sessions whose client never came back, and let go of messages that waited for too long: all before a place in the log."""
        for session in self.sessions:
            if not session.sid:
                continue
            if (
                session.seen_ms
                and not self.is_held(session.identity.device, session.client_id)
                and now_ms - session.seen_ms > self._shared.limits.session_expiry_ms
            ):
                logger.info("the session of %s (client %r) expired", session.identity.device, session.client_id)
                self.end(session)
            elif len(session.queue):
                session.expire(young_from)
                if session.dropped and not session.dropped_told:
                    self._losses.report(session)

    # --- start ------------------------------------------------------------------------------------------------------------

    def restored(self) -> None:
        """Everything is there. The clients that were connected are not."""
        now_ms = self._shared.now_ms()
        for session in self._sessions.values():
            if not session.seen_ms:
                session.seen_ms = now_ms
                self._log.changed(session)
