"""Real MQTT: one thread, one selector, one paho client for each connection of each device.

A connection that is lost is never repaired by the client library: a new client is made, so that nothing but the firmware sends anything again. What the
firmware handed to the network and when the answers came is measured here: PUBLISH to PUBACK, and PUBLISH to receipt.
"""

from __future__ import annotations

import secrets
import selectors
import socket
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any, Final

from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from devices.protocol import messages
from devices.protocol.messages import OrderStatus, PayloadError, Receipt
from firmware_sim.errors import NoPassword, NotAdmitted, NotReachable
from firmware_sim.firmware.actions import (
    Acknowledged,
    Action,
    Connect,
    Connected,
    Disconnect,
    Disconnected,
    Hand,
    Item,
    Publish,
    Received,
    Subscribe,
    SwitchOff,
    WakeAt,
)
from firmware_sim.firmware.base import Firmware
from firmware_sim.firmware.dispatcher import Screen
from firmware_sim.workload import SCREEN, Workload

KEEP_ALIVE_S: Final = 30
CONNECT_TIMEOUT_S: Final = 5.0
HOUSEKEEPING_S: Final = 1.0
PROGRESS_EVERY_S: Final = 0.1
QUIET_S: Final = 3.0
"""Once every device is finished, the screen is given up on when nothing new came for this long."""
GOODBYE_S: Final = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """Where a run stands. `agreed` counts orders whose status is the expected one."""

    sent: int
    acknowledged: int
    answered: int
    orders: int
    agreed: int
    devices: int
    finished: int


@dataclass(slots=True, kw_only=True)
class Record:
    """What a run did and saw. Latencies are in milliseconds, one for each event; `answered_ms` is PUBLISH to receipt.

    `events_of` counts the events of each order, as their receipts name it.
    """

    sent: dict[str, int] = field(default_factory=dict)
    acknowledged: int = 0
    outcomes: dict[str, int] = field(default_factory=dict)
    again: int = 0
    puback_ms: list[float] = field(default_factory=list)
    answered_ms: list[float] = field(default_factory=list)
    events_of: dict[str, int] = field(default_factory=dict)
    statuses: dict[str, OrderStatus] = field(default_factory=dict)
    errors: list[str] = field(default_factory=list)
    reconnects: int = 0
    seconds: float = 0.0

    @property
    def states(self) -> dict[str, str]:
        """Each order's state as the screen saw it last."""
        return {order: status.state for order, status in self.statuses.items()}


def run(
    workload: Workload,
    host: str,
    port: int,
    passwords: dict[str, str],
    speed: float = 1.0,
    on_progress: Callable[[Progress], None] | None = None,
    timeout_s: float = 600.0,
) -> Record:
    """Live through a workload's day over MQTT.

    Args:
        passwords: of every device in `workload.devices`; user names are the devices' names.
        speed: pauses of people and roads are divided by it; timestamps stay those of the real clock.

    Raises:
        SimError: where the bridge cannot be reached, or does not admit a device.
    """
    firmwares = workload.build(speed=speed)
    return drive(firmwares, firmwares[SCREEN], host, port, passwords, workload.expected, on_progress, timeout_s)


def drive(
    firmwares: dict[str, Firmware],
    screen: Firmware,
    host: str,
    port: int,
    passwords: dict[str, str],
    expected: dict[str, str],
    on_progress: Callable[[Progress], None] | None = None,
    timeout_s: float = 600.0,
) -> Record:
    """Drive firmwares over MQTT until they are finished and the screen shows what is expected, or nothing moves any more.

    Raises:
        SimError: where the bridge cannot be reached, or does not admit a device.
    """
    missing = [device for device in firmwares if device not in passwords]
    if missing:
        raise NoPassword(
            f"there is no password for {', '.join(missing)}", fix="enrol the device with `dockbridge device add` and add what it prints to the credentials"
        )
    if not isinstance(screen, Screen):
        raise TypeError("the screen is a Screen")
    _knock(host, port)
    driver = _Driver(firmwares, screen, host, port, passwords, expected, on_progress)
    try:
        return driver.run(timeout_s)
    finally:
        driver.close()


def _knock(host: str, port: int) -> None:
    try:
        socket.create_connection((host, port), CONNECT_TIMEOUT_S).close()
    except OSError as error:
        raise NotReachable(
            f"nobody answers at {host}:{port} ({error})", fix="start the bridge with `dockbridge serve`, or give its --host and --port"
        ) from error


class _Line:
    """One device and its present connection."""

    def __init__(self, device: str, firmware: Firmware, driver: _Driver) -> None:
        self.device = device
        self.firmware = firmware
        self.inbox: list[Item] = []
        self.wake_s = 0.0
        self.client: Client | None = None
        self.sent_s: dict[bytes, float] = {}
        self._driver = driver
        self._tokens: dict[int, tuple[int, bytes | None, float]] = {}
        self._receipts = firmware.topics.receipts(device)

    # --- actions ----------------------------------------------------------------------------------------------------------

    def do(self, action: Action, now_s: float) -> None:
        match action:
            case Publish():
                self._publish(action)
            case Subscribe(filters) if self.client is not None:
                self.client.subscribe([(f, 1) for f in filters])
            case Connect(will):
                self._connect(will)
            case Disconnect() if self.client is not None:
                self.client.disconnect()
            case WakeAt(at_ms):
                self.wake_s = now_s + (at_ms - self.firmware.now_ms) / 1000
            case Hand(to, item):
                self._driver.lines[to].inbox.append(item)
            case _:
                pass

    def _publish(self, publish: Publish) -> None:
        """Hand a message to the network. Where the connection has just broken, the firmware learns it by `Disconnected` and sends again."""
        if self.client is None:
            return
        sent_s = time.perf_counter()
        info = self.client.publish(publish.topic, publish.payload, publish.qos, publish.retain)
        if publish.token is not None:
            self._tokens[info.mid] = (publish.token, publish.event, sent_s)
        if publish.event is not None:
            self.sent_s.setdefault(publish.event, sent_s)

    def _connect(self, will: Publish) -> None:
        client = Client(CallbackAPIVersion.VERSION2, client_id=self.device, clean_session=False)
        client.username_pw_set(self.device, self._driver.passwords[self.device])
        client.will_set(will.topic, will.payload, will.qos, will.retain)
        client.max_inflight_messages_set(65_535)
        client.connect_timeout = CONNECT_TIMEOUT_S
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_publish = self._on_publish
        client.on_message = self._on_message
        client.on_socket_open = self._driver.watch(self)
        client.on_socket_close = self._driver.unwatch
        self.client = client
        self._tokens = {}
        try:
            client.connect(self._driver.host, self._driver.port, KEEP_ALIVE_S)
        except OSError:
            self._gone(client)

    def _gone(self, client: Client) -> None:
        if self.client is client:
            self.client = None
            self.inbox.append(Disconnected())

    # --- what comes back --------------------------------------------------------------------------------------------------

    def _on_connect(self, client: Client, _data: Any, _flags: ConnectFlags, code: ReasonCode, _properties: Properties | None) -> None:
        if code.is_failure:
            self._driver.refused = (self.device, str(code))
            return
        self._driver.connects += 1
        self.inbox.append(Connected())

    def _on_disconnect(self, client: Client, _data: Any, _flags: DisconnectFlags, _code: ReasonCode, _properties: Properties | None) -> None:
        self._gone(client)

    def _on_publish(self, client: Client, _data: Any, mid: int, _code: ReasonCode, _properties: Properties | None) -> None:
        token, event, sent_s = self._tokens.pop(mid, (None, None, 0.0))
        if token is None or client is not self.client:
            return
        if event is not None:
            self._driver.record.puback_ms.append((time.perf_counter() - sent_s) * 1000)
        self.inbox.append(Acknowledged(token))

    def _on_message(self, _client: Client, _data: Any, message: MQTTMessage) -> None:
        payload = bytes(message.payload)
        if message.topic == self._receipts:
            self._measure(payload, time.perf_counter())
        self.inbox.append(Received(message.topic, payload))

    def _measure(self, payload: bytes, at_s: float) -> None:
        try:
            event = messages.decode(payload, Receipt).id
        except PayloadError:
            return  # the firmware meets it too, and says so
        sent_s = self.sent_s.pop(event, None) if event is not None else None
        if sent_s is not None:
            self._driver.record.answered_ms.append((at_s - sent_s) * 1000)


class _Driver:
    """All lines of a run, and the loop that moves them."""

    def __init__(
        self,
        firmwares: dict[str, Firmware],
        screen: Screen,
        host: str,
        port: int,
        passwords: dict[str, str],
        expected: dict[str, str],
        on_progress: Callable[[Progress], None] | None,
    ) -> None:
        self.host = host
        self.port = port
        self.passwords = passwords
        self.record = Record()
        self.connects = 0
        self.refused: tuple[str, str] | None = None
        self.lines = {device: _Line(device, firmware, self) for device, firmware in firmwares.items()}
        self._screen = screen
        self._expected = expected
        self._on_progress = on_progress
        self._selector = selectors.DefaultSelector()
        self._writing: set[_Line] = set()
        self._in_agreement: set[str] = set()
        # Ids are drawn anew in every run: only the plan comes from the seed.
        self._rng = Random(secrets.randbits(64))
        self._anchor_s = time.time() - time.monotonic()
        self._housekept_s = 0.0
        self._told_s = 0.0

    def run(self, timeout_s: float) -> Record:
        start_s = time.monotonic()
        if not self._loop_until(lambda: self._is_hopeless() or not self._unfinished(), start_s + timeout_s):
            self.record.errors += [f"{line.device} did not finish within {timeout_s:g} s: {_waiting_for(line.firmware)}" for line in self._unfinished()]
        if not self._is_hopeless():
            self._let_the_screen_catch_up()
        self._tell(force=True)
        self._say_goodbye()
        self.record.seconds = time.monotonic() - start_s
        return self._finished_record()

    def close(self) -> None:
        """Let go of every connection that is still there."""
        for client in [line.client for line in self.lines.values() if line.client is not None]:
            client.disconnect()
        self._selector.close()

    # --- the loop ---------------------------------------------------------------------------------------------------------

    def _loop_until(self, done: Callable[[], bool], deadline_s: float) -> bool:
        while not done():
            if time.monotonic() >= deadline_s:
                return False
            self._turn(deadline_s)
        return True

    def _turn(self, deadline_s: float) -> None:
        """Wait for the network or the next wake-up, then let every device that has a reason take a step."""
        now_s = time.monotonic()
        busy = any(line.inbox for line in self.lines.values())
        next_s = min(line.wake_s for line in self.lines.values())
        self._serve_sockets(0.0 if busy else max(0.0, min(next_s, deadline_s, now_s + HOUSEKEEPING_S) - now_s))
        if self.refused is not None:
            device, why = self.refused
            raise NotAdmitted(
                f"the bridge does not admit {device}: {why}", fix=f"give {device} its present password; `dockbridge device rotate {device}` makes a new one"
            )
        now_s = time.monotonic()
        for line in self.lines.values():
            if line.inbox or line.wake_s <= now_s:
                self._step(line, now_s)
        self._tell()

    def _step(self, line: _Line, now_s: float) -> None:
        inbox, line.inbox = line.inbox, []
        line.wake_s = float("inf")
        for action in line.firmware.step(round((self._anchor_s + now_s) * 1000), inbox, self._rng):
            line.do(action, now_s)

    # --- sockets ----------------------------------------------------------------------------------------------------------

    def watch(self, line: _Line) -> Callable[[Client, Any, Any], None]:
        def opened(_client: Client, _data: Any, sock: Any) -> None:
            self._selector.register(sock, selectors.EVENT_READ, line)

        return opened

    def unwatch(self, _client: Client, _data: Any, sock: Any) -> None:
        line: _Line = self._selector.unregister(sock).data
        self._writing.discard(line)

    def _serve_sockets(self, timeout_s: float) -> None:
        self._watch_writers()
        for key, events in self._selector.select(timeout_s):
            line: _Line = key.data
            if events & selectors.EVENT_READ and line.client is not None:
                line.client.loop_read()
            if events & selectors.EVENT_WRITE and line.client is not None:
                line.client.loop_write()
        now_s = time.monotonic()
        if now_s - self._housekept_s >= HOUSEKEEPING_S:
            self._housekept_s = now_s
            for line in self.lines.values():
                if line.client is not None:
                    line.client.loop_misc()

    def _watch_writers(self) -> None:
        """Ask for room to write where a client has bytes left over."""
        for line in self.lines.values():
            client = line.client
            sock = client.socket() if client is not None else None
            if client is None or sock is None or client.want_write() == (line in self._writing):
                continue
            if client.want_write():
                self._writing.add(line)
                self._selector.modify(sock, selectors.EVENT_READ | selectors.EVENT_WRITE, line)
            else:
                self._writing.discard(line)
                self._selector.modify(sock, selectors.EVENT_READ, line)

    # --- the end ----------------------------------------------------------------------------------------------------------

    def _unfinished(self) -> list[_Line]:
        return [line for line in self.lines.values() if not line.firmware.is_finished]

    def _is_hopeless(self) -> bool:
        """Whether something went so wrong that the rest of the run would say nothing."""
        return any(line.firmware.is_hopeless for line in self.lines.values())

    def _agreed(self) -> int:
        """How many orders are shown as expected; only what changed is looked at again, because there may be very many."""
        for order in self._screen.changed & self._expected.keys():
            if self._screen.statuses[order].state == self._expected[order]:
                self._in_agreement.add(order)
            else:
                self._in_agreement.discard(order)
        self._screen.changed.clear()
        return len(self._in_agreement)

    def _let_the_screen_catch_up(self) -> None:
        """The last statuses may still be on their way to the screen; before it is given up on, it asks for all of them once more."""
        if not self._waited_for_statuses():
            self._screen.look_again()
            self.lines[self._screen.device].wake_s = 0.0
            self._waited_for_statuses()

    def _waited_for_statuses(self) -> bool:
        """Wait as long as something comes; True where all are as expected."""
        seen = -1
        while seen != self._screen.messages:
            seen = self._screen.messages
            if self._loop_until(lambda: self._agreed() == len(self._expected), time.monotonic() + QUIET_S):
                return True
        return False

    def _say_goodbye(self) -> None:
        """Every device tells that it goes, so that no will speaks for it."""
        for line in self.lines.values():
            line.inbox.append(SwitchOff())
        self._loop_until(lambda: all(line.client is None for line in self.lines.values()), time.monotonic() + GOODBYE_S)

    def _finished_record(self) -> Record:
        record = self.record
        firmwares = [line.firmware for line in self.lines.values()]
        sent: Counter[str] = sum((Counter({t.value: n for t, n in f.sent.items()}) for f in firmwares), Counter())
        outcomes: Counter[str] = sum((Counter({o.value: n for o, n in f.answers.items()}) for f in firmwares), Counter())
        record.sent = dict(sorted(sent.items()))
        record.outcomes = dict(sorted(outcomes.items()))
        record.acknowledged = sum(f.acknowledged for f in firmwares)
        record.again = sum(f.answers_again for f in firmwares)
        record.events_of = dict(Counter(r.order for f in firmwares for r in f.verdicts.values() if r.order is not None))
        record.errors += [trouble for f in firmwares for trouble in f.troubles]
        record.statuses = dict(self._screen.statuses)
        record.reconnects = self.connects - len(self.lines)
        return record

    def _tell(self, *, force: bool = False) -> None:
        now_s = time.monotonic()
        if self._on_progress is None or (not force and now_s - self._told_s < PROGRESS_EVERY_S):
            return
        self._told_s = now_s
        firmwares = [line.firmware for line in self.lines.values()]
        self._on_progress(
            Progress(
                sent=sum(f.sent.total() for f in firmwares),
                acknowledged=sum(f.acknowledged for f in firmwares),
                answered=sum(len(f.verdicts) for f in firmwares),
                orders=len(self._expected),
                agreed=self._agreed(),
                devices=len(firmwares),
                finished=sum(f.is_finished for f in firmwares),
            ),
        )


def _waiting_for(firmware: Firmware) -> str:
    """What an unfinished device is still waiting for, for a person."""
    unstored, unanswered = len(firmware.flash.events), len(firmware.flash.unanswered)
    if unstored or unanswered:
        return f"{unstored} events without acknowledgement, {unanswered} without receipt"
    return "others did not do their part"


__all__ = ["Progress", "Record", "drive", "run"]
