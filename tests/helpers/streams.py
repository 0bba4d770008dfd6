"""Random streams of stored events about codes: labels, boxes, totes and orders of a small site, and everything that goes wrong with them.

A stream fixes what is fixed at arrival: event_ms, received_ms, device, log, seq and id of every event. `arrivals` changes only what must not matter:
the order in which events are committed, and how they are cut into batches.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from enum import StrEnum
from typing import Any, Final, NamedTuple

from devices.ids import uuid7

MINUTE_MS: Final = 60_000
HOUR_MS: Final = 60 * MINUTE_MS
DAY_MS: Final = 24 * HOUR_MS
T0_MS: Final = 1_790_000_000_000
"""Day 0 of every stream, in ms since 1970."""

CLOCK_STEP_MS_MAX: Final = 3 * HOUR_MS
"""So far back a device's clock may jump between two of its events."""

CONTAINERS: Final = (r"^CAGE-", r"^TOTE-", r"^PAL-")
"""The patterns of containers on these sites."""

ROLE_OF: Final[dict[str, str]] = {
    "shop": "system",
    "carrier": "system",
    "desk": "desk",
    "scanner-1": "scanner",
    "scanner-2": "scanner",
    "scanner-3": "scanner",
    "phone-1": "courier",
    "phone-2": "courier",
}
"""All devices of a stream."""

SCANNERS, PHONES = ("scanner-1", "scanner-2", "scanner-3"), ("phone-1", "phone-2")

ARTICLE: Final = "4006381333931"
ORDER_LIKE_AN_ARTICLE: Final = "96385074"
"""One order number of eight digits in ten has the check digit of a GTIN-8."""

PLAIN_BODY: Final[dict[str, dict[str, Any]]] = {
    "created": {"channel": "shop1", "lines": [{"sku": ARTICLE, "qty": 2}], "allow_partial": True, "payment": "prepaid"},
    "held": {"reason": "fraud"},
    "released": {"reason": "fraud"},
    "cancelled": {"reason": "customer"},
    "pick": {"sku": ARTICLE, "qty": 1},
    "pack": {"items": [{"sku": ARTICLE, "qty": 1}]},
    "unpack": {"reason": "damaged_box"},
    "stage": {"dock": "dock-3"},
    "load": {"vehicle": "van-7"},
    "unload": {},
    "depart": {"hub": "SHA"},
    "arrive": {"hub": "AMS"},
    "customs_entered": {"country": "NL", "direction": "import"},
    "customs_cleared": {"country": "NL"},
    "pickup": {},
    "out_for_delivery": {},
    "attempt_failed": {"reason": "closed"},
    "available_for_pickup": {"point": "kiosk"},
    "delivery": {"pod": {"method": "scan"}},
    "refused": {"reason": "not_ordered"},
    "return_started": {"reason": "too_small"},
    "returned": {"dock": "R1"},
    "damaged": {"severity": "minor"},
    "lost": {},
    "found": {},
    "destroyed": {"reason": "mould"},
    "void": {"reason": "did_not_occur"},
}
"""A body that the contract accepts, for each type that a stream or a situation has. Labels, containers and voids add their own fields."""

SCANNER_STEPS: Final = ("stage", "load", "unload", "depart", "arrive", "returned", "delivery", "damaged", "lost", "found", "destroyed", "customs_cleared")
PHONE_STEPS: Final = ("pickup", "out_for_delivery", "delivery", "delivery", "attempt_failed", "refused", "return_started", "available_for_pickup", "returned")


class Stored(NamedTuple):
    """An event with all that was fixed when it arrived. `order`, `parcel` and `code` are what the device said; `body` is plain."""

    device: str
    role: str
    type: str
    log: bytes
    seq: int
    id: bytes
    event_ms: int
    received_ms: int
    order: str | None
    parcel: str | None
    code: str | None
    body: Mapping[str, Any]
    fault: str | None = None


class Mix(StrEnum):
    """What a stream is made of."""

    ORDINARY = "ordinary"
    """Orders on their way, each with one trouble or none."""
    HOSTILE = "hostile"
    """Any event with any code, at any time."""


def stream(seed: int, mix: Mix) -> list[Stored]:
    """The events of one site, sorted by event_ms."""
    return _MAKERS[mix](_Writer(random.Random(f"{mix} {seed}"), f"{mix} {seed}")).stored()


def arrivals(events: Sequence[Stored], rng: random.Random) -> Iterator[list[list[Stored]]]:
    """Endless ways in which the same events can be committed: batches of a random sequence, of every event alone, of all at once, of device after device."""
    yield [list(events)]
    yield [[e] for e in sorted(events, key=lambda e: (e.received_ms, e.id))]
    yield [[e] for e in reversed(events)]
    yield [[e for e in events if e.device == device] for device in rng.sample(sorted(ROLE_OF), len(ROLE_OF))]
    while True:
        yield _batches(rng.sample(events, len(events)), rng)


def _batches(events: list[Stored], rng: random.Random) -> list[list[Stored]]:
    cuts = sorted(rng.sample(range(1, len(events)), min(len(events) - 1, rng.randrange(12))))
    return [events[a:b] for a, b in zip([0, *cuts], [*cuts, len(events)], strict=True)]


def log_of(device: str) -> bytes:
    """The log of a device's only outbox."""
    return hashlib.sha256(device.encode()).digest()[:8]


def sscc(serial: int) -> str:
    """An SSCC of one company, with its check digit (GS1 General Specifications, section 7.9)."""
    digits = f"34012345{serial:09}"
    return digits + str(-sum(int(digit) * (1 if place % 2 else 3) for place, digit in enumerate(digits)) % 10)


# --- writing events -------------------------------------------------------------------------------------------------------


class _Writer:
    """Writes events down; `stored` numbers them. Chance comes from the seed alone."""

    def __init__(self, rng: random.Random, name: str) -> None:
        self.rng = rng
        self.name = name
        self.drafts: list[Stored] = []

    def tell(self, device: str, event_type: str, ms: int, order: str | None = None, **said: Any) -> Stored:
        """One event. `said` has parcel, code and fault; everything else is a field of the body, `label` the code of a `labelled`."""
        parcel, code, fault, label = (said.pop(name, None) for name in ("parcel", "code", "fault", "label"))
        body = {**PLAIN_BODY.get(event_type, {}), **{k: v for k, v in said.items() if v is not None}, **({} if label is None else {"code": label})}
        event_id = uuid7(ms, hashlib.sha256(f"{self.name} {len(self.drafts)}".encode()).digest()[:10])
        draft = Stored(device, ROLE_OF[device], event_type, log_of(device), 0, event_id, ms, ms + self._delay_ms(), order, parcel, code, body, fault)
        self.drafts.append(draft)
        return draft

    def void(self, target: Stored, device: str, ms: int) -> Stored:
        return self.tell(device, "void", ms, ref=target.id)

    def stored(self) -> list[Stored]:
        """Every device numbers its events in the order of time, but for a few that a clock set back puts in another order."""
        seqs: dict[str, int] = {}
        numbered = []
        for draft in sorted(self.drafts, key=self._recorded):
            seqs[draft.device] = seqs.get(draft.device, 0) + 1
            numbered.append(draft._replace(seq=seqs[draft.device]))
        return sorted(numbered, key=lambda e: (e.event_ms, e.id))

    def _recorded(self, draft: Stored) -> tuple[int, bytes]:
        shift_ms = self.rng.randrange(CLOCK_STEP_MS_MAX) if self.rng.random() < 0.05 else 0
        return (draft.event_ms - shift_ms, draft.id)

    def _delay_ms(self) -> int:
        """Mostly at once; sometimes hours later, sometimes after days without a network."""
        return self.rng.choice((300, 300, 300, 900, 2_000, 5 * MINUTE_MS, 6 * HOUR_MS, 5 * DAY_MS))


# --- the ordinary mix -----------------------------------------------------------------------------------------------------


class _Shift:
    """Some orders on their way through one site."""

    def __init__(self, w: _Writer) -> None:
        self.w = w
        self.rng = w.rng
        self.orders = [f"PO-{n}" for n in range(1, self.rng.randint(3, 5))]
        self.labels: dict[str, str] = {}

    def work(self) -> None:
        for n, order in enumerate(self.orders):
            begin_ms = T0_MS + n * self.rng.choice((MINUTE_MS, HOUR_MS, 2 * DAY_MS, 40 * DAY_MS))
            self._order(order, f"WB-{n}", begin_ms)
        if self.rng.random() < 0.6:
            self._cage(T0_MS + 2 * DAY_MS)
        if self.rng.random() < 0.3:
            self.w.void(self.rng.choice(self.w.drafts), self.rng.choice(("desk", *SCANNERS)), T0_MS + 3 * DAY_MS)

    def _order(self, order: str, label: str, ms: int) -> None:
        w, rng, scanner = self.w, self.rng, self.rng.choice(SCANNERS)
        if rng.random() < 0.3:
            label = f"(00){sscc(int(label[-1]))}"
        w.tell("shop", "created", ms - rng.choice((HOUR_MS, DAY_MS, -2 * DAY_MS)), order)
        w.tell(scanner, "pick", ms, order, code=ARTICLE if rng.random() < 0.5 else None)
        if rng.random() < 0.5:
            w.tell(scanner, "pack", ms + MINUTE_MS, order, code=label)
        else:
            for kind in rng.sample(("pack", "label"), 2):
                ms += MINUTE_MS
                if kind == "pack":
                    w.tell(scanner, "pack", ms, order)
                else:
                    w.tell(scanner, "labelled", ms, order, kind="waybill", label=label)
        self.labels[order] = label
        ms = TROUBLES[rng.randrange(len(TROUBLES))](self, order, ms + HOUR_MS)
        label = self.labels[order]
        spelled = label.replace("(00)", rng.choice(("00", "", "https://id.example/00/")))
        for step, device in (*((step, scanner) for step in ("stage", "load", "depart", "arrive")), ("pickup", "phone-1"), ("delivery", "phone-1")):
            ms += rng.choice((MINUTE_MS, HOUR_MS, DAY_MS))
            if rng.random() < 0.7:
                w.tell(device, step, ms - rng.choice((0, 0, 2_000)), order if rng.random() < 0.2 else None, code=rng.choice((label, spelled)))

    def _cage(self, ms: int) -> None:
        """The same cage, filled twice and perhaps never emptied on paper."""
        for order in self.rng.sample(self.orders, len(self.orders)):
            label = self.rng.choice((self.labels[order], order, f"BAG-{order}"))
            self.w.tell("scanner-2", "aggregated", ms, parent="CAGE-1", children=[label])
            ms += self.rng.choice((2 * MINUTE_MS, HOUR_MS, 6 * HOUR_MS))
            for step in self.rng.sample(("load", "depart", "arrive", "unload"), 2):
                self.w.tell("scanner-3", step, ms, code="CAGE-1")
                ms += self.rng.choice((MINUTE_MS, HOUR_MS))
            ms += self.rng.choice((MINUTE_MS, 3 * HOUR_MS, 5 * HOUR_MS))
        if self.rng.random() < 0.5:
            self.w.tell("scanner-2", "disaggregated", ms, parent="CAGE-1", all=True)
            self.w.tell("scanner-3", "arrive", ms + HOUR_MS, code="CAGE-1")

    # one trouble of an order's way each: they return the time at which it goes on

    def no_trouble(self, order: str, ms: int) -> int:
        return ms

    def relabelled(self, order: str, ms: int) -> int:
        """The old label stays visible, and the hub knows the order or only the old label."""
        old, new = self.labels[order], f"NEW-{order}"
        self.w.tell("scanner-2", "labelled", ms, self.rng.choice((order, None)), kind="plain", replaces=old, label=new)
        self.w.tell("scanner-3", "arrive", ms + HOUR_MS, code=old)
        self.labels[order] = new
        return ms + DAY_MS

    def second_label(self, order: str, ms: int) -> int:
        self.w.tell("scanner-1", "labelled", ms, order, kind="sscc", label=sscc(1_000))
        self.w.tell("scanner-3", "arrive", ms + HOUR_MS, code=sscc(1_000))
        return ms + DAY_MS

    def wrong_label(self, order: str, ms: int) -> int:
        """Another order's label is put on it, or its box is scanned by another order's pack."""
        other = self.rng.choice(self.orders)
        if self.rng.random() < 0.5:
            self.w.tell("scanner-1", "labelled", ms, other, kind="plain", label=self.labels[order])
        else:
            self.w.tell("scanner-1", "pack", ms, other, code=self.labels[order])
        return ms + MINUTE_MS

    def wrong_order(self, order: str, ms: int) -> int:
        """A custody scan names another order than the code's."""
        self.w.tell("scanner-2", "load", ms + self.rng.choice((-HOUR_MS - 2_000, 0)), self.rng.choice(self.orders), code=self.labels[order])
        return ms + MINUTE_MS

    def packed_again(self, order: str, ms: int) -> int:
        named = self.rng.choice(("code", "order", "parcel"))
        parcel = next((f"p-{e.id.hex()}" for e in self.w.drafts if e.type == "pack" and e.order == order), None)
        said = {"code": self.labels[order]} if named == "code" else {"parcel": parcel} if named == "parcel" else {}
        self.w.tell("scanner-1", "unpack", ms, order, **said)
        self.w.tell("scanner-1", "pack", ms + HOUR_MS, self.rng.choice(self.orders), code=self.labels[order])
        return ms + DAY_MS

    def used_again(self, order: str, ms: int) -> int:
        """Delivered, and weeks or months later the same number is packed, labelled or named again."""
        self.w.tell("phone-2", "delivery", ms, order if self.rng.random() < 0.5 else None, code=self.labels[order] if self.rng.random() < 0.7 else None)
        ms += self.rng.choice((2, 29, 31, 45, 100, 179, 181, 300)) * DAY_MS
        self.w.tell("scanner-3", "stage", ms - self.rng.choice((2_000, DAY_MS)), code=self.labels[order])
        kind = self.rng.choice(("pack", "load"))
        self.w.tell("scanner-1", kind, ms, self.rng.choice(self.orders), code=self.labels[order])
        return ms + HOUR_MS

    def returned(self, order: str, ms: int) -> int:
        self.w.tell("phone-1", "delivery", ms, code=self.labels[order])
        ms += self.rng.choice((2, 40)) * DAY_MS
        self.w.tell("scanner-1", "returned", ms, code=self.labels[order])
        self.w.tell("scanner-1", "labelled", ms + 2 * DAY_MS, self.rng.choice(self.orders), kind="plain", label=self.labels[order])
        return ms + 3 * DAY_MS

    def stopped(self, order: str, ms: int) -> int:
        self.w.tell("desk", self.rng.choice(("held", "cancelled")), ms, order)
        self.w.tell("scanner-2", "pack", ms + HOUR_MS, self.rng.choice(self.orders), code=self.labels[order])
        return ms + DAY_MS

    def cross_docked(self, order: str, ms: int) -> int:
        """Number of another carrier, known only by the orders that are named beside it."""
        for nth in range(self.rng.randint(1, 3)):
            self.w.tell("scanner-2", "load", ms + nth * HOUR_MS, self.rng.choice(self.orders), code="XD-1")
            self.w.tell("scanner-3", "arrive", ms + nth * HOUR_MS + self.rng.choice((-2_000, MINUTE_MS, 2 * DAY_MS)), code="XD-1")
        return ms + DAY_MS

    def mistake_voided(self, order: str, ms: int) -> int:
        mistake = self.w.tell("scanner-1", "labelled", ms, self.rng.choice(self.orders), kind="plain", label=self.labels[order])
        self.w.tell("scanner-3", "load", ms + MINUTE_MS, code=self.labels[order])
        self.w.void(mistake, self.rng.choice(("scanner-1", "scanner-2", "desk")), ms + HOUR_MS)
        return ms + DAY_MS


TROUBLES: Final[tuple[Callable[[_Shift, str, int], int], ...]] = (
    *(_Shift.no_trouble, _Shift.relabelled, _Shift.second_label, _Shift.wrong_label, _Shift.wrong_order, _Shift.packed_again),
    *(_Shift.used_again, _Shift.used_again, _Shift.returned, _Shift.stopped, _Shift.cross_docked, _Shift.mistake_voided),
)


# --- the hostile mix ------------------------------------------------------------------------------------------------------


class _Chaos:
    """Few codes and few orders, so that everything meets."""

    def __init__(self, w: _Writer) -> None:
        self.w = w
        self.rng = w.rng
        self.orders = ["A", "B", self.rng.choice(("C", ORDER_LIKE_AN_ARTICLE))][: self.rng.randint(2, 3)]
        self.labels = ["L1", "L2", "XD-1", f"(00){sscc(1)}", ARTICLE][: self.rng.randint(1, 5)]
        self.boxes = ["CAGE-1", "TOTE-1", "PAL-1", "L1"][: self.rng.randint(1, 4)]
        self.span_ms = self.rng.choice((HOUR_MS, DAY_MS, 12 * DAY_MS, 80 * DAY_MS, 500 * DAY_MS))

    def work(self) -> None:
        for order in self.orders:
            if self.rng.random() < 0.9:
                self.w.tell("shop", "created", T0_MS + self._chance_ms(-1, 0.3), order)
        if self.rng.random() < 0.04:
            self._shelf()
        for _ in range(self.rng.randint(6, 26)):
            kind = self.rng.choice(HOSTILE)
            kind(self, self._ms())

    def _ms(self) -> int:
        """Anywhere; or beside another event: at the same millisecond, seconds, minutes or days from it."""
        if self.w.drafts and self.rng.random() < 0.5:
            near = self.rng.choice((0, 0, 2_000, 9 * MINUTE_MS, HOUR_MS, 5 * HOUR_MS, 6 * DAY_MS, 8 * DAY_MS, 31 * DAY_MS, 181 * DAY_MS))
            return self.rng.choice(self.w.drafts).event_ms + near * self.rng.choice((-1, 1, 1))
        return T0_MS + self._chance_ms(0, 1)

    def _chance_ms(self, low: float, high: float) -> int:
        return int(self.span_ms * self.rng.uniform(low, high))

    def _order(self, share_named: float) -> str | None:
        if self.rng.random() >= share_named:
            return None
        return self.rng.choice(self.orders) if self.rng.random() < 0.95 else "X"

    def _code(self) -> str:
        text = self.rng.choice(self.labels if self.rng.random() < 0.8 else self.orders)
        if text.startswith("(00)"):
            return text.replace("(00)", self.rng.choice(("(00)", "00", "", "https://id.example/00/")))
        return text if text != ARTICLE else self.rng.choice((text, "0" + text))

    def _parcel(self) -> str | None:
        """Mostly none; else a name, or the id that a pack of this stream derives."""
        packs = [f"p-{e.id.hex()}" for e in self.w.drafts if e.type == "pack"]
        return self.rng.choice((None, None, None, "p1", "p2", *packs))

    def label(self, ms: int) -> None:
        replaces = self._code() if self.rng.random() < 0.35 else None
        kind = self.rng.choice(("plain", "plain", "waybill", "sscc"))
        order, label = self._order(0.8), self._code() if self.rng.random() < 0.95 else "TOTE-1"
        self.w.tell(self.rng.choice(SCANNERS), "labelled", ms, order, parcel=self._parcel(), kind=kind, replaces=replaces, label=label)

    def relabel(self, ms: int) -> None:
        """A new label over one that was stuck before, and a scan of the old one."""
        before = [(e.order, e.body.get("code") or e.code) for e in self.w.drafts if e.type in ("labelled", "pack") and e.order]
        order, old = self.rng.choice(before or [(self.orders[0], self._code())])
        self.w.tell(
            self.rng.choice(SCANNERS),
            "labelled",
            ms,
            self.rng.choice((order, None)),
            kind="plain",
            replaces=old,
            label=self.rng.choice(("NEW-1", self._code())),
        )
        self.w.tell(self.rng.choice(SCANNERS), "arrive", ms + self.rng.choice((-2_000, HOUR_MS, DAY_MS)), code=old)

    def at_once(self, ms: int) -> None:
        """Two devices tell of one code in the same millisecond: it is taken or freed, and scanned beside an order."""
        code, order = self._code(), self.rng.choice(self.orders)
        self.w.tell("scanner-2", self.rng.choice(("pack", "unpack", "unpack")), ms, order, code=code)
        self.w.tell(self.rng.choice(("scanner-1", "phone-1")), "delivery", ms, self.rng.choice((order, *self.orders)), code=code)
        self.w.tell("scanner-3", "arrive", ms + HOUR_MS, code=code)

    def reuse_cage(self, ms: int) -> None:
        """Filled, moved, silent, and filled again; or unloaded in between, or silent for too short a time."""
        box, move = self.rng.choice(self.boxes), self.rng.choice(("load", "depart", "arrive", "stage", "delivery", "unload"))
        for child in (self._code(), self._code()):
            self.w.tell("scanner-1", "aggregated", ms, parent=box, children=[child])
            self.w.tell("scanner-1", "load", ms + HOUR_MS, code=box)
            self.w.tell("scanner-2", move, ms + 2 * HOUR_MS, code=box)
            ms += self.rng.choice((4, 6, 7)) * HOUR_MS

    def pack(self, ms: int) -> None:
        code = self.rng.choice((None, self._code(), self._code(), self.rng.choice(self.boxes)))
        self.w.tell(self.rng.choice(SCANNERS), "pack", ms, self._order(0.95), parcel=self._parcel(), code=code)

    def unpack(self, ms: int) -> None:
        self.w.tell(self.rng.choice(SCANNERS), "unpack", ms, self._order(0.85), parcel=self._parcel(), code=self.rng.choice((None, self._code())))

    def pick(self, ms: int) -> None:
        self.w.tell(self.rng.choice(SCANNERS), "pick", ms, self._order(0.8), code=self.rng.choice((ARTICLE, self._code())))

    def scan(self, ms: int) -> None:
        """Mostly a code and nothing else."""
        device, step = self.rng.choice([(self.rng.choice(SCANNERS), s) for s in SCANNER_STEPS] + [(self.rng.choice(PHONES), s) for s in PHONE_STEPS])
        if self.rng.random() < 0.1:
            device = "carrier" if step in ("depart", "arrive", "delivery", "returned") else device
        self.w.tell(device, step, ms, self._order(0.3), parcel=self._parcel() if self.rng.random() < 0.2 else None, code=self._code())

    def deliver_by_name(self, ms: int) -> None:
        self.w.tell(self.rng.choice(PHONES), self.rng.choice(("delivery", "returned")), ms, self._order(0.97), parcel=self._parcel())

    def scan_container(self, ms: int) -> None:
        self.w.tell(self.rng.choice(SCANNERS), self.rng.choice(SCANNER_STEPS), ms, self._order(0.15), code=self.rng.choice(self.boxes))

    def fill(self, ms: int) -> None:
        children = [self._code() if self.rng.random() < 0.7 else self.rng.choice((*self.boxes, "NEW-1")) for _ in range(self.rng.randint(1, 3))]
        self.w.tell(self.rng.choice(SCANNERS), "aggregated", ms, parent=self.rng.choice(self.boxes), children=children)

    def empty(self, ms: int) -> None:
        what: dict[str, Any] = {"all": True} if self.rng.random() < 0.5 else {"children": [self._code()]}
        self.w.tell(self.rng.choice(SCANNERS), "disaggregated", ms, parent=self.rng.choice(self.boxes), **what)

    def void_something(self, ms: int) -> None:
        """Of any event, a void among them, or of an event that is not there."""
        if self.rng.random() < 0.1 or not self.w.drafts:
            self.w.tell("desk", "void", ms, ref=b"an id unknown 16")
        else:
            self.w.void(self.rng.choice(self.w.drafts), self.rng.choice(tuple(ROLE_OF)), ms)

    def same_id(self, ms: int) -> None:
        """Two devices may use one id: these are two events."""
        twin = self.w.tell("scanner-3", "load", ms, self._order(0.5), code=self._code())
        others = [d.id for d in self.w.drafts if d.device != "scanner-3"]
        if others and self.rng.random() < 0.5:
            self.w.drafts[-1] = twin._replace(id=self.rng.choice(others))

    def stop(self, ms: int) -> None:
        self.w.tell("desk", self.rng.choice(("held", "cancelled", "released")), ms, self.rng.choice(self.orders))

    def refused(self, ms: int) -> None:
        """A phone packs, or a scanner gives a label a kind that does not exist: these are refused at arrival, and say nothing."""
        if self.rng.random() < 0.5:
            self.w.tell("phone-1", "pack", ms, self._order(0.9), code=self._code(), fault="forbidden")
        else:
            self.w.tell("scanner-1", "labelled", ms, self._order(0.9), kind="sticker", label=self._code(), fault="malformed")

    def _shelf(self) -> None:
        """A shelf is scanned beside more orders than any label."""
        for n in range(self.rng.randint(31, 36)):
            if self.rng.random() < 0.8:
                self.w.tell("shop", "created", T0_MS + self._chance_ms(-1, 0), f"S-{n}")
            self.w.tell(self.rng.choice(SCANNERS), "stage", T0_MS + self._chance_ms(0, 1), f"S-{n}", code=self.labels[0])


HOSTILE: Final[tuple[Callable[[_Chaos, int], None], ...]] = (
    *(_Chaos.label, _Chaos.label, _Chaos.pack, _Chaos.pack, _Chaos.scan, _Chaos.scan, _Chaos.scan, _Chaos.scan),
    *(_Chaos.relabel, _Chaos.reuse_cage, _Chaos.at_once),
    *(_Chaos.unpack, _Chaos.pick, _Chaos.deliver_by_name, _Chaos.scan_container, _Chaos.fill, _Chaos.empty, _Chaos.void_something, _Chaos.stop, _Chaos.refused),
    _Chaos.same_id,
)


def _ordinary(w: _Writer) -> _Writer:
    _Shift(w).work()
    return w


def _hostile(w: _Writer) -> _Writer:
    _Chaos(w).work()
    return w


_MAKERS: Final[dict[Mix, Callable[[_Writer], _Writer]]] = {Mix.ORDINARY: _ordinary, Mix.HOSTILE: _hostile}
