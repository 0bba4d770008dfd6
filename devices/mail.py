"""What a device's connection carries: events out of the outbox, receipts into it."""

from __future__ import annotations

import hashlib
import logging
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import TypeVar

from devices import outbox as ob
from devices.clock import Clock
from devices.errors import Closed, NotDelivered, RefusedByServer
from devices.protocol.bridge_messages import Receipt
from devices.protocol.device_messages import Presence
from devices.protocol.encoding import PayloadError, encode, encode_cbor, load_cbor
from devices.protocol.later_editions import decode_later
from devices.protocol.topics import Topics
from devices.protocol.vocabulary import Warn
from devices.traffic import Incoming, Outgoing

DIGESTS_MAX = 1_000

log = logging.getLogger(__name__)

T = TypeVar("T")


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
        self.refused: Callable[[], str | None] = lambda: None
        self._device = device
        self._topics = topics
        self._clock = clock
        self._firmware = firmware
        self._battery = battery
        self._on_receipt = on_receipt
        self._news = threading.Condition()
        self._closed = False
        self._reused_log: bytes | None = None
        # The server answers a payload that it refuses by its digest: the last ones sent, so that their scans still learn of it.
        self._digests: OrderedDict[bytes, bytes] = OrderedDict()

    # --- for the connection ----------------------------------------------------------------------------------------------

    def filters(self) -> Sequence[str]:
        return (self._receipts,)

    def connected(self, *, session_present: bool) -> None:
        self.outbox.start_run()

    def presence(self, *, online: bool) -> Outgoing:
        return self._presence(
            Presence(
                online=online,
                boot=self._clock.boot,
                log=self.outbox.log,
                last_seq=self.outbox.last_seq,
                backlog=self.outbox.backlog,
                battery_percent=None if self._battery is None else self._battery(),
                firmware=self._firmware,
                at_ms=self._clock.wall_ms(),
                mono_ms=self._clock.mono_ms(),
            )
        )

    def will(self) -> Outgoing:
        return self._presence(Presence(online=False, boot=self._clock.boot))

    def take(self, room: int) -> Sequence[Outgoing]:
        return [self._outgoing(entry) for entry in self.outbox.take(room)]

    def settle(self, acknowledged: Sequence[Outgoing], incoming: Sequence[Incoming]) -> None:
        receipts = [self._read(message.payload) for message in incoming if message.topic == self._receipts]
        news = self.outbox.settle(
            [outgoing.ticket for outgoing in acknowledged if isinstance(outgoing.ticket, int)],
            [answer for answer in receipts if answer is not None],
            end_log=self._reused_log == self.outbox.log,
        )
        if self._reused_log is not None and self._reused_log != self.outbox.log:
            self._reused_log = None
            log.warning("%s: numbers of this outbox were used before, so it was restored or copied: it goes on with a new log", self._device)
        self.changed()
        for answer in news:
            self._tell(answer)

    def changed(self) -> None:
        with self._news:
            self._news.notify_all()

    # --- for the device --------------------------------------------------------------------------------------------------

    def receipt(self, event_id: bytes) -> Receipt | None:
        payload = self.outbox.receipt(event_id)
        return None if payload is None else decode_later(payload, Receipt)

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

    # --- below -----------------------------------------------------------------------------------------------------------

    def _presence(self, presence: Presence) -> Outgoing:
        return Outgoing(topic=self._topics.presence(self._device), payload=encode(presence), qos=1, retain=True)

    def _outgoing(self, entry: ob.Entry) -> Outgoing:
        value = load_cbor(entry.payload)
        value["sent_boot"] = self._clock.boot
        value["sent_mono_ms"] = self._clock.mono_ms()
        payload = encode_cbor(value)
        self._digests[hashlib.sha256(payload).digest()[:8]] = entry.id
        if len(self._digests) > DIGESTS_MAX:
            self._digests.popitem(last=False)
        return Outgoing(topic=self._topics.event(self._device, entry.type), payload=payload, qos=1, ticket=entry.seq)

    def _read(self, payload: bytes) -> ob.Answer | None:
        try:
            receipt = decode_later(payload, Receipt)
        except PayloadError as error:
            log.warning("%s: a receipt that cannot be read: %s", self._device, error)
            return None
        if Warn.SEQ_REUSED in (receipt.warn or ()) and receipt.log == self.outbox.log:
            self._reused_log = receipt.log
        event_id = self._digests.get(receipt.digest or b"") or receipt.id
        # A receipt with a digest is about one payload as it was sent: whatever was said of the event itself holds against it.
        n = receipt.n if receipt.digest is None else 0
        return None if event_id is None else ob.Answer(id=event_id, n=n, payload=payload)

    def _tell(self, answer: ob.Answer) -> None:
        if self._on_receipt is None:
            return
        try:
            self._on_receipt(decode_later(answer.payload, Receipt))
        except Exception:
            log.exception("%s: on_receipt failed", self._device)
