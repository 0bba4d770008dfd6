"""What a stream is written with: the devices of a site, bodies that the contract accepts, and the numbering of events."""

from __future__ import annotations

import hashlib
import random
from typing import Any, Final

from devices.ids import uuid7
from firmware_sim.checkers.model.codes.told import Told

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


def log_of(device: str) -> bytes:
    """The log of a device's only outbox."""
    return hashlib.sha256(device.encode()).digest()[:8]


def sscc(serial: int) -> str:
    """An SSCC of one company, with its check digit (GS1 General Specifications, section 7.9)."""
    digits = f"34012345{serial:09}"
    return digits + str(-sum(int(digit) * (1 if place % 2 else 3) for place, digit in enumerate(digits)) % 10)


def elsewhere(e: Told) -> Told:
    """The same event of other devices, orders and codes: it is related to no event of a stream."""

    def other_id(event_id: bytes) -> bytes:
        return hashlib.sha256(event_id).digest()[:16]

    def other(text: str | None) -> str | None:
        return None if text is None else f"other {text}"

    renamed = {**dict.fromkeys(("code", "replaces", "parent"), other), "children": lambda codes: [other(c) for c in codes], "ref": other_id}
    body = {name: renamed[name](value) if name in renamed else value for name, value in e.body.items()}
    device = f"other-{e.device}"
    return e._replace(device=device, log=log_of(device), id=other_id(e.id), order=other(e.order), code=other(e.code), body=body)


class Writer:
    """Writes events down; `stored` numbers them. Chance comes from the seed alone."""

    def __init__(self, rng: random.Random, name: str) -> None:
        self.rng = rng
        self.name = name
        self.drafts: list[Told] = []

    def tell(self, device: str, event_type: str, ms: int, order: str | None = None, **said: Any) -> Told:
        """One event. `said` has parcel, code and fault; everything else is a field of the body, `label` the code of a `labelled`."""
        parcel, code, fault, label = (said.pop(name, None) for name in ("parcel", "code", "fault", "label"))
        body = {**PLAIN_BODY.get(event_type, {}), **{k: v for k, v in said.items() if v is not None}, **({} if label is None else {"code": label})}
        event_id = uuid7(ms, hashlib.sha256(f"{self.name} {len(self.drafts)}".encode()).digest()[:10])
        draft = Told(device, ROLE_OF[device], event_type, log_of(device), 0, event_id, ms, ms + self._delay_ms(), order, parcel, code, body, fault)
        self.drafts.append(draft)
        return draft

    def void(self, target: Told, device: str, ms: int) -> Told:
        return self.tell(device, "void", ms, ref=target.id)

    def stored(self) -> list[Told]:
        """Every device numbers its events in the order of time, but for a few that a clock set back puts in another order."""
        seqs: dict[str, int] = {}
        numbered = []
        for draft in sorted(self.drafts, key=self._recorded):
            seqs[draft.device] = seqs.get(draft.device, 0) + 1
            numbered.append(draft._replace(seq=seqs[draft.device]))
        return sorted(numbered, key=lambda e: (e.event_ms, e.id))

    def _recorded(self, draft: Told) -> tuple[int, bytes]:
        shift_ms = self.rng.randrange(CLOCK_STEP_MS_MAX) if self.rng.random() < 0.05 else 0
        return (draft.event_ms - shift_ms, draft.id)

    def _delay_ms(self) -> int:
        """Mostly at once; sometimes hours later, sometimes after days without a network."""
        return self.rng.choice((300, 300, 300, 900, 2_000, 5 * MINUTE_MS, 6 * HOUR_MS, 5 * DAY_MS))
