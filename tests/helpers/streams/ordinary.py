"""The ordinary mix: some orders on their way through one site, each with one trouble or none."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from helpers.streams.writing import ARTICLE, DAY_MS, HOUR_MS, MINUTE_MS, SCANNERS, T0_MS, Writer, sscc


class Shift:
    """Some orders on their way through one site."""

    def __init__(self, w: Writer) -> None:
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


TROUBLES: Final[tuple[Callable[[Shift, str, int], int], ...]] = (
    *(Shift.no_trouble, Shift.relabelled, Shift.second_label, Shift.wrong_label, Shift.wrong_order, Shift.packed_again),
    *(Shift.used_again, Shift.used_again, Shift.returned, Shift.stopped, Shift.cross_docked, Shift.mistake_voided),
)
