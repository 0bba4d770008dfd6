"""What a device's connection carries: events out of the outbox, receipts into it, and what the server says of itself."""

from __future__ import annotations

import hashlib
import logging
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from msgspec import structs

from devices import outbox as ob
from devices.clock import Clock
from devices.errors import Closed, EventTooLarge, NotDelivered, OutboxError, RefusedByServer
from devices.outbox_rows import Answer, Entry
from devices.protocol.bridge_messages import BridgeState, Receipt, ResendRequest, SeqRange
from devices.protocol.device_messages import Presence
from devices.protocol.encoding import PayloadError, convert, encode, encode_cbor, load, load_cbor
from devices.protocol.later_editions import decode_later
from devices.protocol.messages import PAYLOAD_BYTES_MAX
from devices.protocol.topics import Topics
from devices.protocol.vocabulary import Warn
from devices.traffic import Incoming, Outgoing

DIGESTS_MAX: Final = 1_000
STATE_WAIT_MS: Final = 10_000
"""After so long, a server that has not said what it takes has the limits that are known of it."""

log = logging.getLogger(__name__)

T = TypeVar("T")


@dataclass(slots=True)
class _Heard:
    """What some messages said: it holds once it is stored."""

    answers: list[Answer] = field(default_factory=list)
    resends: list[SeqRange] = field(default_factory=list)
    state: BridgeState | None = None
    is_seq_reused: bool = False
    retained: dict[str, bytes] = field(default_factory=dict)


class Mail:
    """A device's `Traffic`."""

    def __init__(
        self,
        device: str,
        topics: Topics,
        outbox: ob.Outbox,
        clock: Clock,
        *,
        firmware: str | None,
        battery: Callable[[], int | None] | None,
        on_receipt: Callable[[Receipt], None] | None,
    ) -> None:
        self.outbox = outbox
        self._receipts = topics.receipts(device)
        self._state = topics.bridge_state
        self.refused: Callable[[], str | None] = lambda: None
        self._device = device
        self._topics = topics
        self._clock = clock
        self._firmware = firmware
        self._battery = battery
        self._on_receipt = on_receipt
        self._news = threading.Condition()
        self._closed = False
        self._is_stuck = self._is_sure = False
        # The server answers a payload that it refuses by its digest: the last ones sent, so that their scans still learn of it.
        self._digests: OrderedDict[bytes, bytes] = OrderedDict()
        self.bridge_state: BridgeState | None = None
        """What the server last said of itself."""
        self._connected_ms = 0
        self._asked: list[SeqRange] = []
        self._know(self.state_in(Incoming(self._state, outbox.retained().get(self._state, b""))))

    # --- for the connection ----------------------------------------------------------------------------------------------

    def filters(self) -> Sequence[str]:
        return (self._receipts, self._state)

    def connected(self, *, session_present: bool) -> None:
        self.outbox.start_run()
        self._asked.clear()
        self._is_sure = False
        self._connected_ms = self._clock.mono_ms()

    def subscribed(self, denied: Sequence[str]) -> None:
        if self._state in denied:  # by a server of an older edition
            self._know(self.bridge_state)

    def presence(self, *, online: bool) -> Sequence[Outgoing]:
        *earlier, present = self.outbox.logs()
        now = Presence(
            online=online,
            boot=self._clock.boot,
            log=present.log,
            last_seq=present.last_seq,
            backlog=present.backlog,
            battery_percent=None if self._battery is None else self._battery(),
            firmware=self._firmware,
            at_ms=self._clock.wall_ms(),
            mono_ms=self._clock.mono_ms(),
        )
        # A server that was restored can ask for what is kept of earlier logs too.
        before = [Presence(online=True, boot=now.boot, log=of.log, last_seq=of.last_seq, backlog=of.backlog) for of in earlier if online]
        return [self._presence(presence) for presence in (*before, now)]

    def will(self) -> Outgoing:
        return self._presence(Presence(online=False, boot=self._clock.boot))

    def take(self, room: int) -> Sequence[Outgoing]:
        if not self._is_sure and self._clock.mono_ms() - self._connected_ms > STATE_WAIT_MS:
            self._know(self.bridge_state)
        return [self._outgoing(entry) for entry in self.outbox.take(room)]

    def settle(self, acknowledged: Sequence[Outgoing], incoming: Sequence[Incoming]) -> bool:
        return self._settle(acknowledged, incoming, {})

    def _settle(self, acknowledged: Sequence[Outgoing], incoming: Sequence[Incoming], retained: Mapping[str, bytes]) -> bool:
        heard = _Heard(retained=dict(retained))
        for message in incoming:
            self._hear(message, heard)
        places = [outgoing.ticket for outgoing in acknowledged if isinstance(outgoing.ticket, int)]
        try:
            news = self.outbox.settle(places, heard.answers, now_ms=self._clock.wall_ms(), retained=heard.retained, new_log=heard.is_seq_reused)
        except OutboxError as error:
            if not self._is_stuck:
                log.warning("%s: receipts wait at the server, and events go on being sent: %s", self._device, error)
            self._is_stuck = True
            self.changed()
            return False
        self._is_stuck = False
        if heard.is_seq_reused:
            log.warning("%s: numbers of this outbox were used before, so it was restored or copied: it goes on with a new log", self._device)
        self._apply(heard)
        self.changed()
        for answer in news:
            self._tell(answer)
        return True

    def changed(self) -> None:
        with self._news:
            self._news.notify_all()

    # --- for the device --------------------------------------------------------------------------------------------------

    def receipt(self, event_id: bytes) -> Receipt | None:
        """The receipt of an event that holds; None before the first.

        Raises:
            EventTooLarge: none comes, because the event is not sent.
        """
        payload = self.outbox.receipt(event_id)
        if payload is None:
            self.check_size(event_id)
        return None if payload is None else decode_later(payload, Receipt)

    def check_size(self, event_id: bytes) -> None:
        """Whether an event can be sent.

        Raises:
            EventTooLarge: the server does not take one so large.
        """
        if self.outbox.is_too_large(event_id):
            raise EventTooLarge(f"the server takes {payload_bytes_max(self.bridge_state):,} bytes")

    def wait(self, look: Callable[[], T | None], timeout_s: float | None) -> T:
        """What `look` finds, once it finds something; it is asked again whenever anything has changed.

        Raises:
            NotDelivered, RefusedByServer, Closed
        """
        found: list[T] = []

        def ready() -> bool:
            if not self._closed and (result := look()) is not None:
                found.append(result)
            return self._closed or bool(found)

        with self._news:
            self._news.wait_for(ready, timeout_s)
        if found:
            return found[0]
        if self._closed:
            raise Closed
        reason = self.refused()
        raise NotDelivered(f"waited {timeout_s} s") if reason is None else RefusedByServer(reason)

    def close(self) -> None:
        self._closed = True
        self.changed()

    # --- out -------------------------------------------------------------------------------------------------------------

    def _presence(self, presence: Presence) -> Outgoing:
        return Outgoing(topic=self._topics.presence(self._device), payload=encode(presence), qos=1, retain=True)

    def _outgoing(self, entry: Entry) -> Outgoing:
        value = load_cbor(entry.payload)
        value["sent_boot"] = self._clock.boot
        value["sent_mono_ms"] = self._clock.mono_ms()
        payload = encode_cbor(value)
        self._digests[hashlib.sha256(payload).digest()[:8]] = entry.id
        if len(self._digests) > DIGESTS_MAX:
            self._digests.popitem(last=False)
        return Outgoing(topic=self._topics.event(self._device, entry.type), payload=payload, qos=1, ticket=entry.place)

    # --- in --------------------------------------------------------------------------------------------------------------

    def _hear(self, message: Incoming, heard: _Heard) -> None:
        """Reads a message; changes nothing here."""
        if message.topic == self._receipts:
            try:
                asked = _resend_request(message.payload)
                if asked is not None:
                    heard.resends.append(asked.resend)
                else:
                    self._hear_receipt(message.payload, heard)
            except PayloadError as error:
                log.warning("%s: a receipt that cannot be read: %s", self._device, error)
        elif (state := self.state_in(message)) is not None:
            if state.limits is None and self.bridge_state is not None:
                state = structs.replace(state, limits=self.bridge_state.limits)
            heard.state = state
            heard.retained[message.topic] = encode(state)

    def _hear_receipt(self, payload: bytes, heard: _Heard) -> None:
        receipt = decode_later(payload, Receipt)
        heard.is_seq_reused |= Warn.SEQ_REUSED in (receipt.warn or ()) and receipt.log == self.outbox.log
        event_id = self._digests.get(receipt.digest or b"") or receipt.id
        # A receipt with a digest is about one payload as it was sent: whatever was said of the event itself holds against it.
        epoch, n = (receipt.epoch, receipt.n) if receipt.digest is None else (0, 0)
        if event_id is not None:
            heard.answers.append(Answer(id=event_id, epoch=epoch, n=n, payload=payload))

    def _apply(self, heard: _Heard) -> None:
        """Acts on what was heard and is stored now."""
        self._asked += heard.resends
        if heard.state is not None:
            self._know(heard.state)
        if self._is_sure:
            for asked in self._asked:
                self.outbox.send_again(asked.log, asked.first, asked.last)
            self._asked.clear()

    def state_in(self, message: Incoming) -> BridgeState | None:
        """What a message says of the server itself; None if it is about something else."""
        try:
            return decode_later(message.payload, BridgeState) if message.topic == self._state and message.payload else None
        except PayloadError as error:
            log.warning("%s: what the server says of itself cannot be read: %s", self._device, error)
            return None

    def _know(self, state: BridgeState | None) -> None:
        """That is what the server is, as far as can be known on this connection."""
        self.bridge_state = state
        self._is_sure = True
        for event in self.outbox.limit_payload(payload_bytes_max(state)):
            log.error("%s: event %s (%s) is larger than the server takes, and is not sent: %d bytes", self._device, event.id.hex(), event.type, event.size)

    def _tell(self, answer: Answer) -> None:
        if self._on_receipt is None:
            return
        try:
            self._on_receipt(decode_later(answer.payload, Receipt))
        except Exception:
            log.exception("%s: on_receipt failed", self._device)


def payload_bytes_max(server: BridgeState | None) -> int:
    """The largest payload that a server takes, as far as it is known."""
    return PAYLOAD_BYTES_MAX if server is None or server.limits is None else server.limits.payload_bytes_max


def _resend_request(payload: bytes) -> ResendRequest | None:
    """A message on the receipts topic, if it is not a receipt."""
    if _RESEND not in payload:
        return None
    value: Any = load(payload)
    return convert(value, ResendRequest) if isinstance(value, dict) and "resend" in value else None


_RESEND: Final = b"resend"
