"""Scanners and phones whose device is someone else's program: people, lists and roads are simulated; what keeps and sends is a process of its own.

The program connects through the proxy like every device; what it sent and got is read off its line. A reboot is SIGKILL, and a start with the same outbox.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import msgspec

from devices.protocol import encoding
from devices.protocol.bridge_messages import Receipt
from devices.protocol.device_messages import LocationBatch
from devices.protocol.later_editions import decode_later
from devices.protocol.vocabulary import EventType
from firmware_sim.errors import ClientFailed
from firmware_sim.firmware import actions
from firmware_sim.firmware.courier import Courier
from firmware_sim.firmware.outbox import ACK_PATIENCE_MS
from firmware_sim.firmware.radio import BACKOFF_MAX_MS
from firmware_sim.link.errands import Errands
from firmware_sim.link.handset import SocketStage
from firmware_sim.link.player import REBOOT_S, Player
from firmware_sim.link.program import Plain, Program
from firmware_sim.link.users import Remote
from firmware_sim.record import Connected, Entry, Lost, Noted, Received

DEBOUNCE_MS: Final = 300
"""How long the same scan is a bouncing trigger, at life's speed."""


class ForeignHandset(Player):
    """Drives a user and the program in their hand.

    Args:
        folder: where the program keeps its outbox.
        cut: ends the device's connections.
        darken: says whether the network is out of its reach.
    """

    KEPT = (*Player.KEPT, actions.Received)

    def __init__(
        self,
        stage: SocketStage,
        firmware: Remote,
        password: str,
        command: Sequence[str],
        *,
        site: str,
        folder: Path,
        cut: Callable[[str], None],
        darken: Callable[[str, bool], None],
    ) -> None:
        super().__init__(stage, firmware)
        self.failed: ClientFailed | None = None
        self._stage: SocketStage = stage
        self._password = password
        self._command = command
        self._site = site
        self._outbox = folder / self.device
        self._cut = cut
        self._darken = darken
        self._errands = Errands()
        self._life: asyncio.Task[None] | None = None
        self._program: Program | None = None
        self._early: dict[bytes, Receipt] = {}
        """Receipts that came before the program had said which event it stored."""
        self._sent: dict[bytes, tuple[int, int]] = {}
        """By event: (epoch, n) of the highest receipt that was sent to the device."""
        self._line: object | None = None
        self._has_signal = True
        self._is_leaving = False
        firmware.attach(self)

    # --- for the run --------------------------------------------------------------------------------------------------------------

    @property
    def can_step(self) -> bool:
        return super().can_step and not self._is_leaving

    @property
    def is_gone(self) -> bool:
        return self._life is None or self._life.done()

    @property
    def unsent(self) -> int:
        return self._errands.unsent

    def close(self) -> None:
        self.forget_wake()
        if self._life is not None:
            self._life.cancel()

    def reboot(self, *, loses_clock: bool) -> None:
        """The power goes, and comes back a moment later."""
        if self.is_off or self._is_leaving:
            return
        self.is_off = True
        self._end_life()
        self._stage.loop.call_later(REBOOT_S / self._stage.speed, lambda: self.boot(loses_clock=loses_clock))

    def eye(self) -> Callable[[Entry], None]:
        """What sees a new line of this device."""
        line = object()
        receipts = self.firmware.topics.receipts(self.device)

        def see(entry: Entry) -> None:
            self._stage.see(entry)
            match entry:
                case Connected():
                    self._line = line
                    self.put(actions.Connected())
                case Lost() if self._line is line:
                    self._line = None
                    self.put(actions.Disconnected())
                case Received(topic=topic, payload=payload) if topic == receipts:
                    plain = encoding.load(payload)
                    if "id" in plain and "digest" not in plain:
                        self._sent[plain["id"]] = max(_age(plain), self._sent.get(plain["id"], (0, 0)))

        return see

    async def look_at_receipts(self) -> list[str]:
        """Of which events the program does not hold the receipt that holds."""
        found = []
        for event_id, age in self._sent.items():
            if self._program is not None and event_id in self._errands.name_of:
                held = (await self._program.ask("receipt", id=event_id.hex())).get("receipt")
                if held is None or _age(held) != age:
                    found.append(f"{self.device} was sent receipt {age} (epoch, n) of {event_id.hex()}, and holds {None if held is None else _age(held)}")
        return found

    # --- for its user (`Device`) --------------------------------------------------------------------------------------------------

    @property
    def waiting(self) -> int:
        return self._errands.unsent

    def keep(self, name: bytes, event_type: EventType, scanned: Plain) -> None:
        self._errands.add("scan", name=name, type=str(event_type), **scanned)

    def set_clock(self) -> None:
        self._errands.add("clock", wall_off_ms=self.firmware.skew_ms)

    def restart(self, at_ms: int) -> None:
        self._end_life()
        self._stage.loop.call_later(max(0, at_ms - self._stage.now_ms()) / 1000, self._begin_life)

    # --- as a player --------------------------------------------------------------------------------------------------------------

    def _step(self) -> None:
        super()._step()
        has_signal = self.firmware.radio.has_signal
        if has_signal is not self._has_signal:
            self._has_signal = has_signal
            self._darken(self.device, not has_signal)
            self._errands.add("network", up=has_signal)
        if self._life is None and self.can_step:
            self._begin_life()

    def carry(self, action: actions.Action, now_ms: int) -> None:
        match action:
            case actions.HangUp():
                self._cut(self.device)
            case actions.Disconnect():
                self._is_leaving = True
                self._errands.add("stop")
            case actions.Publish(topic=topic, payload=payload) if topic == self.firmware.topics.location(self.device):
                points = encoding.decode(payload, LocationBatch).points
                self._errands.add("locations", points=[[p.mono_ms, p.lat_e7, p.lon_e7, p.accuracy_m, p.speed_dm_s] for p in points])

    # --- the program --------------------------------------------------------------------------------------------------------------

    def _begin_life(self) -> None:
        if not self.is_off and self.is_gone and not self.failed:
            self._life = self._stage.loop.create_task(self._live(), name=f"the program of {self.device}")

    def _end_life(self) -> None:
        if self._life is not None and not self._life.done() and not self._life.cancelling():
            self._note("its program is killed")
            self._life.cancel()
        self._errands.forget()

    async def _live(self) -> None:
        """One process: who it is, what it missed, and one command after the other."""
        program = Program(self.device, self._command, on_news=self._take_news, on_said=self._note, on_failed=self._fail)
        try:
            await program.start()
            self._stored(self._errands.started(await program.ask("start", **self._who())))
            self._program = program
            for name in [n for n in self.firmware.flash.unanswered if n in self._errands.id_of]:
                self._take_news(await program.ask("receipt", id=self._errands.id_of[name].hex()))
            while (errand := await self._errands.next(program)).what != "stop":
                self._stored(errand.name)
            if not await program.stopped():
                self._stage.trouble(self.device, "its program was told to stop, and did not end")
        except ClientFailed as error:
            self.failed = error
        except (KeyError, ValueError, TypeError) as error:
            fault = f"the field {error} is missing" if isinstance(error, KeyError) else str(error)
            self.failed = ClientFailed(
                f"the program of {self.device} gave an answer that can't be read: {fault}", fix="firmware-sim protocol says what it should be"
            )
        finally:
            self._program = None
            await program.kill()

    def _who(self) -> Plain:
        host, port = self._stage.address() or ("127.0.0.1", 9)
        user = self.firmware
        return {
            "site": self._site,
            "device": self.device,
            "role": "courier" if isinstance(user, Courier) else "scanner",
            "courier": user.courier if isinstance(user, Courier) else None,
            "host": host,
            "port": port,
            "password": self._password,
            "outbox": str(self._outbox),
            "boot": user.boot.hex(),
            "booted_ms": user.booted_ms,
            "wall_off_ms": user.skew_ms,
            "debounce_ms": max(1, round(DEBOUNCE_MS / self._stage.speed)),
            "events_max": user.outbox.events_max,
            "backoff_max_ms": BACKOFF_MAX_MS,
            "ack_timeout_ms": ACK_PATIENCE_MS,
        }

    def _stored(self, name: bytes | None) -> None:
        """A scan was stored, under an id of the program's."""
        if name is None:
            return
        event_id = self._errands.id_of[name]
        if self._errands.name_of[event_id] is not name:
            # The trigger bounced: it is the scan before, whose receipt answers both.
            self.firmware.flash.unanswered.pop(name, None)
        elif (receipt := self._early.pop(event_id, None)) is not None:
            self._hand_over(receipt)

    def _note(self, text: str) -> None:
        self._stage.see(Noted(self._stage.now_ms(), self.device, text))

    def _fail(self, error: ClientFailed) -> None:
        """A program may end after it was told to stop."""
        if not self._is_leaving:
            self.failed = error

    # --- what it tells ------------------------------------------------------------------------------------------------------------

    def _take_news(self, news: Plain) -> None:
        self._errands.backlog = news.get("backlog", self._errands.backlog)
        if news.get("receipt") is not None:
            self._hand_over(decode_later(encoding.encode_json(news["receipt"]), Receipt))
        user = self.firmware
        if isinstance(user, Courier):
            for assignment in news.get("jobs", ()):
                topic = self.firmware.topics.assignment(user.courier, assignment["job"])
                self.put(actions.Received(topic, encoding.encode_json(assignment)))
        self.put()

    def _hand_over(self, receipt: Receipt) -> None:
        """A receipt, about what the user calls by another name."""
        event_id = receipt.id or b""
        if event_id not in self._errands.name_of:
            self._early[event_id] = receipt
            return
        named = msgspec.structs.replace(receipt, id=self._errands.name_of[event_id])
        self.put(actions.Received(self.firmware.topics.receipts(self.device), encoding.encode(named)))


def _age(receipt: Plain) -> tuple[int, int]:
    return receipt.get("epoch", 0), receipt["n"]
