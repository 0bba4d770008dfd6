"""Claims while the site is served: a device that redeems one gets its secret once, after it is stored.

The claim ends when the device has acknowledged the secret, or has logged in with it. If the connection or the server ends before that, the same claim brings
another secret, and the one that was lost is void.
"""

from __future__ import annotations

import asyncio
import logging
from functools import partial

from bridge.broker.claims import ClaimSession
from bridge.broker.codec.outgoing import Outgoing
from bridge.domain.access import Identity, Redeems
from bridge.errors import BridgeError
from bridge.ingest.points import CLAIM_STORED, Passed
from bridge.ingest.ports import StoreUnavailable
from bridge.serving.open_site import OpenSite
from devices.protocol import messages
from devices.protocol.claims import CLAIM_PREFIX
from devices.protocol.messages import Credentials

logger = logging.getLogger("dockbridge")


class Redeeming:
    """Hands out secrets. Used on the event loop."""

    def __init__(self, site: OpenSite, passed: Passed) -> None:
        self._claims = site.claims
        self._authentication = site.authentication
        self._outlet = site.outlet
        self._tasks = site.tasks
        self._rules = site.rules
        self._topics = site.topics
        self._on_writer = site.writer.run
        self._now_ms = site.clock.now_ms
        self._passed = passed
        self._turn = asyncio.Lock()
        self._unconfirmed = {c.device for c in site.claims.open(now_ms=site.clock.now_ms()) if c.handed}
        """Devices that a secret was sent to, which may not have arrived."""

    async def by_password(self, device: str, secret: str) -> Identity | None:
        """The identity of a device. A login says that its secret has arrived."""
        identity = await self._authentication.by_password(device, secret)
        if identity is not None and identity.redeems is None and device in self._unconfirmed:
            self._tasks.run_errand(f"end the claim of {device}", self._confirm(device, secret))
        return identity

    async def _confirm(self, device: str, secret: str) -> None:
        """End the claim if the login was with the secret that is stored now: while it was checked, the claim may have brought another one."""
        async with self._turn:
            if await self._authentication.by_password(device, secret) is not None:
                await self._end(device, None)

    def redeem(self, session: ClaimSession) -> None:
        """A client has subscribed to its credentials: store a secret, then send it."""
        if not session.has_asked and session.identity.redeems is not None:
            session.has_asked = True
            self._tasks.run_errand(f"redeem the claim of {session.identity.redeems.device}", self._redeem(session, session.identity.redeems))

    async def _redeem(self, session: ClaimSession, redeems: Redeems) -> None:
        secret, password_hash = await self._authentication.new_secret()
        async with self._turn:
            if session.wire is not None:  # else its client has gone, or another one was faster
                await self._hand_out(session, redeems, secret, password_hash)
        self._outlet.flush()

    async def _hand_out(self, session: ClaimSession, redeems: Redeems, secret: str, password_hash: str) -> None:
        """Store, then send. From here on every other client that redeems this claim has nothing."""
        device = redeems.device
        try:
            nth = await self._on_writer(partial(self._claims.hand_out, redeems, password_hash, now_ms=self._now_ms()))
        except (StoreUnavailable, BridgeError) as error:
            logger.error("the claim of %s can't be redeemed now: %s", device, error)
            self._close(device, "the secret can't be stored now")
            return
        self._passed(CLAIM_STORED)
        if nth is None:
            self._close(device, "the claim has ended")
            return
        self._unconfirmed.add(device)
        self._close(device, "the claim was redeemed over another connection", but=session)
        if self._outlet.broker is not None:
            self._outlet.broker.door.disconnect(device, "its password was changed", end_sessions=False)
        credentials = messages.encode(Credentials(site=self._rules.site, device=device, password=secret))
        if session.wire is not None:
            payload = self._rules.encode(messages.load_cbor(credentials))
            session.hand_over(Outgoing(self._topics.credentials(device), payload, 1), partial(self._arrived, device, nth))

    def _arrived(self, device: str, nth: int) -> None:
        self._tasks.run_errand(f"end the claim of {device}", self._end(device, nth))

    async def _end(self, device: str, nth: int | None) -> None:
        try:
            has_ended = await self._on_writer(partial(self._claims.end, device, nth))
        except StoreUnavailable:
            return  # the device's first login ends it
        if has_ended or nth is None:
            self._unconfirmed.discard(device)
        if has_ended:
            logger.info("%s has redeemed its claim", device)

    def _close(self, device: str, why: str, but: ClaimSession | None = None) -> None:
        """Close the connections of clients that redeem the claim of a device."""
        broker = self._outlet.broker
        if broker is None:
            return
        for connection in [c for c in broker.door.connections if c.device == CLAIM_PREFIX + device and (but is None or c is not but.wire)]:
            connection.close(why)
