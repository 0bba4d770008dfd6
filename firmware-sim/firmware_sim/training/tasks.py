"""The tasks of a training: what is to be told, and whether it was."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from devices.protocol.bodies import Body, Delivery, Labelled, Nothing, Pack, Pick, ProofOfDelivery, Stage
from devices.protocol.vocabulary import EventType, LabelKind, Outcome, PodMethod, Role, Warn
from firmware_sim.wares import gtin

SCANNER: Final = "trainee-scanner"
PHONE: Final = "trainee-phone"
COURIER: Final = "trainee"
DOCK: Final = "dock-1"
GOOD: Final = frozenset({Outcome.APPLIED, Outcome.NOOP, Outcome.LATE})
BAD: Final = frozenset({Outcome.REJECTED, Outcome.LOST_CLAIM, Outcome.BLOCKED})
ODD: Final = frozenset({Warn.TOO_MANY, Warn.NOT_ORDERED, Warn.MISLOAD})
"""Warnings that count as mistakes: a trainee who checks what they do never gets them."""


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
    """An order that is reserved for the trainee, and what is to be done with it. `is_held`: the shop holds it until the trainee has run into that."""

    order: str
    title: str
    lines: dict[str, int]
    steps: tuple[Step, ...]
    is_held: bool = False

    @property
    def job(self) -> str | None:
        """Its courier's job, if it has one."""
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
        Step(words=f"put the label {label} on it", type=EventType.LABELLED, body=Labelled(code=label, kind=LabelKind.WAYBILL)),
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
        Step(words="hand it over; proof is a photo", type=EventType.DELIVERY, body=Delivery(pod=ProofOfDelivery(method=PodMethod.PHOTO)), device=PHONE),
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


ROLES: Final = {SCANNER: (Role.SCANNER, None), PHONE: (Role.COURIER, COURIER)}
"""Whom a trainee is."""
