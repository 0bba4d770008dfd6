"""What a handheld and a courier's phone share. A scan is durable when its method returns; the connection's thread sends it."""

from __future__ import annotations

import os
import ssl
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self, Unpack

from devices import outbox as ob
from devices.clock import Clock, SystemClock
from devices.connection import BACKOFF_FIRST_S, BACKOFF_MAX_S, RECONNECT_SPREAD_S, REFUSED_RETRY_S, SYSTEM_JITTER, Connection
from devices.errors import RefusedByServer
from devices.mail import Mail
from devices.making import made
from devices.protocol import bodies
from devices.protocol.bridge_messages import BridgeState, Receipt
from devices.protocol.reasons import Condition, DamageReason
from devices.protocol.topics import Topics
from devices.protocol.vocabulary import DamageSeverity, EventType, PodMethod, VoidReason
from devices.scan import Draft, Items, Scan, Scanned, lines_of, one_of
from devices.session import ACK_TIMEOUT_S, CLOSE_TIMEOUT_S, CONNECT_TIMEOUT_S, IN_FLIGHT_MAX, KEEPALIVE_S, Settings

DEBOUNCE_MS = 300
PORT = 1883
PORT_TLS = 8883


@dataclass(kw_only=True, eq=False)
class Device:
    """What every device has: an outbox, a connection, and the events that any of them may send.

    It connects by itself, in a thread of its own, from when it is made until `close`. `on_receipt` is called in that thread: keep it short.

    Raises:
        OutboxError: the outbox file cannot be used (`OutboxLocked`: another process has it; `WrongOwner`: it is another device's).
        OSError: `ca_file`, `cert_file` or `key_file` cannot be read.
        ValueError: `site` or `device` cannot stand in a topic.
    """

    site: str
    device: str
    password: str | None = field(default=None, repr=False)
    """None if the device's certificate says who it is."""
    outbox: str | Path
    """The outbox file; it is made if there is none."""
    host: str = "localhost"
    port: int | None = None
    """None: 1883, with TLS 8883."""
    tls: bool = False
    """TLS with the system's certificate authorities; `ca_file` names others."""
    ca_file: str | Path | None = None
    """The site's `ca.pem`; with it, or with `cert_file`, TLS is on."""
    cert_file: str | Path | None = None
    """The device's own certificate (PEM)."""
    key_file: str | Path | None = None
    """The key of `cert_file` (PEM); None if it is in the same file."""
    at: str | None = None
    """The place of every event that does not name its own."""
    firmware: str | None = None
    battery: Callable[[], int | None] | None = None
    """Asked for the charge in percent at each connect."""
    on_receipt: Callable[[Receipt], None] | None = None
    debounce_ms: int = DEBOUNCE_MS
    """The same scan again within this time is a bouncing trigger; 0 takes every call."""
    events_max: int = ob.EVENTS_MAX
    receipts_max: int = ob.RECEIPTS_MAX
    resend_h: float = ob.RESEND_H
    """Hours for which an acknowledged event is kept, in case that the server's database has to be restored from a backup."""
    kept_max: int = ob.KEPT_MAX
    """It is kept if it is one of the newest so many events of this device, which bounds the file of a busy scanner."""
    outbox_lock_wait_s: float = ob.LOCK_WAIT_S
    in_flight_max: int = IN_FLIGHT_MAX
    backoff_first_s: float = BACKOFF_FIRST_S
    backoff_max_s: float = BACKOFF_MAX_S
    reconnect_spread_s: float = RECONNECT_SPREAD_S
    """A device that had a connection comes back at some time within these seconds (`backoff_max_s` at most): others may have lost theirs in the same moment."""
    refused_retry_s: float = REFUSED_RETRY_S
    keepalive_s: int = KEEPALIVE_S
    connect_timeout_s: float = CONNECT_TIMEOUT_S
    ack_timeout_s: float = ACK_TIMEOUT_S
    close_timeout_s: float = CLOSE_TIMEOUT_S
    clock: Clock = field(default_factory=SystemClock, repr=False)
    random_bytes: Callable[[int], bytes] = field(default=os.urandom, repr=False)
    jitter: Callable[[], float] = field(default=SYSTEM_JITTER, repr=False)

    def __post_init__(self) -> None:
        self._topics = Topics(self.site)
        self._lock = threading.Lock()
        self._last: tuple[object, int, Scan] | None = None
        settings = self._settings()
        self._outbox = ob.Outbox(
            self.outbox,
            owner=ob.owner_of(self.site, self.device),
            limits=ob.OutboxLimits(events_max=self.events_max, receipts_max=self.receipts_max, kept_max=self.kept_max, resend_h=self.resend_h),
            lock_wait_s=self.outbox_lock_wait_s,
            random_bytes=self.random_bytes,
        )
        try:
            self._mail = self._new_mail()
            self.connection = Connection(settings, self._mail, jitter=self.jitter)
        except BaseException:
            self._outbox.close()
            raise
        self._mail.refused = lambda: self.connection.refused
        self.connection.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Says goodbye to the server and closes the outbox. What was not acknowledged stays in it and is sent next time."""
        self.connection.close()
        self._mail.close()
        self._outbox.close()

    @property
    def backlog(self) -> int:
        """How many events the server has still to acknowledge. One that is larger than the server takes does not count (`Scan.receipt` says so)."""
        return self._outbox.backlog

    @property
    def bridge_state(self) -> BridgeState | None:
        """What the server last said of itself: its version, its limits, its epoch; None if it never did."""
        return self._mail.bridge_state

    def wait_connected(self, timeout_s: float | None = None) -> None:
        """Waits until the server has accepted this device.

        Raises:
            NotDelivered: not within `timeout_s` seconds.
            RefusedByServer: the server refuses it; the device goes on trying every `refused_retry_s`.
            Closed: the device was closed.
        """
        connection = self.connection
        if self._mail.wait(lambda: connection.connected or connection.refused, timeout_s) is not True:
            raise RefusedByServer(connection.refused or "")

    def drain(self, timeout_s: float | None = None) -> None:
        """Waits until the server has acknowledged everything in the outbox.

        Raises:
            NotDelivered: not within `timeout_s` seconds (`RefusedByServer` if the server refuses this device).
            Closed: the device was closed.
        """
        self._mail.wait(lambda: self.backlog == 0 or None, timeout_s)

    def send(
        self,
        event_type: EventType,
        body: bodies.Body | Mapping[str, Any] | None = None,
        *,
        order: str | None = None,
        **scanned: Unpack[Scanned],
    ) -> Scan:
        """Stores any event of the contract and returns; it is sent as soon as there is a connection.

        Raises:
            InvalidEvent: a value breaks the contract, or the event is larger than the server takes.
            OutboxFull: `events_max` events wait already.
            OutboxGone: the outbox file was deleted.
            DiskFull, OutboxError: it could not be stored.
            Closed: the device was closed.
        """
        draft = Draft(type=event_type, body=bodies.Nothing() if body is None else body, order=order, scanned=scanned)
        event = self._made(draft)
        now_ms = self.clock.mono_ms()
        with self._lock:
            # Only the scan just before can bounce: the same scan after another one was made on purpose.
            if self._last is not None and self._last[0] == draft and now_ms - self._last[1] < self.debounce_ms:
                return self._last[2]
            scan = Scan(self._outbox.put(event), self._mail)
            self._last = (draft, now_ms, scan)
        self.connection.wake()
        return scan

    def receipt_of(self, event_id: bytes, timeout_s: float | None = None) -> Receipt:
        """The receipt of an event of this device by its id, also after a restart.

        Raises:
            NotDelivered, Closed: as `Scan.receipt`.
        """
        return self._mail.wait(lambda: self._mail.receipt(event_id), timeout_s)

    def send_many(self, drafts: Iterable[Draft]) -> list[Scan]:
        """Stores many events in one commit, all or none; nothing is taken for a bouncing trigger.

        Raises:
            InvalidEvent, OutboxFull, OutboxError, Closed: as `send`.
        """
        events = [self._made(draft) for draft in drafts]
        scans = [Scan(entry, self._mail) for entry in self._outbox.put_many(events)]
        self.connection.wake()
        return scans

    # --- events of scanners and couriers ---------------------------------------------------------------------------------

    def shift_started(self, worker: str, **scanned: Unpack[Scanned]) -> Scan:
        """A worker, by their badge, takes this device: what follows was done by them."""
        return self.send(EventType.SHIFT_STARTED, bodies.ShiftStarted(worker=worker), **scanned)

    def shift_ended(self, **scanned: Unpack[Scanned]) -> Scan:
        """The worker has laid this device down."""
        return self.send(EventType.SHIFT_ENDED, **scanned)

    def break_started(self, **scanned: Unpack[Scanned]) -> Scan:
        """The worker takes a break."""
        return self.send(EventType.BREAK_STARTED, **scanned)

    def break_ended(self, **scanned: Unpack[Scanned]) -> Scan:
        """The worker is back from a break."""
        return self.send(EventType.BREAK_ENDED, **scanned)

    def delivery(
        self,
        order: str | None = None,
        *,
        pod_method: PodMethod | str,
        pod_hash: bytes | None = None,
        consent: bool | None = None,
        collected: bodies.Collected | None = None,
        **scanned: Unpack[Scanned],
    ) -> Scan:
        """A parcel was handed over; `pod_hash` is the hash of the proof, `collected` the money taken.

        `consent` says that the recipient agreed to a safe place, a neighbour, a locker or a station.
        """
        pod = bodies.ProofOfDelivery(method=one_of(PodMethod, pod_method), hash=pod_hash, consent=consent)
        return self.send(EventType.DELIVERY, bodies.Delivery(pod=pod, collected=collected), order=order, **scanned)

    def returned(
        self,
        order: str | None = None,
        *,
        dock: str,
        items: Items | None = None,
        condition: Condition | str | None = None,
        **scanned: Unpack[Scanned],
    ) -> Scan:
        """A parcel came back to the warehouse; or, of a delivered one, only these `items`."""
        body = bodies.Returned(dock=dock, items=lines_of(items), condition=None if condition is None else one_of(Condition, condition))
        return self.send(EventType.RETURNED, body, order=order, **scanned)

    def damaged(
        self,
        order: str | None = None,
        *,
        severity: DamageSeverity | str,
        reason: DamageReason | str | None = None,
        **scanned: Unpack[Scanned],
    ) -> Scan:
        """A parcel is damaged."""
        body = bodies.Damaged(severity=one_of(DamageSeverity, severity), reason=None if reason is None else one_of(DamageReason, reason))
        return self.send(EventType.DAMAGED, body, order=order, **scanned)

    def lost(self, order: str | None = None, **scanned: Unpack[Scanned]) -> Scan:
        """A parcel cannot be found."""
        return self.send(EventType.LOST, order=order, **scanned)

    def found(self, order: str | None = None, **scanned: Unpack[Scanned]) -> Scan:
        """A lost parcel is there again."""
        return self.send(EventType.FOUND, order=order, **scanned)

    def void(
        self,
        scan: Scan | bytes,
        *,
        reason: VoidReason | str = VoidReason.DID_NOT_OCCUR,
        corrective: Sequence[Scan | bytes] = (),
    ) -> Scan:
        """Takes back a scan of this device, given itself or by its id; `corrective` are the scans that stand in its place."""
        instead = [_id_of(other) for other in corrective] or None
        return self.send(EventType.VOID, bodies.Void(ref=_id_of(scan), reason=one_of(VoidReason, reason), corrective=instead))

    # --- below -----------------------------------------------------------------------------------------------------------

    def _settings(self) -> Settings:
        tls = self._tls_context()
        return Settings(
            host=self.host,
            port=self.port or (PORT if tls is None else PORT_TLS),
            device=self.device,
            password=self.password,
            tls=tls,
            in_flight_max=self.in_flight_max,
            backoff_first_s=self.backoff_first_s,
            backoff_max_s=self.backoff_max_s,
            reconnect_spread_s=self.reconnect_spread_s,
            refused_retry_s=self.refused_retry_s,
            keepalive_s=self.keepalive_s,
            connect_timeout_s=self.connect_timeout_s,
            ack_timeout_s=self.ack_timeout_s,
            close_timeout_s=self.close_timeout_s,
        )

    def _tls_context(self) -> ssl.SSLContext | None:
        if not self.tls and self.ca_file is None and self.cert_file is None:
            return None
        context = ssl.create_default_context(cafile=self.ca_file)
        if self.cert_file is not None:
            context.load_cert_chain(self.cert_file, self.key_file)
        return context

    def _new_mail(self) -> Mail:
        return Mail(self.device, self._topics, self._outbox, self.clock, firmware=self.firmware, battery=self.battery, on_receipt=self.on_receipt)

    def _made(self, draft: Draft) -> ob.Made:
        return made(draft, self.clock, at=self.at, random_bytes=self.random_bytes)


def _id_of(scan: Scan | bytes) -> bytes:
    return scan.id if isinstance(scan, Scan) else scan
