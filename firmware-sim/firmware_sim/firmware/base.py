"""What every simulated device does: keep events in flash until they are acknowledged, send them again, read its receipts.

`Firmware.step(now_ms, inbox, rng)` is the whole interface. The firmware has no socket, thread, clock or randomness of its own, so that it runs
over real MQTT and under a simulated clock alike. It is written from the contract alone and shares no code with the device library.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, ClassVar, Final

from devices.protocol import bodies, encoding
from devices.protocol.bridge_messages import Receipt
from devices.protocol.device_messages import Presence
from devices.protocol.encoding import PayloadError
from devices.protocol.vocabulary import EventType, Outcome
from firmware_sim.firmware.actions import (
    Acknowledged,
    Action,
    Beep,
    ClockSet,
    Connected,
    Disconnect,
    Disconnected,
    Handed,
    Item,
    PowerCut,
    Publish,
    Randomness,
    Received,
    Subscribe,
    SwitchOff,
)
from firmware_sim.firmware.flash import Stored, uuid7
from firmware_sim.firmware.machine import NEWEST_VERSION, Machine
from firmware_sim.firmware.outbox import FLASH_EVENTS_MAX, WINDOW, Outbox
from firmware_sim.firmware.radio import Radio

CLOCK_LOST_MS: Final = 1_577_836_800_000
"""Where a wall clock stands that has lost the time: the first of January 2020."""
UPTIME_MS: Final = 60_000
"""How long a device has been running when its story begins."""
PRIVATE: Final = ("orders/+/status", "orders/#", "couriers/+/assignments/+", "devices/+/receipts", "alerts/#")
"""What a curious device asks for."""
NOTHING: Final = bodies.Nothing()


class Firmware(Machine):
    """One device. A subclass adds what its user does (`act`), and what the device itself goes through (`live`).

    Args:
        speed, skew_ms, version: as in `Machine`.
        window: events in flight at once.
        flash_events_max: how many events flash holds.
        is_curious: it subscribes to the orders, jobs, receipts and alerts of others too, which it must not get.
    """

    HAS_BEEPER: ClassVar[bool] = False

    def __init__(
        self,
        *,
        site: str,
        device: str,
        speed: float = 1.0,
        skew_ms: int = 0,
        version: int = NEWEST_VERSION,
        window: int = WINDOW,
        flash_events_max: int = FLASH_EVENTS_MAX,
        is_curious: bool = False,
    ) -> None:
        super().__init__(site=site, device=device, speed=speed, skew_ms=skew_ms, version=version)
        self.outbox = Outbox(self, window=window, events_max=flash_events_max)
        self.radio = Radio(self, on_lost=self.outbox.take_back)
        self.flash = self.outbox.flash
        self.verdicts = self.outbox.verdicts
        self.sent = self.outbox.sent
        self.acknowledged = 0
        self.answers: Counter[Outcome] = Counter()
        self.answers_again = 0
        self.troubles: list[str] = []
        self.is_hopeless = False
        self.battery_percent: int | None = None
        self._is_curious = is_curious
        self._asleep_until_ms = 0
        self._is_on = True

    # --- the interface ----------------------------------------------------------------------------------------------------

    def step(self, now_ms: int, inbox: Sequence[Item], rng: Randomness) -> list[Action]:
        """Take in what came, let the user act, send what can be sent. `now_ms` is true time, ms since 1970 UTC, and never runs backwards."""
        self.begin_step(now_ms, rng)
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
        return self.end_step()

    @property
    def is_settled(self) -> bool:
        """Whether every event is acknowledged and answered."""
        return self.outbox.is_settled

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
        """What the device subscribes to besides its receipts."""
        return ()

    def on_message(self, topic: str, payload: bytes) -> None:
        """A message of those filters."""

    def on_receipt(self, receipt: Receipt) -> None:
        """A verdict that is new: the first on its event, or one with a higher `n`."""

    def on_handed(self, handed: Handed) -> None:
        """Something was handed to the user."""

    # --- for a kind of device to use --------------------------------------------------------------------------------------

    @property
    def has_room(self) -> bool:
        """Whether flash takes another event."""
        return self.outbox.has_room

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
        """Something happened: write it to flash, and send it when there is a connection. Returns its event id."""
        plain: dict[str, Any] = {
            "id": uuid7(self.wall_ms, self.rng),
            "log": self.flash.log,
            "seq": self.flash.last_seq + 1,
            "boot": self.boot,
            "mono_ms": self.mono_ms,
            "at_ms": self.wall_ms,
            "body": encoding.plain(body),
        }
        plain |= {name: value for name, value in (("order", order), ("parcel", parcel), ("code", code), ("by", by)) if value is not None}
        stored = Stored(type=event_type, plain=plain)
        self.outbox.store(stored)
        return stored.id

    def lose_memory(self, until_ms: int) -> None:
        """The app is killed, and started again: what was in memory is lost, flash and the boot's clock are kept."""
        self.radio.hang_up("its app was killed")
        self._asleep_until_ms = self.radio.retry_ms = until_ms

    def start_anew(self) -> None:
        """A new boot: memory is lost, flash is kept."""
        self.radio.start_anew()
        self._boot(self.now_ms)

    # --- in ---------------------------------------------------------------------------------------------------------------

    def _take(self, item: Item) -> None:
        match item:
            case Connected():
                self._on_connected()
            case Disconnected():
                self.radio.lost()
            case Acknowledged(token):
                self.acknowledged += self.outbox.acknowledge(token)
            case Received(topic, payload):
                self._on_received(topic, payload)
            case Handed():
                self.on_handed(item)
            case PowerCut(loses_clock=loses_clock):
                self.start_anew()
                if loses_clock:
                    self.set_wall_clock(CLOCK_LOST_MS - self.now_ms)
                self.note("starts anew, in 2020" if loses_clock else "starts anew")
            case ClockSet(by_ms):
                self.set_wall_clock(by_ms)
                self.note(f"its clock is {by_ms / 1000:+.0f} s off" if self.wall_ms else "its clock stands at 1970")
            case SwitchOff():
                self._switch_off()

    def _boot(self, booted_ms: int) -> None:
        self.start_boot(booted_ms)
        self.flash.log = self.flash.log or self.rng.randbytes(8)

    def _on_connected(self) -> None:
        """Receipts are subscribed to first, and presence is published before events."""
        self.radio.connected()
        pry = (f"{self.topics.base}/{below}" for below in PRIVATE) if self._is_curious else ()
        self.do(Subscribe((self.topics.receipts(self.device), *self.filters(), *pry)))
        self.do(self._presence(online=True))

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
        if self.HAS_BEEPER and not receipt.quiet:
            self.do(Beep(receipt.tone))
        if receipt.digest is not None or receipt.id is None:
            self._on_unread(receipt)
        elif self.outbox.answer(receipt.id, receipt):
            self.on_receipt(receipt)

    def _on_unread(self, receipt: Receipt) -> None:
        """The bridge refused a message, which it names by digest. What was spoilt on its way has another digest, and is sent again for want of a receipt."""
        if receipt.digest is None or self.outbox.sent_as(receipt.digest) is not None:
            self.troubles.append(f"{self.device}: {receipt.outcome} {receipt.reason}: {receipt.detail}")
        else:
            self.note("hears that something of it arrived spoilt")

    # --- out --------------------------------------------------------------------------------------------------------------

    def _connect(self) -> None:
        self.radio.connect(self._will)

    def _will(self) -> Publish:
        """A will has no clock: it is not known when it will be published."""
        return self._presence(online=False)

    def _presence(self, *, online: bool) -> Publish:
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
        if not self.radio.is_online:
            return
        self.outbox.send()
        overdue_ms = self.outbox.overdue_ms
        if overdue_ms is not None and overdue_ms > self.now_ms:
            self.wake_at(overdue_ms)
        elif overdue_ms is not None:
            self.radio.hang_up("no acknowledgement comes")
            self.wake_at(self.radio.retry_ms)

    def _switch_off(self) -> None:
        if self.radio.is_online:
            self.do(self._will())
        self.do(Disconnect())
        self.radio.is_online = self._is_on = False
