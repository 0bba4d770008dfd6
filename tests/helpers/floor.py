"""`Floor`: a warehouse, its shop, its couriers and its carriers, in the words of a shift leader.

Everybody has a name, and a verb of theirs is an event type: `packer.pack("A", items={"pen": 1})`, `anna.pickup("A")`. What they are told is an `Answer`; what
stands about an order is one line, such as `partially_packed (short)`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Any, Final, NamedTuple

import cbor2

from bridge.domain.access import may_send
from bridge.ingest.items import Incoming
from devices.protocol.vocabulary import EventType
from helpers.bench import Bench
from helpers.events import BOOT_MS, IDENTITIES, TOPICS, event_id

MINUTE_MS: Final = 60_000
HOUR_MS: Final = 60 * MINUTE_MS
DAY_MS: Final = 24 * HOUR_MS
NAMES: Final[Mapping[str, str]] = MappingProxyType(
    {"shop": "shop1", "carrier": "shop1", "desk": "desk", "picker": "scan-1", "packer": "scan-2", "dock": "scan-1", "anna": "phone-anna", "ben": "phone-ben"}
)
"""The device with which each of them works. A carrier's feed comes in as a system's events."""
USUAL: Final[Mapping[str, Mapping[str, Any]]] = MappingProxyType(
    {
        "pick": {"qty": 1},
        "stage": {"dock": "d1"},
        "load": {"vehicle": "v1"},
        "depart": {"hub": "AMS"},
        "arrive": {"hub": "AMS"},
        "delivery": {"pod": {"method": "code"}},
        "attempt_failed": {"reason": "not_home"},
        "refused": {"reason": "not_wanted"},
        "return_started": {"reason": "not_wanted"},
        "returned": {"dock": "r1"},
        "damaged": {"severity": "major"},
        "cancelled": {"reason": "customer_request"},
        "unpack": {"reason": "wrong_item"},
        "labelled": {"kind": "waybill"},
    }
)
"""What a body says unless a test says otherwise."""
_BESIDE_BODY: Final = frozenset({"parcel", "code", "at", "by", "at_ms", "mono_ms", "boot", "sent_mono_ms", "tz_min", "seq"})


class Answer(NamedTuple):
    """What a worker hears and reads after a scan."""

    outcome: str
    tone: str
    reason: str | None = None
    next: str | None = None
    warn: tuple[str, ...] = ()


FINE: Final = Answer("applied", "ok")
KNOWN: Final = Answer("noop", "ok")
LATE: Final = Answer("late", "ok")


def odd(*warn: str) -> Answer:
    """It counts; something is odd."""
    return Answer("applied", "warn", warn=warn)


def stop(*warn: str, then: str | None = None) -> Answer:
    """It counts, because it happened; a person must act."""
    return Answer("applied", "stop", None, then, warn)


def refused(reason: str, then: str) -> Answer:
    return Answer("rejected", "stop", reason, then)


def blocked(reason: str, then: str) -> Answer:
    return Answer("blocked", "stop", reason, then)


def waits(reason: str, then: str) -> Answer:
    return Answer("parked", "warn", reason, then)


def answer_of(receipt: Mapping[str, Any]) -> Answer:
    return Answer(receipt["outcome"], receipt["tone"], receipt.get("reason"), receipt.get("next"), tuple(receipt.get("warn", ())))


class Person:
    """Someone on the floor. Every event type is a verb: `person.load("A", code="WB-1")` sends it, and returns the answer."""

    def __init__(self, floor: Floor, device: str) -> None:
        self._floor = floor
        self.device = device

    def __getattr__(self, verb: str) -> Callable[..., Answer]:
        if verb not in list(EventType):
            raise AttributeError(verb)
        return partial(self._floor.say, self, verb)

    def hears(self) -> list[Answer]:
        """The answer that holds now for each of their events."""
        latest = {r["seq"]: r for r in self._floor.receipts(self.device)}
        return [answer_of(latest[seq]) for seq in sorted(latest)]

    def takes_back(self, verb: str) -> Answer:
        """Voids their last event of this type."""
        ((seq,),) = self._floor.rows("SELECT max(seq) FROM events WHERE device = ? AND type = ?", self.device, verb)
        return self._floor.say(self, "void", ref=event_id(self.device, seq), reason="did_not_occur")


class Floor(Bench):
    """See the module's docstring. `last` is the last receipt in full."""

    def __init__(self, path: Path, **rules: Any) -> None:
        super().__init__(path, **rules)
        people = {name: Person(self, device) for name, device in NAMES.items()}
        self.shop, self.carrier, self.desk = people["shop"], people["carrier"], people["desk"]
        self.picker, self.packer, self.dock = people["picker"], people["packer"], people["dock"]
        self.anna, self.ben = people["anna"], people["ben"]
        self.last: dict[str, Any] = {}

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """However a story ends, the log tells the same one again."""
        changed = self.rebuild().changed if kind is None else []
        super().__exit__(kind, error, trace)
        assert changed == []

    # what happens

    def order(self, *orders: str, lines: Mapping[str, int] = MappingProxyType({"mug": 1, "pen": 1}), **body: Any) -> None:
        """A shop's orders, paid for unless the recipient pays."""
        self.create(*orders, lines=listed(lines), **body)

    def packed(self, order: str, *parcels: str, **body: Any) -> None:
        """An order in these parcels, an article in each; the label of parcel a is WB-A."""
        self.order(order, lines={f"article-{p}": 1 for p in parcels}, **body)
        for parcel in parcels:
            assert self.packer.pack(order, items={f"article-{parcel}": 1}, parcel=parcel, code=label(parcel)) == FINE

    def on_the_road(self, order: str, *parcels: str, **body: Any) -> None:
        """An order whose parcels Anna has in her van."""
        self.packed(order, *parcels, **body)
        for parcel in parcels:
            assert self.anna.pickup(code=label(parcel)) == FINE
            assert self.anna.out_for_delivery(code=label(parcel)) == FINE

    def say(self, person: Person, verb: str, order: str | None = None, **fields: Any) -> Answer:
        """Someone sends an event now; its fields may be told without saying which of them belong to the body."""
        self.last = self.send(self.made(person, verb, order, **fields))[0]
        return answer_of(self.last)

    def made(self, person: Person, verb: str, order: str | None = None, **fields: Any) -> Incoming:
        """An event that is ready to be sent. Only what the front door lets through is a story."""
        assert may_send(IDENTITIES[person.device].role, verb).allowed, f"{person.device} does not send {verb}"
        beside = {k: fields.pop(k) for k in list(fields) if k in _BESIDE_BODY and not (verb == "labelled" and k == "code")}
        if "at_ms" in beside:
            beside.setdefault("sent_mono_ms", self.now_ms - BOOT_MS)
        body = {**USUAL.get(verb, {}), **fields}
        for name in ("items", "lines"):
            if name in body:
                body[name] = listed(body[name])
        return self.draft(person.device, verb, order, body, **beside)

    def wait(self, ms: int) -> None:
        """Time passes, and the bridge looks at what is due."""
        self.sweep(after_ms=ms)

    # what is seen

    def state(self, order: str) -> str:
        """An order's state with its flags."""
        return _line(self.status(order))

    def parcel(self, order: str, parcel: str) -> str:
        """A parcel's state with its flags."""
        return _line(self.parcel_status(order, parcel))

    def parcel_status(self, order: str, parcel: str) -> dict[str, Any]:
        shown = self.show(TOPICS.parcel(order, parcel))
        assert shown is not None, f"{parcel} of {order} is not shown"
        return shown

    def alerts(self, *subjects: str) -> set[str]:
        """The alerts that stand, about these subjects or all."""
        standing = [cbor2.loads(p) for t, p in self.retained.items() if "/alerts/" in t and p]
        assert all(a["text"] and a["fix"] for a in standing), "an alert says what is wrong and what to do"
        return {a["code"] for a in standing if not subjects or a["subject"] in subjects}

    def milestones(self, order: str) -> dict[str, int]:
        """When an order reached each state, in ms; what is only inferred is left out."""
        return {m["state"]: m["at_ms"] for m in self.status(order)["milestones"] if not m.get("inferred")}

    def left(self) -> dict[str, int]:
        """What the last receipt says is left to pick."""
        return {line["sku"]: line["qty"] for line in self.last.get("left", ())}

    def task(self, courier: str, job: str) -> list[str] | None:
        """The parcels of a job on a courier's phone; None if the phone shows no such job."""
        shown = self.show(TOPICS.assignment(courier, job))
        return None if shown is None else [parcel for stop in shown["stops"] for parcel in stop["parcels"]]


def label(parcel: str) -> str:
    """The label that `Floor.packed` sticks on a parcel."""
    return f"WB-{parcel.upper()}"


def listed(quantities: Mapping[str, int]) -> list[dict[str, Any]]:
    """(sku → qty) as an event's lines."""
    return [{"sku": sku, "qty": qty} for sku, qty in quantities.items()]


def _line(status: Mapping[str, Any]) -> str:
    flags = ", ".join(sorted(status["flags"]))
    return f"{status['state']} ({flags})" if flags else str(status["state"])
