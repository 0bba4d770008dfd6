"""A user with things to do: chores, step by step, each step waiting for its receipt, and the reaction to every verdict.

A chore is about one order. Someone with one pair of hands works on one chore at a time; a chore that is held up is set aside and taken up again later.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

from devices.protocol import bodies, encoding
from devices.protocol.bridge_messages import OrderStatus, Receipt
from devices.protocol.vocabulary import EventType, Outcome, Tone
from firmware_sim.firmware.actions import Beep, Hand, Handed, Thing
from firmware_sim.firmware.base import Firmware
from firmware_sim.firmware.reactions import Reaction, reaction_to
from firmware_sim.firmware.steps import COUNTED, Await, Chore, Drive, Give, Rest, Scan, Step, TakeBack, Tell

THINK_MS: Final = 900
"""From a beep to the next scan."""
LOOK_AGAIN_MS: Final = 2_000
"""From a label that could not be read to the next try."""
RETRY_MS: Final = 8_000
"""How long something that is blocked lies aside."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Habits:
    """How often things go wrong in a user's hands: shares of scans.

    `unreadable`: a label that the reader can't decode. `wrong_label`: an article's barcode next to the right one. `double`: a trigger that bounces, or a
    button that is tapped twice; firmware 1 sends both. `slip`: a parcel put on the wrong dock, and told so.
    `goes_on_alone`: without a network the user does not wait for an answer.
    """

    unreadable: float = 0.0
    wrong_label: float = 0.0
    double: float = 0.0
    slip: float = 0.0
    goes_on_alone: bool = False


CAREFUL: Final = Habits()
ALONE_MS: Final = 3_000
"""How long a user without a network waits for a beep before they go on; what was wrong is told later."""
ON_ONES_OWN: Final = frozenset(
    {
        EventType.PICK,
        EventType.PACK,
        EventType.LABELLED,
        EventType.STAGE,
        EventType.PICKUP,
        EventType.OUT_FOR_DELIVERY,
        EventType.STOP_ARRIVED,
        EventType.DELIVERY,
        EventType.VOID,
    },
)
"""What is done without an answer if none can come."""
NOT_THE_ARTICLE: Final = "2000000099998"
"""A barcode (GTIN-13, in-company range) that no order asks for."""


@dataclass(slots=True)
class Hands:
    """Chores in hand (at most `most`), and those that lie aside."""

    most: int
    busy: list[Chore] = field(default_factory=list)
    aside: list[Chore] = field(default_factory=list)

    def drop(self, chore: Chore) -> None:
        for pile in (self.busy, self.aside):
            if chore in pile:
                pile.remove(chore)

    def put_aside(self, chore: Chore) -> None:
        self.drop(chore)
        self.aside.append(chore)

    def take_up(self, now_ms: int) -> None:
        """Take what can be gone on with, the longest waiting first."""
        ready = [c for c in self.aside if c.asked is None and c.ready_ms <= now_ms]
        for chore in ready[: max(0, self.most - len(self.busy))]:
            self.aside.remove(chore)
            self.busy.append(chore)


class Doer(Firmware):
    """A device with a user who has things to do.

    Args:
        hands: chores that are worked on at once.
        plans: what to do when something is handed over, by (thing, order).
        by: the badge of the worker.
        habits: what goes wrong in their hands.
    """

    def __init__(
        self,
        *,
        site: str,
        device: str,
        hands: int = 1_000_000,
        plans: dict[tuple[Thing, str], list[Step]] | None = None,
        chores: list[Chore] | None = None,
        by: str | None = None,
        habits: Habits = CAREFUL,
        **more: Any,
    ) -> None:
        super().__init__(site=site, device=device, **more)
        self.hands = Hands(hands)
        self.plans = plans or {}
        self.states: dict[str, str] = {}
        self.given_up: dict[str, str] = {}
        self.habits = habits
        self._by = by
        self._asked: dict[bytes, tuple[Chore, Scan]] = {}
        for chore in chores or []:
            self.begin(chore)
        self._watched = frozenset(self.topics.status(order) for order in {*(c.order for c in chores or []), *(order for _, order in self.plans)} if order)

    @property
    def is_finished(self) -> bool:
        return not self.plans and not self.hands.busy and not self.hands.aside and self.is_settled

    def begin(self, chore: Chore) -> None:
        self.hands.aside.append(chore)

    def on_handed(self, handed: Handed) -> None:
        steps = self.plans.pop((handed.what, handed.order), None)
        if steps is not None:
            self.begin(Chore(handed.order, list(steps)))

    def on_message(self, topic: str, payload: bytes) -> None:
        if payload and topic in self._watched:
            status = encoding.decode(payload, OrderStatus)
            self.states[status.order] = status.state

    def on_verdict(self, scan: Scan, receipt: Receipt) -> None:
        """A verdict on a scan, before the user reacts to it."""

    # --- acting -----------------------------------------------------------------------------------------------------------

    def act(self) -> None:
        while self._work():
            pass
        if self.habits.goes_on_alone and not self.radio.is_online:
            self._go_on_alone()
        for chore in (*self.hands.busy, *self.hands.aside):
            if chore.ready_ms > self.now_ms:
                self.wake_at(chore.ready_ms)

    def _go_on_alone(self) -> None:
        """Without a network the user goes on: the device keeps what was scanned, and the user learns later what was wrong with it."""
        for chore in [c for c in self.hands.busy if c.asked is not None and self._asked[c.asked][1].type in ON_ONES_OWN]:
            if self.now_ms < chore.asked_ms + ALONE_MS:
                self.wake_at(chore.asked_ms + ALONE_MS)
                continue
            chore.told, chore.asked = chore.asked, None
            chore.index += 1
            chore.ready_ms = self.now_ms + self.pause_ms(THINK_MS * (0.5 + self.rng.random()))

    def _work(self) -> bool:
        """Go on with everything in hand. Returns True if a hand came free, so that something else can be taken up."""
        self.hands.take_up(self.now_ms)
        done = [chore for chore in self.hands.busy if self._advance(chore)]
        for chore in done:
            self.hands.drop(chore)
        return bool(done)

    def _advance(self, chore: Chore) -> bool:
        """Do what can be done now; True at the chore's end."""
        while chore.asked is None and chore.ready_ms <= self.now_ms:
            if chore.index >= len(chore.steps):
                return True
            if not self._do(chore, chore.steps[chore.index]):
                break
        return False

    def _do(self, chore: Chore, step: Step) -> bool:
        """Do a step, or a part of it. Returns False if it has to wait for something."""
        match step:
            case Scan():
                return self._scan(chore, step)
            case TakeBack(reason):
                if chore.told is None:
                    raise ValueError("there is nothing to take back")
                return self._scan(chore, Scan(type=EventType.VOID, body=bodies.Void(ref=chore.told, reason=reason)))
            case Tell(scan):
                self.record(scan.type, scan.body, order=scan.order, parcel=scan.parcel, code=scan.code)
            case Await(state):
                if self.states.get(chore.order) != state:
                    return False
            case Rest(ms):
                chore.ready_ms = self.now_ms + self.pause_ms(ms)
            case Give(to, what):
                self.do(Hand(to, Handed(what, chore.order)))
            case Drive():
                if not self.drive(chore, step):
                    return True
        chore.index += 1
        return True

    def _scan(self, chore: Chore, scan: Scan) -> bool:
        """Pull the trigger; False where flash is full: nothing is scanned then until something is acknowledged."""
        if not self.has_room:
            self.note("has no room in its flash")
            return False
        habits, chance = self.habits, self.rng.random
        if scan.code is not None and habits.unreadable and chance() < habits.unreadable:
            self.do(Beep(Tone.STOP))
            chore.ready_ms = self.now_ms + self.pause_ms(LOOK_AGAIN_MS)
            return True
        code = scan.code
        if scan.type is EventType.PICK and code is not None and habits.wrong_label and chance() < habits.wrong_label:
            code = NOT_THE_ARTICLE
        chore.asked = self.record(scan.type, scan.body, order=scan.order, parcel=scan.parcel, code=code, by=self._by)
        chore.asked_ms = self.now_ms
        self._asked[chore.asked] = (chore, scan)
        if habits.double and chance() < habits.double and self.doubles(scan):
            self.record(scan.type, scan.body, order=scan.order, parcel=scan.parcel, code=code, by=self._by)
        return True

    def doubles(self, scan: Scan) -> bool:
        """Whether a second signal right after the first becomes an event: only if the device does not prevent it."""
        return self.version == 1 and scan.type not in COUNTED

    def drive(self, chore: Chore, drive: Drive) -> bool:
        """Drive a leg of the way; True at its end. Only those with a vehicle do more than arrive."""
        return True

    # --- reacting ---------------------------------------------------------------------------------------------------------

    def on_receipt(self, receipt: Receipt) -> None:
        chore, scan = self._asked.get(receipt.id or b"", (None, None))
        if chore is None or scan is None:
            return
        self.on_verdict(scan, receipt)
        reaction = reaction_to(receipt)
        if chore.asked == receipt.id:
            self._react(chore, receipt, reaction)
        elif reaction is Reaction.RETRY:
            self._redo(chore, scan)

    def _react(self, chore: Chore, receipt: Receipt, reaction: Reaction) -> None:
        if reaction is Reaction.WAIT:
            self.hands.put_aside(chore)
            return
        chore.told, chore.asked = chore.asked, None
        match reaction:
            case Reaction.GO_ON:
                chore.index += 1
                chore.ready_ms = self.now_ms + self.pause_ms(THINK_MS * (0.5 + self.rng.random()))
            case Reaction.RETRY:
                chore.ready_ms = self.now_ms + self.pause_ms(RETRY_MS)
                self.hands.put_aside(chore)
            case Reaction.GIVE_UP:
                self.hands.drop(chore)
                self.give_up(chore, receipt)

    def _redo(self, chore: Chore, scan: Scan) -> None:
        """A scan that counted is blocked after all: it is done once more, before what is not yet told. What was told last may have to be taken back first."""
        if chore.order in self.given_up:
            return
        at = chore.index + (chore.asked is not None)
        coming = [type(step) for step in chore.steps[at : at + 2]]
        if TakeBack in coming and not {Scan, Tell} & set(coming[: coming.index(TakeBack)]):
            at += coming.index(TakeBack) + 1
        chore.steps.insert(at, scan)
        if chore not in self.hands.busy and chore not in self.hands.aside:
            self.begin(chore)

    def give_up(self, chore: Chore, receipt: Receipt) -> None:
        """Put it back. A cancelled order is nothing to worry about; a rejection is."""
        reason = receipt.reason or receipt.outcome
        self.given_up[chore.order] = reason
        if receipt.outcome is Outcome.REJECTED:
            self.troubles.append(f"{self.device}: order {chore.order}: {receipt.outcome} {reason} {receipt.detail or ''}".rstrip())
