"""A courier's phone: takes jobs over the assignment topic, claims each against the rev that it saw, and does what the doors ask for.

How a visit ends is the doors' business, not the phone's: `Visit` says it, and `WAYS` is the way to that end.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum, auto
from typing import Any, Final

from devices.protocol import bodies, encoding
from devices.protocol.bodies import Collected, ProofOfDelivery
from devices.protocol.bridge_messages import Assignment, Receipt, Stop
from devices.protocol.device_messages import LocationBatch, Point
from devices.protocol.reasons import AttemptReason, RefusalReason, ReturnReason
from devices.protocol.vocabulary import EventType, JobState, Outcome, PodMethod, Reason, Tender
from firmware_sim.firmware.actions import Publish, Thing
from firmware_sim.firmware.chores import Doer
from firmware_sim.firmware.steps import COUNTED, Chore, Drive, Give, Rest, Scan, Step

DRIVE_MS: Final = 40_000
LEGS: Final = 4
"""Location batches of one drive."""
POINTS: Final = 3
"""Fixes in one batch."""
NOISE_E7: Final = 400
"""Standard deviation of a fix, degrees × 1e7: some four metres."""
AT_DOOR_MS: Final = 3_000
CHANGE_OF_HEART_MS: Final = 120_000
"""From a delivery to the call that it is to be fetched again."""
ORDERS_AT_ONCE: Final = 4

Named = tuple[str | None, str | None]
"""A parcel as a scan names it: (parcel id, scanned code), one of them."""


class Ending(Enum):
    """How a visit ends."""

    DELIVERED = auto()
    SECOND_TRY = auto()
    REFUSED = auto()
    NEVER_MET = auto()
    ONE_DELIVERED = auto()
    ON_THE_ROAD = auto()
    IN_THE_VAN = auto()
    SENT_BACK = auto()


class Move(Enum):
    """What a courier does, as people say it."""

    LOAD = auto()
    SET_OUT = auto()
    DRIVE = auto()
    HAND_OVER = auto()
    HAND_OVER_ONE = auto()
    FIND_NOBODY = auto()
    BE_REFUSED = auto()
    WAIT = auto()
    BRING_BACK = auto()


WAYS: Final[dict[Ending, tuple[Move, ...]]] = {
    Ending.DELIVERED: (Move.LOAD, Move.SET_OUT, Move.DRIVE, Move.HAND_OVER),
    Ending.SECOND_TRY: (Move.LOAD, Move.SET_OUT, Move.DRIVE, Move.FIND_NOBODY, Move.SET_OUT, Move.DRIVE, Move.HAND_OVER),
    Ending.REFUSED: (Move.LOAD, Move.SET_OUT, Move.DRIVE, Move.BE_REFUSED, Move.BRING_BACK),
    Ending.NEVER_MET: (Move.LOAD, Move.SET_OUT, Move.DRIVE, Move.FIND_NOBODY, Move.SET_OUT, Move.DRIVE, Move.FIND_NOBODY, Move.BRING_BACK),
    Ending.ONE_DELIVERED: (Move.LOAD, Move.SET_OUT, Move.DRIVE, Move.HAND_OVER_ONE),
    Ending.ON_THE_ROAD: (Move.LOAD, Move.SET_OUT, Move.DRIVE),
    Ending.IN_THE_VAN: (Move.LOAD,),
    Ending.SENT_BACK: (Move.LOAD, Move.SET_OUT, Move.DRIVE, Move.HAND_OVER, Move.WAIT, Move.BRING_BACK),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """What waits for a courier at an order's door. `amount_minor` is what a recipient who pays on delivery owes; places are (lat_e7, lon_e7).

    `labels` are those of its parcels, if the courier scans nothing else and names no order.
    """

    order: str
    ending: Ending
    door: tuple[int, int]
    back_to: str
    amount_minor: int = 0
    currency: str = "EUR"
    labels: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Troubles:
    """What a phone goes through. 0: never.

    `tunnel`: share of the legs of a drive that lead through one. `doze_every_s`, `doze_s`: its system lets it sleep, without network. `killed_every_s`,
    `killed_s`: its system ends the app, and starts it again so much later. `wrong_parcel`: share of loadings that begin with another stop's parcel.
    """

    tunnel: float = 0.0
    doze_every_s: float = 0.0
    doze_s: float = 120.0
    killed_every_s: float = 0.0
    killed_s: float = 20.0
    wrong_parcel: float = 0.0


NO_TROUBLES: Final = Troubles()


class Courier(Doer):
    """A phone bound to a courier."""

    HAS_BEEPER = True

    def __init__(
        self,
        *,
        site: str,
        device: str,
        courier: str,
        visits: list[Visit],
        depot: tuple[int, int],
        troubles: Troubles = NO_TROUBLES,
        **more: Any,
    ) -> None:
        super().__init__(site=site, device=device, hands=ORDERS_AT_ONCE, **more)
        self._troubles = troubles
        self._doze_ms = self._killed_ms = 0
        self._dark_until_ms = 0
        self.courier = courier
        self.visits = {v.order: v for v in visits}
        self.jobs: dict[str, Assignment] = {}
        self._depot = depot
        self._claimed: set[tuple[str, int]] = set()

    @property
    def is_finished(self) -> bool:
        return not self.visits and super().is_finished

    def doubles(self, scan: Scan) -> bool:
        """Nothing keeps a thumb from tapping twice; the bridge sees that it is the same scan."""
        return scan.type not in COUNTED

    # --- the phone --------------------------------------------------------------------------------------------------------

    def live(self) -> None:
        troubles = self._troubles
        if troubles.doze_every_s and not self.is_finished:
            if not self._doze_ms:
                self._doze_ms = self._next_ms(troubles.doze_every_s)
            if self.now_ms >= self._doze_ms:
                self._go_dark(self.now_ms + round(troubles.doze_s * 1000), "dozes")
                self._doze_ms = self._next_ms(troubles.doze_every_s)
            self.wake_at(self._doze_ms)
        if troubles.killed_every_s and not self.is_finished:
            if not self._killed_ms:
                self._killed_ms = self._next_ms(troubles.killed_every_s)
            if self.now_ms >= self._killed_ms:
                self.note("its app is killed")
                self.lose_memory(self.now_ms + round(troubles.killed_s * 1000))
                self._killed_ms = self._next_ms(troubles.killed_every_s)
            self.wake_at(self._killed_ms)
        if not self.radio.has_signal:
            if self.now_ms >= self._dark_until_ms:
                self.radio.find_signal("has a network again")
            else:
                self.wake_at(self._dark_until_ms)

    def _next_ms(self, every_s: float) -> int:
        return self.now_ms + round(1000 * every_s * (0.5 + self.rng.random()))

    def _go_dark(self, until_ms: int, why: str) -> None:
        self._dark_until_ms = max(self._dark_until_ms, until_ms)
        self.radio.lose_signal(why)

    # --- its user ---------------------------------------------------------------------------------------------------------

    def filters(self) -> tuple[str, ...]:
        return (self.topics.assignments(self.courier),)

    def on_message(self, topic: str, payload: bytes) -> None:
        """A job came, changed, or (an empty payload) closed."""
        if not payload:
            return
        job = encoding.decode(payload, Assignment)
        self.jobs[job.job] = job
        if job.state is JobState.ASSIGNED and (job.job, job.rev) not in self._claimed:
            self._claimed.add((job.job, job.rev))
            claim = Scan(type=EventType.CLAIM, body=bodies.Claim(job=job.job, rev=job.rev))
            self.begin(Chore(f"job {job.job}", [claim]))
        if job.state is JobState.ACCEPTED:
            for stop in job.stops:
                self._set_to_work(stop, [code for other in job.stops if other is not stop for code in other.codes])

    def give_up(self, chore: Chore, receipt: Receipt) -> None:
        """A claim that came too late is nothing lost: the job's next rev is on its way, another courier has it, or it was open for a moment only."""
        if receipt.outcome is not Outcome.LOST_CLAIM and receipt.reason is not Reason.JOB_CLOSED:
            super().give_up(chore, receipt)

    def _set_to_work(self, stop: Stop, beside: list[str]) -> None:
        """Begin the visits of a stop. `beside` are the labels of the parcels that lie beside its own."""
        for order in stop.orders:
            visit = self.visits.pop(order, None)
            if visit is None:
                continue
            steps = visiting(visit, stop, self._depot)
            if beside and self._troubles.wrong_parcel and self.rng.random() < self._troubles.wrong_parcel:
                steps.insert(0, Scan(type=EventType.PICKUP, order=order, code=beside[0]))
            self.begin(Chore(order, steps))

    def drive(self, chore: Chore, drive: Drive) -> bool:
        if chore.since_ms is None:
            chore.since_ms, chore.legs_done = self.now_ms, 0
        else:
            chore.legs_done += 1
            self._tell_where(drive, chore.legs_done)
        if chore.legs_done == LEGS:
            chore.since_ms = None
            return True
        if self._troubles.tunnel and self.rng.random() < self._troubles.tunnel:
            self._go_dark(self.now_ms + self.pause_ms(drive.ms / LEGS), "is in a tunnel")
            self.wake_at(self._dark_until_ms)
        chore.ready_ms = self.now_ms + self.pause_ms(drive.ms / LEGS)
        return False

    def _tell_where(self, drive: Drive, leg: int) -> None:
        """The fixes of one leg: a straight line with noise. Not kept without a network: a position is worth something only when it is fresh."""
        if not self.radio.is_online:
            return
        leg_ms = self.pause_ms(drive.ms / LEGS)
        points = [self._fix(drive, (leg - 1 + n / POINTS) / LEGS, self.mono_ms - leg_ms + leg_ms * n // POINTS) for n in range(1, POINTS + 1)]
        batch = LocationBatch(log=self.flash.log, boot=self.boot, sent_mono_ms=self.mono_ms, points=points)
        self.do(Publish(topic=self.topics.location(self.device), payload=encoding.encode(batch), qos=0))

    def _fix(self, drive: Drive, part: float, mono_ms: int) -> Point:
        lat, lon = (round(a + (b - a) * part + self.rng.gauss(0, NOISE_E7)) for a, b in zip(drive.start, drive.end, strict=True))
        return Point(mono_ms=max(0, mono_ms), lat_e7=lat, lon_e7=lon, accuracy_m=5, speed_dm_s=80)


def visiting(visit: Visit, stop: Stop, depot: tuple[int, int]) -> list[Step]:
    """The steps of a visit, parcel by parcel if the assignment has their codes."""
    one_each = len(stop.codes) == len(stop.parcels)
    named: list[Named] = [(None, c) for c in stop.codes] if one_each else [(p, None) for p in stop.parcels]
    if visit.labels:
        named = [(None, c) for c in visit.labels]
    steps: list[Step] = []
    for move in WAYS[visit.ending]:
        steps += _steps(move, visit, stop, named, depot)
    return [told for step in steps for told in _by_label(step, visit.labels)] if visit.labels else steps


def _by_label(step: Step, labels: tuple[str, ...]) -> list[Step]:
    """A scan that names no order: of its label, or of every parcel's."""
    if not isinstance(step, Scan):
        return [step]
    return [replace(step, order=None, code=label) for label in ((step.code,) if step.code is not None else labels)]


def _steps(move: Move, visit: Visit, stop: Stop, named: list[Named], depot: tuple[int, int]) -> list[Step]:
    match move:
        case Move.LOAD:
            return [Scan(type=EventType.PICKUP, order=visit.order, parcel=parcel, code=code) for parcel, code in named]
        case Move.SET_OUT:
            return [Scan(type=EventType.OUT_FOR_DELIVERY, order=visit.order)]
        case Move.DRIVE:
            arrived = Scan(type=EventType.STOP_ARRIVED, body=bodies.StopArrived(stop=stop.stop), order=visit.order)
            return [Drive(depot, visit.door, DRIVE_MS), arrived]
        case Move.HAND_OVER:
            return [Rest(AT_DOOR_MS), *_deliveries(visit, stop, named)]
        case Move.HAND_OVER_ONE:
            return [Rest(AT_DOOR_MS), *_deliveries(visit, stop, named[:1])]
        case Move.FIND_NOBODY:
            return [Rest(AT_DOOR_MS), Scan(type=EventType.ATTEMPT_FAILED, body=bodies.Because(reason=AttemptReason.NOT_HOME), order=visit.order)]
        case Move.BE_REFUSED:
            return [Rest(AT_DOOR_MS), Scan(type=EventType.REFUSED, body=bodies.Because(reason=RefusalReason.NOT_WANTED), order=visit.order)]
        case Move.WAIT:
            return [Rest(CHANGE_OF_HEART_MS)]
        case Move.BRING_BACK:
            start = Scan(type=EventType.RETURN_STARTED, body=bodies.Because(reason=ReturnReason.UNDELIVERABLE), order=visit.order)
            return [start, Drive(visit.door, depot, DRIVE_MS), Give(visit.back_to, Thing.RETURN)]


def _deliveries(visit: Visit, stop: Stop, named: list[Named]) -> list[Step]:
    """What is owed is collected with the first parcel."""
    owed = "collect_payment" in stop.handling
    collected = Collected(amount_minor=visit.amount_minor, currency=visit.currency, tender=Tender.CARD) if owed else None
    pod = ProofOfDelivery(method=PodMethod.PHOTO)
    said = [bodies.Delivery(pod=pod, collected=None if n else collected) for n in range(len(named))]
    return [Scan(type=EventType.DELIVERY, body=b, order=visit.order, parcel=p, code=c) for b, (p, c) in zip(said, named, strict=True)]
