"""One client's connection: its bytes, and the state in which it stands, without a socket.

A `Connection` takes bytes with `receive` and gives bytes with `take_output`. PUBLISH and PUBACK are read out of the bytes where they are handled; any other
packet becomes an event first (`codec/`), and `_ACTIONS` says what follows from it. PUBACK and PUBREC leave only when the pipeline says that the message's
batch is committed, except for messages that nothing keeps (`FrontDoor.pass_on`). Sections in comments are of the OASIS standard, MQTT Version 3.1.1.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, Final

from bridge.broker.codec import events
from bridge.broker.codec.reasons import ConnectCode, ProtocolError, RefusedConnect, TooLong
from bridge.broker.codec.v311 import PINGRESP_BYTES, PUBACK, PUBLISH, connack, read_event, read_first, read_header, read_packet_id
from bridge.broker.door import FrontDoor
from bridge.broker.handshake import check_connect, check_will
from bridge.broker.pace import Pace
from bridge.broker.publishing import Publishing
from bridge.broker.sessions import Session
from bridge.broker.state import ClientCertificate, State
from bridge.domain.access import Identity
from bridge.errors import fault_of
from bridge.ingest.sessions import WillKey

logger = logging.getLogger("dockbridge.broker")

CONNECT_BYTES_MAX: Final = 131_072
EARLY_BYTES_MAX: Final = 16_384
"""Bytes behind a CONNECT that are read before the client is let in, and kept for it if it hangs up meanwhile."""
_PUBACK_FIRST: Final = PUBACK << 4


class Connection:
    """One client's connection.

    Args:
        peer: where it comes from, for the log.
        wake: called when there is output to take, or when the connection has closed itself.
    """

    session: Session
    """Its session, and what it publishes: there once it is let in."""
    publishing: Publishing

    def __init__(self, door: FrontDoor, peer: str, wake: Callable[[Connection], None]) -> None:
        self.door = door
        self.peer = peer
        self.state = State.NEW
        self.identity: Identity | None = None
        self.certificate: ClientCertificate | None = None
        self.claim: tuple[str, str] | None = None
        """(device, client id) that it holds, or is about to."""
        self.stored_will: WillKey | None = None
        """Whose will is in the store, or about to be, if its own is."""
        self.has_disconnected = False
        """Whether its client said DISCONNECT."""
        self.why_closed: str | None = None
        self.is_full = False
        """Whether the network takes no more for now; the wire says so."""
        self.received_ms = 0
        self._shared = door.shared
        self.pace = Pace(self._shared.limits, self._shared.now_s())
        self._wake = wake
        self._buffer = bytearray()
        self._out: list[bytes] = []
        self._out_bytes = 0
        self._will: events.Will | None = None
        self._connect: events.Connect | None = None
        """What it said of itself, until it is let in."""
        self._is_reading = False
        self._is_gone = False
        """Whether its network connection is gone, and it only stays to be read to its end."""
        self._needed = 0
        """Bytes that the packet needs whose beginning is in the buffer, at least."""
        self._packet_bytes_max = CONNECT_BYTES_MAX
        door.connections[self] = None
        self._shared.counters.connections += 1

    @property
    def device(self) -> str | None:
        """The device that is connected, or that the client says it is while that is being checked."""
        if self.identity is not None:
            return self.identity.device
        if self._connect is None:
            return None
        return self._connect.username or (self.certificate.device if self.certificate is not None else None)

    @property
    def known_device(self) -> str | None:
        """The device that is connected, once that is known; what a stranger says of itself is not for the log."""
        return self.identity.device if self.identity is not None else None

    # --- bytes out --------------------------------------------------------------------------------------------------------

    def take_output(self) -> bytes:
        """What is to be written now."""
        if not self._out:
            return b""
        data = b"".join(self._out)
        self._out.clear()
        self._out_bytes = 0
        return data

    def write(self, data: bytes) -> None:
        if not self._out:
            self._wake(self)
        self._out.append(data)
        self._out_bytes += len(data)

    @property
    def has_room(self) -> bool:
        """Whether more messages may be written to the client: it reads them, and not too much waits already (broker.output_bytes_max)."""
        return not self.is_full and self._out_bytes < self._shared.limits.output_bytes_max

    @property
    def has_more(self) -> bool:
        """Whether retained messages wait that need no acknowledgement: they are sent in portions, as fast as the client reads."""
        return self.state is State.OPEN and self.session.has_more

    def send_more(self) -> None:
        """Send the next portion; called when what was written before is on its way."""
        if self.state is State.OPEN:
            self.door.pump.send(self.session)

    # --- bytes in ---------------------------------------------------------------------------------------------------------

    def receive(self, data: bytes) -> None:
        """Take bytes in. Whatever breaks the protocol closes the connection and nothing else."""
        if self._buffer or self.state not in (State.NEW, State.OPEN):
            self._keep(data)
            self._read_on()
        else:
            self._read(data)

    def _keep(self, data: bytes) -> None:
        """Keep what can't be read yet."""
        self._buffer += data
        if self.state in (State.AUTHENTICATING, State.OPENING) and len(self._buffer) > self._shared.limits.packet_bytes_max:
            self._broken("too much sent before CONNACK")

    def _read_on(self) -> None:
        """Read what was kept, once there is enough of it for a packet."""
        if self.state in (State.NEW, State.OPEN) and len(self._buffer) >= self._needed and not self._is_reading:
            data = bytes(self._buffer)
            self._buffer.clear()
            self._read(data)

    def _read(self, data: bytes) -> None:
        """Read the packets that have come whole, and keep the rest. Most are PUBLISH and PUBACK: those two are taken out of the bytes without a detour."""
        # What a packet asks for may be answered while it is being read: that is no reason to begin anew.
        self._is_reading = True
        self.received_ms = self._shared.now_ms()
        at, size, acknowledged = 0, len(data), False
        self._needed = 0
        try:
            while at < size and self.state in (State.NEW, State.OPEN):
                # Nearly every packet has a remaining length of one byte or of two.
                if at + 1 < size and (length := data[at + 1]) < 0x80:
                    start = at + 2
                    end = start + length
                elif at + 2 < size and (high := data[at + 2]) < 0x80:
                    start = at + 3
                    end = start + (high << 7 | length & 0x7F)
                    if end - start > self._packet_bytes_max:
                        raise TooLong(end - start, self._packet_bytes_max)
                else:
                    header = read_header(data, at)
                    if header is None:
                        self._needed = size - at + 1
                        break
                    _, start, end = header
                    if end - start > self._packet_bytes_max:
                        raise TooLong(end - start, self._packet_bytes_max)
                if end > size:
                    self._needed = end - at
                    break
                first = data[at]
                if self.state is State.NEW:
                    connect = read_first(self.door.decoder, data[at:end])
                    _ACTIONS[type(connect)](self, connect)
                elif first >> 4 == PUBLISH:
                    self.publishing.on_publish(first, data, start, end)
                elif first == _PUBACK_FIRST:
                    self.session.on_puback(read_packet_id(data, start, end))
                    acknowledged = True
                else:
                    if acknowledged:
                        acknowledged = False
                        self.door.pump.send(self.session)
                    event = read_event(self.door.decoder, data[at:end], start - at)
                    _ACTIONS[type(event)](self, event)
                at = end
            if acknowledged and self.state is State.OPEN:
                self.door.pump.send(self.session)
        except ProtocolError as error:
            if isinstance(error, TooLong) and self.identity is not None:
                self.door.oversized.came(self.identity.device, error.length)
            self._broken(str(error))
        except RefusedConnect as error:
            self._refuse(error.code, str(error))
        except Exception as error:  # noqa: BLE001 -- a fault of ours costs the client that found it, and no other
            self._shared.counters.faults += 1
            logger.error("a fault at the front door, with a packet of %s: %s", self.peer, fault_of(error))
            self.close("the server could not handle a packet")
        self._is_reading = False
        if at:  # a keep-alive asks for packets: bytes of one that does not end are none (3.1.2-24)
            self.pace.heard_s = self._shared.now_s()
        if at < size and self.state is not State.CLOSED:
            self._keep(data[at:])

    def _broken(self, why: str) -> None:
        self._shared.counters.protocol_errors += 1
        self._shared.notices.say("a connection was closed for breaking the protocol", self.known_device, self.peer, why)
        self.close(why)

    # --- the handshake ----------------------------------------------------------------------------------------------------

    def authenticate(self, connect: events.Connect) -> None:
        """Have the credentials of a CONNECT checked.

        Raises:
            RefusedConnect: if the client is refused without that.
        """
        check_connect(connect, self.certificate)
        self._connect = connect
        self.state = State.AUTHENTICATING
        self.pace.authenticating(self._shared.now_s())
        if self._shared.sink.is_full:
            self.door.waiting[self] = None  # a flood is over in a moment: until then the client waits, and is not sent away
        else:
            self.door.authenticate(self, connect)

    def begin_login(self) -> None:
        """The store is not behind any more: check the credentials that have waited for it."""
        if self.state is State.AUTHENTICATING and self._connect is not None:
            self.pace.authenticating(self._shared.now_s())
            self.door.authenticate(self, self._connect)

    def authenticated(self, identity: Identity | None) -> None:
        """The credentials were checked. Only now is session state looked at."""
        if self.state is not State.AUTHENTICATING or self._connect is None:
            return
        if identity is None:
            self._refuse(ConnectCode.BAD_CREDENTIALS, "wrong username, password or certificate")
            return
        self.identity = identity
        if self._is_gone and self.door.book.is_held(identity.device, self._connect.client_id):
            self.close("the connection was lost, and the client is back on another")
            return
        try:
            check_will(self._connect, identity, self._shared.limits)
            self.state = State.OPENING
            self.door.book.open(self, identity, self._connect)
        except RefusedConnect as error:
            self._refuse(error.code, str(error))

    def opened(self, session: Session, *, present: bool) -> None:
        """Its session is there, and stored if it has to be."""
        assert self._connect is not None
        assert self.identity is not None
        if not session.read_in_flight():
            self._refuse(ConnectCode.SERVER_UNAVAILABLE, "what its session is owed can't be read now")
            return
        connect, self._connect = self._connect, None
        self.session = session
        self._will = connect.will
        self.publishing = Publishing(self, self.door, identity=self.identity, session=session)
        self.state = State.OPEN
        self._packet_bytes_max = self._shared.limits.packet_bytes_max
        self.pace.let_in(self._shared.now_s(), connect.keep_alive_s)
        self.write(connack(session_present=present, code=ConnectCode.ACCEPTED))
        self.door.online.let_in(self.identity.device)
        session.attach(self)
        self.door.pump.send(session)
        self._read_on()
        if self._is_gone:
            self.close("the connection was lost")

    def unavailable(self) -> None:
        """The credentials can't be checked now; the client may come back later."""
        if self.state is State.AUTHENTICATING:
            self._refuse(ConnectCode.SERVER_UNAVAILABLE, "too many log in at once")

    def _refuse(self, code: ConnectCode, why: str) -> None:
        self._shared.counters.refused += 1
        if code is not ConnectCode.BAD_CREDENTIALS:  # those are told with their count; see `logins.py`
            self._shared.notices.say("a login was refused", self.known_device, self.peer, why)
        self.write(connack(session_present=False, code=code))
        self._connect = None
        self.close(why)

    # --- how fast, and until when -----------------------------------------------------------------------------------------

    @property
    def is_early(self) -> bool:
        """Whether the client has sent enough before it is let in; the rest may wait in the network."""
        return self.state in (State.AUTHENTICATING, State.OPENING) and len(self._buffer) > EARLY_BYTES_MAX

    def throttle_s(self) -> float:
        """Seconds for which nothing more is to be read from the client, see `Pace`."""
        return self.pace.throttle_s(self._shared.now_s())

    def pause(self, *, paused: bool) -> None:
        """Nothing is read from the client for a while, or it is read again."""
        self.pace.pause(self._shared.now_s(), paused=paused, is_new=self.state is State.NEW)

    def check_silence(self, now_s: float) -> None:
        """Close the connection if it was silent for too long."""
        if self in self.door.waiting and self.pace.has_waited(now_s):
            self._refuse(ConnectCode.SERVER_UNAVAILABLE, "the store is behind; come back later")
            return
        why = self.pace.too_silent(self.state, now_s)
        if why is not None:
            self.close(why)

    def lost(self) -> None:
        """The network connection is gone. What came behind a CONNECT is read once the client is let in: it need not wait for CONNACK (§3.1.4)."""
        if 0 < len(self._buffer) <= EARLY_BYTES_MAX and self.state in (State.AUTHENTICATING, State.OPENING):
            self._is_gone = True
        else:
            self.close("the connection was lost")

    def close(self, why: str) -> None:
        """End the connection; its will is published unless the client said goodbye (§3.1.2.5)."""
        if self.state is State.CLOSED:
            return
        self.state = State.CLOSED
        self.why_closed = why
        self._buffer.clear()  # a login that is still being checked keeps the connection, and must not keep what it sent
        self.door.connections.pop(self, None)
        self.door.waiting.pop(self, None)
        self.door.book.close(self)
        self.door.wills.end(self, self._will if not self.has_disconnected else None)
        self._wake(self)


# --- what the server does on each event --------------------------------------------------------------------------------------


def _pubrec(connection: Connection, event: events.Pubrec) -> None:
    answer = connection.session.on_pubrec(event.packet_id)
    if answer:
        connection.write(answer)


def _pubrel(connection: Connection, event: events.Pubrel) -> None:
    """The client knows that its message is stored; the id is free again. Answered also if the id is not known (§4.3.3)."""
    connection.door.acknowledging.release(connection.session, event.packet_id)


def _pubcomp(connection: Connection, event: events.Pubcomp) -> None:
    connection.session.on_pubcomp(event.packet_id)
    connection.door.pump.send(connection.session)


def _subscribe(connection: Connection, event: events.Subscribe) -> None:
    connection.pace.may_send -= len(event.subscriptions)
    connection.door.subscribing.subscribe(connection, connection.session, event)


def _unsubscribe(connection: Connection, event: events.Unsubscribe) -> None:
    connection.pace.may_send -= len(event.filters)
    connection.door.subscribing.unsubscribe(connection, connection.session, event)


def _pingreq(connection: Connection, event: events.Pingreq) -> None:
    connection.write(PINGRESP_BYTES)


def _disconnect(connection: Connection, event: events.Disconnect) -> None:
    connection.has_disconnected = True
    connection.close("the client disconnected")


_ACTIONS: Final[dict[type[events.Event], Callable[[Connection, Any], None]]] = {
    events.Connect: Connection.authenticate,
    events.Pubrec: _pubrec,
    events.Pubrel: _pubrel,
    events.Pubcomp: _pubcomp,
    events.Subscribe: _subscribe,
    events.Unsubscribe: _unsubscribe,
    events.Pingreq: _pingreq,
    events.Disconnect: _disconnect,
}
