"""What every simulated device does: keep events in flash until they are acknowledged, send them again, read its receipts.

`Firmware.step(now_ms, inbox, rng)` is the whole interface. The machine has no socket, thread, clock or randomness of its own, so that it runs
over real MQTT and under a simulated clock alike. It is written from the contract alone and shares no code with the device library.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, Final

from devices.protocol import bodies, encoding
from devices.protocol.bridge_messages import Receipt
from devices.protocol.device_messages import Presence
from devices.protocol.encoding import PayloadError
from devices.protocol.topics import Topics
from devices.protocol.vocabulary import EventType, Outcome
from firmware_sim.firmware.actions import (
    Acknowledged,
    Action,
    Beep,
    ClockSet,
    Connect,
    Connected,
    Disconnect,
    Disconnected,
    Handed,
    HangUp,
    Item,
    Note,
    PowerCut,
    Publish,
    Randomness,
    Received,
    Subscribe,
    SwitchOff,
    WakeAt,
)

WINDOW: Final = 16
"""Events in flight at once."""
BACKOFF_FIRST_MS: Final = 100
BACKOFF_MAX_MS: Final = 5_000
ANSWER_PATIENCE_MS: Final = 15_000
"""A stored event without a receipt for this long is sent again: its answer was lost, and a resent event gets it once more."""
ACK_PATIENCE_MS: Final = 20_000
"""A publish without its PUBACK for this long: the connection is given up, and everything in flight is sent again on the next one."""
FLASH_EVENTS_MAX: Final = 10_000
"""Events that flash holds; nothing more is scanned while it is full."""
CLOCK_LOST_MS: Final = 1_577_836_800_000
"""Where a wall clock stands that has lost the time: the first of January 2020."""
UPTIME_MS: Final = 60_000
"""How long a device has been running when its story begins."""
NEWEST_VERSION: Final = 3
PRIVATE: Final = ("orders/+/status", "orders/#", "couriers/+/assignments/+", "devices/+/receipts", "alerts/#")
"""What a curious device asks for."""
NOTHING: Final = bodies.Nothing()


@dataclass(slots=True, kw_only=True)
class Stored:
    """An event in flash. `plain` is its payload without `sent_boot` and `sent_mono_ms`, which are new at every sending."""

    type: EventType
    plain: dict[str, Any]
    asked_ms: int = 0
    digest: bytes = b""
    """Of its payload as it was sent last: the first 8 bytes of its SHA-256."""

    @property
    def id(self) -> bytes:
        event_id: bytes = self.plain["id"]
        return event_id

    @property
    def seq(self) -> int:
        seq: int = self.plain["seq"]
        return seq


@dataclass(slots=True)
class Flash:
    """What survives a power cut: the outbox's log, its last seq, the events that are not acknowledged, and those that are but wait for their receipt."""

    log: bytes = b""
    last_seq: int = 0
    events: dict[bytes, Stored] = field(default_factory=dict)
    unanswered: dict[bytes, Stored] = field(default_factory=dict)


class Firmware:
    """One device.

    Args:
        speed: pauses of people and roads are divided by it. What the network needs (backoff, patience) is not.
        skew_ms: how far the device's wall clock is off.
        version: what the firmware sends. 3: as the contract has it now. 2: with a field that is gone since, and without who scanned. 1: JSON.
        flash_events_max: how many events flash holds.
        is_curious: it asks for everybody's orders, jobs, receipts and alerts too, which it must not get.
    """

    def __init__(
        self,
        *,
        site: str,
        device: str,
        speed: float = 1.0,
        skew_ms: int = 0,
        window: int = WINDOW,
        has_beeper: bool = False,
        version: int = NEWEST_VERSION,
        flash_events_max: int = FLASH_EVENTS_MAX,
        is_curious: bool = False,
    ) -> None:
        self.device = device
        self.topics = Topics(site)
        self.speed = speed
        self.flash = Flash()
        self.verdicts: dict[bytes, Receipt] = {}
        self.sent: Counter[EventType] = Counter()
        self.acknowledged = 0
        self.answers: Counter[Outcome] = Counter()
        self.answers_again = 0
        self.troubles: list[str] = []
        self.is_hopeless = False
        self.now_ms = 0
        self.boot = b""
        self.version = version
        self.has_signal = True
        """Whether the radio has a network; without one nobody tries to connect."""
        self.battery_percent: int | None = None
        self._flash_events_max = flash_events_max
        self._is_curious = is_curious
        self._asleep_until_ms = 0
        self._skew_ms = skew_ms
        self._window = window
        self._has_beeper = has_beeper
        self._rng: Randomness
        self._actions: list[Action] = []
        self._booted_ms = 0
        self._is_on = True
        self._online = False
        self._connecting = False
        self._connect_ms = 0
        self._failures = 0
        self._token = 0
        self._unsent: deque[Stored] = deque()
        self._in_flight: dict[int, Stored] = {}
        self._wakes: list[int] = []

    # --- the interface ----------------------------------------------------------------------------------------------------

    def step(self, now_ms: int, inbox: Sequence[Item], rng: Randomness) -> list[Action]:
        """Take in what came, let the user act, send what can be sent. `now_ms` is true time, ms since 1970 UTC, and never runs backwards."""
        self.now_ms = now_ms
        self._rng = rng
        self._actions = []
        self._wakes = []
        if not self.boot:
            self._boot(now_ms - UPTIME_MS)
        for item in inbox:
            self._take(item)
        if self._is_on:
            self.live()
            if self.now_ms >= self._asleep_until_ms:
                self.act()
            else:
                self.wake_at(self._asleep_until_ms)
            self._connect()
            self._send()
        if self._wakes:
            self.do(WakeAt(max(now_ms + 1, min(self._wakes))))
        return self._actions

    @property
    def is_settled(self) -> bool:
        """Whether every event is acknowledged and answered."""
        return not self.flash.events and not self.flash.unanswered

    @property
    def is_finished(self) -> bool:
        """Whether the device has nothing more to do or to wait for."""
        return self.is_settled

    # --- what a kind of device adds ---------------------------------------------------------------------------------------

    def live(self) -> None:
        """What the device itself goes through now: its battery, its radio, its system."""

    def act(self) -> None:
        """What the user does now, if anything."""

    def filters(self) -> tuple[str, ...]:
        """What the device subscribes to beside its receipts."""
        return ()

    def on_message(self, topic: str, payload: bytes) -> None:
        """A message of those filters."""

    def on_receipt(self, receipt: Receipt) -> None:
        """A verdict that is news: the first on its event, or one with a higher `n`."""

    def on_handed(self, handed: Handed) -> None:
        """Something was handed to the user."""

    # --- for those who add ------------------------------------------------------------------------------------------------

    def do(self, action: Action) -> None:
        self._actions.append(action)

    def wake_at(self, at_ms: int) -> None:
        self._wakes.append(at_ms)

    def pause_ms(self, ms: float) -> int:
        """How long something takes that takes `ms` in real life."""
        return round(ms / self.speed)

    def note(self, text: str) -> None:
        self.do(Note(text))

    def lose_signal(self, why: str) -> None:
        """The radio has no network any more."""
        if self.has_signal:
            self.has_signal = False
            self.note(why)
            self.hang_up(why)

    def find_signal(self, why: str) -> None:
        """The radio has a network again, and need not wait for the end of its backoff."""
        if not self.has_signal:
            self.has_signal = True
            self.connect_in(0)
            self.note(why)

    def hang_up(self, why: str) -> None:
        """Give the connection up, where there is one."""
        if self._online or self._connecting:
            self.do(HangUp(why))
            self._on_disconnected()

    def lose_memory(self, until_ms: int) -> None:
        """The app is killed, and started again: what was in memory is lost, flash and the boot's clock are kept."""
        self.hang_up("its app was killed")
        self._asleep_until_ms = self._connect_ms = until_ms

    def connect_in(self, ms: int) -> None:
        """Try to connect in so many ms, whatever the backoff says."""
        self._failures = 0
        self._connect_ms = self.now_ms + ms

    @property
    def has_room(self) -> bool:
        """Whether flash takes another event."""
        return len(self.flash.events) < self._flash_events_max

    @property
    def mono_ms(self) -> int:
        return self.now_ms - self._booted_ms

    @property
    def wall_ms(self) -> int:
        return self.now_ms + self._skew_ms

    @property
    def rng(self) -> Randomness:
        return self._rng

    @property
    def is_online(self) -> bool:
        return self._online

    def record(
        self,
        event_type: EventType,
        body: bodies.Body = NOTHING,
        *,
        order: str | None = None,
        parcel: str | None = None,
        code: str | None = None,
        by: str | None = None,
    ) -> bytes:
        """Something happened: write it to flash, and send it when there is a connection; its event id."""
        plain: dict[str, Any] = {
            "id": uuid7(self.wall_ms, self._rng),
            "log": self.flash.log,
            "seq": self.flash.last_seq + 1,
            "boot": self.boot,
            "mono_ms": self.mono_ms,
            "at_ms": self.wall_ms,
            "body": encoding.plain(body),
        }
        plain |= {name: value for name, value in (("order", order), ("parcel", parcel), ("code", code), ("by", by)) if value is not None}
        stored = Stored(type=event_type, plain=plain)
        self.store(stored)
        return stored.id

    def store(self, stored: Stored) -> None:
        """Write an event to flash; seq grows with each."""
        self.flash.last_seq = stored.seq
        self.flash.events[stored.id] = stored
        self._unsent.append(stored)

    # --- in ---------------------------------------------------------------------------------------------------------------

    def _take(self, item: Item) -> None:
        match item:
            case Connected():
                self._on_connected()
            case Disconnected():
                self._on_disconnected()
            case Acknowledged(token):
                self._on_acknowledged(token)
            case Received(topic, payload):
                self._on_received(topic, payload)
            case Handed():
                self.on_handed(item)
            case PowerCut(loses_clock=loses_clock):
                self.start_anew()
                if loses_clock:
                    self._skew_ms = CLOCK_LOST_MS - self.now_ms
                self.note("starts anew, in 2020" if loses_clock else "starts anew")
            case ClockSet(by_ms):
                self._skew_ms = by_ms
                self.note(f"its clock is {by_ms / 1000:+.0f} s off")
            case SwitchOff():
                self._switch_off()

    def start_anew(self) -> None:
        """A new boot: memory is lost, flash is kept."""
        self._on_disconnected()
        self._failures = 0
        self._boot(self.now_ms)
        self._connect_ms = 0

    def _boot(self, booted_ms: int) -> None:
        self.boot = self._rng.randbytes(8)
        self._booted_ms = booted_ms
        self.flash.log = self.flash.log or self._rng.randbytes(8)

    def _on_connected(self) -> None:
        """Receipts are subscribed to first, and presence is published before events."""
        self._online = True
        self._connecting = False
        self._failures = 0
        pry = (f"{self.topics.base}/{below}" for below in PRIVATE) if self._is_curious else ()
        self.do(Subscribe((self.topics.receipts(self.device), *self.filters(), *pry)))
        self.do(self._presence(online=True))

    def _on_disconnected(self) -> None:
        """What was in flight may be stored or not: it is sent again, the oldest first."""
        self._online = self._connecting = False
        lost = sorted(self._in_flight.values(), key=_by_seq)
        self._in_flight = {}
        self._unsent.extendleft(reversed([s for s in lost if s.id in self.flash.events]))
        most = min(BACKOFF_MAX_MS, BACKOFF_FIRST_MS << min(self._failures, 10))
        self._failures += 1
        self._connect_ms = self.now_ms + round(most * (0.5 + self._rng.random() / 2))

    def _on_acknowledged(self, token: int) -> None:
        """The bridge has stored it: the event leaves the queue, and flash too when its answer is known."""
        stored = self._in_flight.pop(token, None)
        if stored is None or self.flash.events.pop(stored.id, None) is None:
            return
        self.acknowledged += 1
        if stored.id not in self.verdicts:
            self.flash.unanswered[stored.id] = stored

    def _on_received(self, topic: str, payload: bytes) -> None:
        try:
            if topic == self.topics.receipts(self.device):
                self._on_receipt(encoding.decode(payload, Receipt))
            else:
                self.on_message(topic, payload)
        except PayloadError as error:
            self.troubles.append(f"{self.device}: a message on {topic} breaks the contract: {error}")

    def _on_receipt(self, receipt: Receipt) -> None:
        self.answers[receipt.outcome] += 1
        self.answers_again += receipt.again
        if self._has_beeper:
            self.do(Beep(receipt.tone))
        if receipt.id is None:
            self._on_unread(receipt)
            return
        known = self.verdicts.get(receipt.id)
        is_mine = known is not None or receipt.id in self.flash.events or receipt.id in self.flash.unanswered
        if not is_mine or (known is not None and receipt.n <= known.n):
            return
        self.verdicts[receipt.id] = receipt
        self.flash.unanswered.pop(receipt.id, None)
        self.on_receipt(receipt)

    def _on_unread(self, receipt: Receipt) -> None:
        """The bridge could not read something. Where that is not what was sent, it was spoilt on its way, and is sent again for want of a receipt."""
        sent = (*self._in_flight.values(), *self.flash.events.values(), *self.flash.unanswered.values())
        if receipt.digest is None or receipt.digest in {s.digest for s in sent}:
            self.troubles.append(f"{self.device}: {receipt.outcome} {receipt.reason}: {receipt.detail}")
        else:
            self.note("hears that something of it arrived spoilt")

    # --- out --------------------------------------------------------------------------------------------------------------

    def _connect(self) -> None:
        if self._online or self._connecting or not self.has_signal:
            return
        if self.now_ms < self._connect_ms:
            self.wake_at(self._connect_ms)
            return
        self._connecting = True
        self.do(Connect(self._presence(online=False)))

    def _presence(self, *, online: bool) -> Publish:
        """A will has no clock: nobody knows when it will be published."""
        presence = Presence(
            online=online,
            boot=self.boot,
            log=self.flash.log,
            last_seq=self.flash.last_seq if online else None,
            backlog=len(self.flash.events) if online else None,
            battery_percent=self.battery_percent if online else None,
            firmware=f"sim-{self.version}" if online else None,
            at_ms=self.wall_ms if online else None,
            mono_ms=self.mono_ms if online else None,
        )
        return Publish(topic=self.topics.presence(self.device), payload=encoding.encode(presence), retain=True)

    def _send(self) -> None:
        if not self._online:
            return
        while self._unsent and len(self._in_flight) < self._window:
            self._publish(self._unsent.popleft())
        self._ask_again()
        self._look_at_oldest()

    def _publish(self, stored: Stored) -> None:
        self._token += 1
        self._in_flight[self._token] = stored
        stored.asked_ms = self.now_ms
        payload = self._payload(stored)
        stored.digest = sha256(payload).digest()[:8]
        self.sent[stored.type] += 1
        self.do(Publish(topic=self.topics.event(self.device, stored.type), payload=payload, token=self._token, event=stored.id))

    def _payload(self, stored: Stored) -> bytes:
        """The event as this version of the firmware sends it; a field that is no longer known is passed over by the bridge, and kept."""
        plain = {**stored.plain, "sent_boot": self.boot, "sent_mono_ms": self.mono_ms}
        if self.version < NEWEST_VERSION:
            plain |= {"model": "hh-20"}
            plain.pop("by", None)
        return encoding.encode_json(plain) if self.version == 1 else encoding.encode_cbor(plain)

    def _look_at_oldest(self) -> None:
        """Where no acknowledgement comes, the connection is not worth keeping."""
        oldest = next(iter(self._in_flight.values()), None)
        if oldest is None:
            return
        if oldest.asked_ms + ACK_PATIENCE_MS > self.now_ms:
            self.wake_at(oldest.asked_ms + ACK_PATIENCE_MS)
        else:
            self.hang_up("no acknowledgement comes")
            self.wake_at(self._connect_ms)

    def _ask_again(self) -> None:
        for stored in self.flash.unanswered.values():
            if stored.asked_ms + ANSWER_PATIENCE_MS > self.now_ms:
                self.wake_at(stored.asked_ms + ANSWER_PATIENCE_MS)
                return
            self._publish(stored)

    def _switch_off(self) -> None:
        if self._online:
            self.do(self._presence(online=False))
        self.do(Disconnect())
        self._online = self._is_on = False


def uuid7(at_ms: int, rng: Randomness) -> bytes:
    """A UUIDv7 (RFC 9562 §5.7)."""
    tail = bytearray(rng.randbytes(10))
    tail[0] = 0x70 | tail[0] & 0x0F
    tail[2] = 0x80 | tail[2] & 0x3F
    return at_ms.to_bytes(6, "big") + bytes(tail)


def _by_seq(stored: Stored) -> int:
    return stored.seq
