"""Practice: tasks for somebody with a scanner and a phone, what the bridge answered in words, and what it comes to. Nothing here prints."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import cbor2
from sqlalchemy import func, select

from bridge.store import tables as t
from devices.protocol import encoding
from devices.protocol.bodies import Body, Delivery, Labelled, Nothing, Pack, Pick, ProofOfDelivery, Stage
from devices.protocol.vocabulary import EventType, Next, Outcome, Reason, Role, Tone, Warn
from firmware_sim.errors import SimError
from firmware_sim.served import Site
from firmware_sim.workload import gtin

SCANNER: Final = "trainee-scanner"
PHONE: Final = "trainee-phone"
COURIER: Final = "trainee"
DOCK: Final = "dock-1"
GOOD: Final = frozenset({Outcome.APPLIED, Outcome.NOOP, Outcome.LATE})
BAD: Final = frozenset({Outcome.REJECTED, Outcome.LOST_CLAIM, Outcome.BLOCKED})
ODD: Final = frozenset({Warn.TOO_MANY, Warn.NOT_ORDERED, Warn.MISLOAD})
"""Warnings that whoever looks at what they do never hears."""
POINTS_A_MISTAKE: Final = 5

# --- words ---------------------------------------------------------------------------------------------------------------------

TONES: Final[dict[Tone, str]] = {
    Tone.OK: "a short beep: go on",
    Tone.WARN: "two beeps: look at the screen",
    Tone.STOP: "a long low tone: stop",
}
OUTCOMES: Final[dict[Outcome, str]] = {
    Outcome.APPLIED: "it counts",
    Outcome.NOOP: "true, and known already: nothing changes",
    Outcome.LATE: "it counts in its place in time; something newer is known",
    Outcome.PARKED: "it is kept, and waits for something that is not known yet",
    Outcome.BLOCKED: "it does not count now",
    Outcome.LOST_CLAIM: "somebody else has this job",
    Outcome.REJECTED: "it can never count",
}
REASONS: Final[dict[Reason, str]] = {
    Reason.MALFORMED: "the payload breaks the contract",
    Reason.UNKNOWN_TYPE: "there is no such event type",
    Reason.FORBIDDEN: "this device may not say that",
    Reason.ID_REUSED: "another event had this id, or this log and seq: each event has its own",
    Reason.UNREADABLE_CODE: "the code could not be read",
    Reason.CHECK_DIGIT: "the code's check digit is wrong",
    Reason.CONTAINER: "this is the label of a pallet, not of a parcel",
    Reason.WRONG_PARCEL: "this parcel belongs to another order",
    Reason.WRONG_SKU: "this is not the article that was said",
    Reason.ITEMS_NEEDED: "the order has several parcels: what is in this one?",
    Reason.PARCEL_NEEDED: "which parcel is it?",
    Reason.ORDER_NEEDED: "which order is it?",
    Reason.CODE_TAKEN: "another parcel has this label already",
    Reason.VOIDED: "it was taken back",
    Reason.VOID_OF_VOID: "what takes something back can't be taken back itself",
    Reason.NOT_YOURS: "that was told by another device",
    Reason.JOB_CLOSED: "the job is closed",
    Reason.TOO_MANY_EVENTS: "the order has too many events",
    Reason.POISON: "the bridge could not handle it, and says so",
    Reason.UNKNOWN_JOB: "there is no such job yet",
    Reason.UNKNOWN_ORDER: "there is no such order yet",
    Reason.UNKNOWN_PARCEL: "there is no such parcel yet",
    Reason.UNKNOWN_REFERENCE: "the event that it refers to has not come yet",
    Reason.HELD: "the shop holds the order",
    Reason.CANCELLED: "the order was cancelled",
    Reason.NEEDS_CONFIRM: "somebody must confirm the order first",
    Reason.STALE_REV: "the job has changed since",
    Reason.HELD_BY_ANOTHER: "another courier has the job",
}
INSTRUCTIONS: Final[dict[Next, str]] = {
    Next.WAIT: "wait: another receipt follows",
    Next.SET_ASIDE: "set it aside, and scan it again later",
    Next.CALL_DESK: "call the desk",
    Next.SCAN_AGAIN: "scan it again",
    Next.PUT_BACK: "put it back",
    Next.NAME_ITEMS: "name the items: body.items",
    Next.NAME_ORDER: "name the order",
    Next.SCAN_PARCEL: "scan the parcel's own label",
    Next.REFRESH_JOBS: "look at your jobs again",
    Next.UPDATE_FIRMWARE: "mend the firmware",
}
WARNINGS: Final[dict[Warn, str]] = {
    Warn.DOUBLE_SCAN: "the same scan, twice in a moment",
    Warn.MISLOAD: "this parcel is not where it belongs",
    Warn.INCOMPLETE: "the order is not complete",
    Warn.MOVED_ON_HOLD: "it moved while it was held",
    Warn.MOVED_AFTER_CANCEL: "it moved after it was cancelled",
    Warn.NOT_PAID: "it is not paid",
    Warn.NOT_DELIVERED: "it is not delivered",
    Warn.NOT_ORDERED: "nobody ordered this",
    Warn.TOO_MANY: "more than was ordered",
    Warn.CLOCK_JUMP: "the device's clock jumped",
}


def in_words(receipt: dict[str, Any]) -> str:
    """A receipt for a person: tone, what became of it, why, and what to do."""
    why = [REASONS[Reason(receipt["reason"])]] if "reason" in receipt else []
    why += [WARNINGS[Warn(w)] for w in receipt.get("warn", ())]
    said = f"{TONES[Tone(receipt['tone'])]}. {OUTCOMES[Outcome(receipt['outcome'])].capitalize()}"
    said += f": {'; '.join(why)}" if why else ""
    said += f" ({receipt['detail']})" if receipt.get("detail") else ""
    return f"{said}. {INSTRUCTIONS[Next(receipt['next'])].capitalize()}." if "next" in receipt else f"{said}."


# --- tasks ---------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """Something to tell. `qty` counts over several scans. `is_blocked`: it is to be refused for now."""

    words: str
    type: EventType
    body: Body = Nothing()  # noqa: RUF009 -- a frozen value
    device: str = SCANNER
    code: str | None = None
    sku: str | None = None
    qty: int = 1
    is_blocked: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """An order that is reserved for the trainee, and what is to be done with it. `is_held`: the shop holds it until somebody has run into that."""

    order: str
    title: str
    lines: dict[str, int]
    steps: tuple[Step, ...]
    is_held: bool = False

    @property
    def job(self) -> str | None:
        """Its courier's job, where it has one."""
        return f"J-{self.order}" if any(s.device == PHONE for s in self.steps) else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """Something that the trainee told, and the receipt that holds for it. `order` and `receipt` as the bridge has them."""

    pos: int
    device: str
    type: str
    order: str | None
    body: dict[str, Any]
    code: str | None
    receipt: dict[str, Any]

    def __str__(self) -> str:
        about = [self.body[k] for k in ("sku", "job", "dock", "code") if k in self.body]
        about += [f"× {self.body['qty']}"] if "qty" in self.body else []
        scanned = [self.code] if self.code and self.code not in about else []
        return " ".join(map(str, [self.type, *([self.order] if self.order else []), *about, *scanned]))


def plan(first: int, count: int) -> list[Task]:
    """Tasks from number `first` on: to pick and pack, then to deliver, then one that the shop holds, and again."""
    return [(_warehouse, _delivery, _held)[(n - 1) % 3](f"T-{n:03}", n) for n in range(first, first + count)]


def _bought(n: int) -> dict[str, int]:
    return {gtin(1_000 + n): 1 + n % 3, gtin(2_000 + n): 1}


def _picking(lines: dict[str, int]) -> list[Step]:
    return [Step(words=f"pick {q} × {sku}", type=EventType.PICK, body=Pick(sku=sku, qty=q, bin="A-01"), sku=sku, qty=q) for sku, q in lines.items()]


def _packing(order: str) -> list[Step]:
    label = f"WB-{order}"
    return [
        Step(words="pack all of it into one parcel", type=EventType.PACK, body=Pack(weight_g=900)),
        Step(words=f"put the label {label} on it", type=EventType.LABELLED, body=Labelled(code=label, kind="waybill")),
        Step(words=f"scan the label, and stage it at {DOCK}", type=EventType.STAGE, body=Stage(dock=DOCK), code=label),
    ]


def _warehouse(order: str, n: int) -> Task:
    lines = _bought(n)
    return Task(order=order, title="pick, pack, label, stage", lines=lines, steps=(*_picking(lines), *_packing(order)))


def _delivery(order: str, n: int) -> Task:
    lines = _bought(n)
    claim = Step(words=f"claim the job J-{order} (its rev stands in the assignment)", type=EventType.CLAIM, device=PHONE)
    rest = (
        Step(words="load the parcel: scan its label", type=EventType.PICKUP, device=PHONE, code=f"WB-{order}"),
        Step(words="set out", type=EventType.OUT_FOR_DELIVERY, device=PHONE),
        Step(words="hand it over; proof is a photo", type=EventType.DELIVERY, body=Delivery(pod=ProofOfDelivery(method="photo")), device=PHONE),
    )
    return Task(order=order, title="and with the phone: claim, load, deliver", lines=lines, steps=(*_picking(lines), *_packing(order), claim, *rest))


def _held(order: str, n: int) -> Task:
    lines = _bought(n)
    picks = _picking(lines)
    first = Step(words=f"try to {picks[0].words}, and hear what a hold sounds like", type=EventType.PICK, body=picks[0].body, sku=picks[0].sku, is_blocked=True)
    return Task(order=order, title="an order that is held", lines=lines, steps=(first, *picks, *_packing(order)), is_held=True)


def done(task: Task, told: Sequence[Told]) -> list[bool]:
    """Which steps of a task are done."""
    return [_is_done(task, step, told) for step in task.steps]


def _is_done(task: Task, step: Step, told: Sequence[Told]) -> bool:
    wanted = {Outcome.BLOCKED} if step.is_blocked else GOOD
    mine = [x for x in told if x.type == step.type and x.receipt["outcome"] in wanted and _is_about(task, x)]
    if step.type is EventType.PICK:
        least = 1 if step.is_blocked else step.qty
        picked: int = sum(x.body["qty"] for x in mine if x.body["sku"] == step.sku)
        return picked >= least
    return bool(mine)


def _is_about(task: Task, told: Told) -> bool:
    return told.order == task.order or (task.job is not None and told.body.get("job") == task.job)


def is_mistake(task: Task | None, told: Told) -> bool:
    """Whether something told was wrong. To run into the hold that the task is about is none."""
    if told.receipt["outcome"] not in BAD:
        return not ODD.isdisjoint(told.receipt.get("warn", ()))
    return not (task is not None and task.is_held and told.receipt["outcome"] == Outcome.BLOCKED and told.order == task.order)


# --- the course ----------------------------------------------------------------------------------------------------------------


@dataclass(slots=True, kw_only=True)
class Score:
    """What came of one task."""

    order: str
    title: str
    steps: int
    done: int = 0
    mistakes: int = 0
    seconds: float = 0.0

    @property
    def is_done(self) -> bool:
        return self.done == self.steps

    @property
    def points(self) -> int:
        """Of 100."""
        return max(0, round(100 * self.done / self.steps) - POINTS_A_MISTAKE * self.mistakes)


@dataclass(slots=True)
class News:
    """What is new since the last look: things told or answered anew, what was refused outright, and steps that are done now."""

    told: list[Told] = field(default_factory=list)
    refused: list[dict[str, Any]] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)


class Course:
    """Gives the tasks out, one after the other, and sees in the store what the trainee did."""

    def __init__(self, site: Site, tasks: Sequence[Task]) -> None:
        self.scores: list[Score] = []
        self.task: Task | None = None
        self._site = site
        self._tasks = list(tasks)
        self._answered: dict[int, int] = {}
        self._refused = len(self._refusals())
        self._from_pos = max((x.pos for x in self._told(0)), default=0)
        self._done: list[bool] = []
        self._released = False
        self._assigned = False
        self._began_s = 0.0

    @property
    def is_over(self) -> bool:
        return self.task is None and not self._tasks

    @property
    def next_task(self) -> Task:
        """What `begin` gives out."""
        return self._tasks[0]

    def begin(self) -> Task:
        """Create the next task's order, reserved for the trainee."""
        task = self.task = self._tasks.pop(0)
        self._site.create(task.order, task.lines)
        if task.is_held:
            self._site.tell("held", order=task.order, body={"reason": "address_check"})
        self.scores.append(Score(order=task.order, title=task.title, steps=len(task.steps)))
        self._done = [False] * len(task.steps)
        self._released = self._assigned = False
        self._began_s = time.monotonic()
        return task

    def look(self) -> News:
        """What is new. The shop does its part here: it lets go of what it held, and gives what is staged to the courier.

        Raises:
            SimError: where the site does not run any more.
        """
        if not self._site.is_running:
            raise SimError("the site ended by itself", fix="start the training again")
        news = News()
        told = self._told(self._from_pos)
        for x in told:
            if self._answered.get(x.pos, 0) < x.receipt["n"]:
                self._answered[x.pos] = x.receipt["n"]
                news.told.append(x)
        refusals = self._refusals()
        news.refused, self._refused = refusals[self._refused :], len(refusals)
        if self.task is not None:
            self._see(self.task, told, news)
        return news

    def _see(self, task: Task, told: list[Told], news: News) -> None:
        now = done(task, told)
        news.steps = [step for step, before, after in zip(task.steps, self._done, now, strict=True) if after and not before]
        self._done = now
        score = self.scores[-1]
        score.done = sum(now)
        score.mistakes += sum(is_mistake(task, x) for x in news.told) + len(news.refused)
        score.seconds = time.monotonic() - self._began_s
        if task.is_held and now[0] and not self._released:
            self._released = True
            self._site.tell("released", order=task.order, body={"reason": "address_check"})
        if task.job is not None and not self._assigned and all(d for d, s in zip(now, task.steps, strict=True) if s.device == SCANNER):
            self._assigned = True
            self._site.assign(task.order, COURIER, job=task.job)
        if score.is_done:
            self.task = None

    def _told(self, after: int) -> list[Told]:
        order = func.coalesce(t.events.c.order_id, t.placed.c.order_id).label("order")
        query = (
            select(t.events.c.pos, t.events.c.device, t.events.c.type, t.events.c.code, t.events.c.payload, order, t.receipts.c.payload.label("receipt"))
            .join(t.receipts, t.receipts.c.pos == t.events.c.pos)
            .join(t.placed, t.placed.c.pos == t.events.c.pos, isouter=True)
            .where(t.events.c.device.in_((SCANNER, PHONE)), t.events.c.pos > after)
            .order_by(t.events.c.pos)
        )
        with self._site.reader.connect() as connection:
            return [
                Told(
                    pos=row.pos,
                    device=row.device,
                    type=row.type,
                    order=row.order,
                    code=row.code,
                    body=encoding.load(row.payload)["body"],
                    receipt=cbor2.loads(row.receipt),
                )
                for row in connection.execute(query)
            ]

    def _refusals(self) -> list[dict[str, Any]]:
        """What never became an event."""
        return [row for device in (SCANNER, PHONE) for row in self._site.refused(device) if row["pos"] is None]


ROLES: Final = {SCANNER: (Role.SCANNER, None), PHONE: (Role.COURIER, COURIER)}
"""Whom a trainee is."""
