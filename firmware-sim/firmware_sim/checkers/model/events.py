"""The stored events of an order, what their devices must be told, and the order in which they are read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

Uid = tuple[str, bytes]
"""(device, id): an event's identity within a site."""


class Happened(NamedTuple):
    """A stored event of one order, its body plain. `courier` is who the phone belongs to; `terms` is the rule for unpaid orders at its creation; `article` is
    the SKU of what a pick scanned, fixed when it arrived, if the site knew its code; `carrier` is the carrier that it means, if it was fixed then.

    `refusal` is why it can't count here, by the law of codes; `inside` are the codes of this order's parcels in the container that was scanned; None if it
    scanned none.
    """

    device: str
    role: str
    type: str
    log: bytes
    seq: int
    id: bytes
    event_ms: int
    received_ms: int
    body: Mapping[str, Any]
    parcel: str | None = None
    code: str | None = None
    at: str | None = None
    fault: str | None = None
    courier: str | None = None
    terms: str | None = None
    article: str | None = None
    seq_reused: bool = False
    carrier: str | None = None
    refusal: str | None = None
    inside: tuple[str, ...] | None = None

    @property
    def uid(self) -> Uid:
        return (self.device, self.id)


class Answer(NamedTuple):
    """What the device must be told: `taken` stands for applied, late and noop; `moved` says that states or flags changed, so that noop would be wrong."""

    outcome: str
    reason: str | None = None
    moved: bool = False


class Refused(Exception):
    """An event that the contract does not let count."""

    def __init__(self, outcome: str, reason: str) -> None:
        self.answer = Answer(outcome, reason)


def voids(events: Sequence[Happened]) -> tuple[dict[Uid, Answer], set[Uid]]:
    """`void` {ref}: own events, or desk and system; removes `ref` before sorting; cannot itself be voided."""
    answers: dict[Uid, Answer] = {}
    gone: set[Uid] = set()
    for void in (e for e in events if e.type == "void"):
        if void.fault:
            answers[void.uid] = Answer("rejected", void.fault)
            continue
        meant = [e for e in events if e.id == void.body["ref"] and e.type != "decided"]
        theirs = [e for e in meant if e.device == void.device or void.role in ("desk", "system")]
        if not meant:
            answers[void.uid] = Answer("parked", "unknown_reference")
        elif any(e.type == "void" for e in meant):
            answers[void.uid] = Answer("rejected", "void_of_void")
        elif not theirs:
            answers[void.uid] = Answer("rejected", "not_yours")
        else:
            answers[void.uid] = Answer("taken")
            gone |= {e.uid for e in theirs}
    return answers | {uid: Answer("rejected", "voided") for uid in gone}, gone


def in_order(events: Sequence[Happened]) -> list[Happened]:
    """Sort key (order_ms, device, log, seq, id); the creation is told first. A number that another event had before orders nothing."""
    latest: dict[Uid, int] = {}
    highest: dict[tuple[str, bytes], int] = {}
    for e in sorted(events, key=lambda e: e.seq):
        ms = e.event_ms
        if e.role in ("scanner", "courier") and not e.seq_reused:
            ms = highest[(e.device, e.log)] = max(ms, highest.get((e.device, e.log), 0))
        latest[e.uid] = ms
    return sorted(events, key=lambda e: (e.type != "created", latest[e.uid], e.device, e.log, e.seq, e.id))
