"""The hostile mix: any event with any code, at any time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from helpers.streams.writing import ARTICLE, DAY_MS, HOUR_MS, MINUTE_MS, ORDER_LIKE_AN_ARTICLE, PHONES, ROLE_OF, SCANNERS, T0_MS, Writer, sscc

SCANNER_STEPS: Final = ("stage", "load", "unload", "depart", "arrive", "returned", "delivery", "damaged", "lost", "found", "destroyed", "customs_cleared")
PHONE_STEPS: Final = ("pickup", "out_for_delivery", "delivery", "delivery", "attempt_failed", "refused", "return_started", "available_for_pickup", "returned")


class Chaos:
    """Few codes and few orders, so that everything meets."""

    def __init__(self, w: Writer) -> None:
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

    def stack(self, ms: int) -> None:
        """A box in a box, and perhaps in a third one, and a scan of the outermost."""
        boxes = self.rng.sample(self.boxes, len(self.boxes))
        for inner, outer in zip([self._code(), *boxes], boxes, strict=False):
            ms += MINUTE_MS
            self.w.tell("scanner-2", "aggregated", ms, parent=outer, children=[inner])
        self.w.tell("scanner-3", self.rng.choice(SCANNER_STEPS), ms + MINUTE_MS, code=boxes[-1])

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


HOSTILE: Final[tuple[Callable[[Chaos, int], None], ...]] = (
    *(Chaos.label, Chaos.label, Chaos.pack, Chaos.pack, Chaos.scan, Chaos.scan, Chaos.scan, Chaos.scan),
    *(Chaos.relabel, Chaos.reuse_cage, Chaos.at_once, Chaos.stack),
    *(Chaos.unpack, Chaos.pick, Chaos.deliver_by_name, Chaos.scan_container, Chaos.fill, Chaos.empty, Chaos.void_something, Chaos.stop, Chaos.refused),
    Chaos.same_id,
)
