"""An example of each event type: one story of one order, told by the devices of one site.

A test sends each of them through a server, after those that must come before it, and it must be applied. So no example can go out of date.
"""

from __future__ import annotations

from hashlib import sha256
from typing import Any, Final, NamedTuple

from devices.ids import RANDOM_BYTES, uuid7
from devices.protocol.vocabulary import EventType as E
from devices.protocol.vocabulary import Role

SITE: Final = "ams1"
ORDER: Final = "shop1-1001"
PARCEL: Final = "shop1-1001-a"
JOB: Final = "tour-7"
COURIER: Final = "anna"
LABEL: Final = "00340000000000000120"
DEVICES: Final = {Role.SYSTEM: "shop1", Role.DESK: "screen-1", Role.SCANNER: "scan-07", Role.COURIER: "phone-anna"}
"""Who tells the story."""
START_MS: Final = 1_795_420_800_000
"""2026-11-23 08:00 UTC."""
STEP_MS: Final = 60_000
UPTIME_MS: Final = 3_600_000
"""What the monotonic clocks of all devices show at the start."""
SENT_AFTER_MS: Final = 120

LINES: Final = [{"sku": "MUG-RED", "qty": 2}, {"sku": "PEN", "qty": 1}]


class EventExample(NamedTuple):
    """One event. `payload` has bytes for bytes; `after` are the events that must come before it."""

    type: E
    role: Role
    payload: dict[str, Any]
    after: tuple[E, ...]

    @property
    def device(self) -> str:
        return DEVICES[self.role]

    @property
    def at_ms(self) -> int:
        at_ms: int = self.payload["at_ms"]
        return at_ms


class _Told(NamedTuple):
    type: E
    role: Role
    after: tuple[E, ...]
    body: dict[str, Any]
    said: dict[str, Any]


def _told(event_type: E, role: Role, *after: E, body: dict[str, Any] | None = None, **said: Any) -> _Told:
    return _Told(event_type, role, after, body or {}, said)


_BOUGHT: Final = (E.CREATED, E.PAID)
_LABELLED: Final = (*_BOUGHT, E.PICK, E.PACK, E.LABELLED)
_LOADED: Final = (*_LABELLED, E.STAGE, E.LOAD)
_ABROAD: Final = (*_LOADED, E.DEPART, E.BORDER_ENTERED)
_AT_THE_DOOR: Final = (*_LABELLED, E.ASSIGNED, E.CLAIM, E.PICKUP, E.OUT_FOR_DELIVERY)


_CONTACT: Final = {"name": "M. Jansen", "phone": "+31 20 555 0100", "street": "Keizersgracht 1", "city": "Amsterdam", "postcode": "1015 CJ", "locale": "nl"}
_STORY: Final = (
    _told(E.SHIFT_STARTED, Role.SCANNER, body={"worker": "w-231"}),
    _told(E.BREAK_STARTED, Role.SCANNER, E.SHIFT_STARTED),
    _told(E.BREAK_ENDED, Role.SCANNER, E.SHIFT_STARTED, E.BREAK_STARTED),
    _told(
        E.CREATED,
        Role.SYSTEM,
        order=ORDER,
        body={"channel": "web", "lines": LINES, "allow_partial": False, "payment": "prepaid", "dest_country": "NL", "contact": _CONTACT},
    ),
    _told(E.PAID, Role.SYSTEM, E.CREATED, order=ORDER, body={"amount_minor": 2490, "currency": "EUR"}),
    _told(E.APPROVED, Role.SYSTEM, *_BOUGHT, order=ORDER),
    _told(E.AMENDED, Role.SYSTEM, E.CREATED, order=ORDER, body={"changed": ["lines"], "lines": [{"sku": "MUG-RED", "qty": 2}]}),
    _told(E.HELD, Role.DESK, E.CREATED, order=ORDER, body={"reason": "address"}),
    _told(E.RELEASED, Role.DESK, E.CREATED, E.HELD, order=ORDER, body={"reason": "address"}),
    _told(E.CANCELLED, Role.DESK, E.CREATED, order=ORDER, body={"reason": "customer_request"}),
    _told(E.REFUNDED, Role.SYSTEM, *_BOUGHT, order=ORDER, body={"amount_minor": 2490, "currency": "EUR", "reason": "goodwill"}),
    _told(E.PICK, Role.SCANNER, *_BOUGHT, order=ORDER, body={"sku": "MUG-RED", "qty": 2, "bin": "A-12"}),
    _told(E.PACK, Role.SCANNER, *_BOUGHT, E.PICK, order=ORDER, parcel=PARCEL, body={"items": LINES, "weight_g": 940, "dims_mm": [300, 200, 150]}),
    _told(E.LABELLED, Role.SCANNER, *_BOUGHT, E.PICK, E.PACK, order=ORDER, parcel=PARCEL, body={"code": LABEL, "kind": "sscc"}),
    _told(E.UNPACK, Role.SCANNER, *_LABELLED, order=ORDER, code=LABEL, body={"reason": "wrong_item"}),
    _told(E.AGGREGATED, Role.SCANNER, *_LABELLED, body={"parent": "CAGE-7", "children": [LABEL]}),
    _told(E.DISAGGREGATED, Role.SCANNER, *_LABELLED, E.AGGREGATED, body={"parent": "CAGE-7", "all": True}),
    _told(E.STAGE, Role.SCANNER, *_LABELLED, code=LABEL, body={"dock": "DOCK-3"}),
    _told(E.LOAD, Role.SCANNER, *_LABELLED, E.STAGE, code=LABEL, body={"vehicle": "VAN-12"}),
    _told(E.UNLOAD, Role.SCANNER, *_LOADED, code=LABEL, body={"reason": "no_space"}),
    _told(E.VOID, Role.SCANNER, *_BOUGHT, E.PICK, body={"ref": E.PICK, "reason": "incorrect_data"}),
    _told(E.DEPART, Role.SCANNER, *_LOADED, code=LABEL, body={"hub": "AMS"}),
    _told(E.BORDER_ENTERED, Role.SCANNER, *_LOADED, E.DEPART, code=LABEL, body={"country": "NL"}),
    _told(E.CUSTOMS_ENTERED, Role.SCANNER, *_ABROAD, code=LABEL, body={"country": "NL", "direction": "import"}),
    _told(E.CUSTOMS_HELD, Role.SCANNER, *_ABROAD, E.CUSTOMS_ENTERED, code=LABEL, body={"country": "NL", "reason": "papers_missing"}),
    _told(E.CUSTOMS_CLEARED, Role.SCANNER, *_ABROAD, E.CUSTOMS_ENTERED, code=LABEL, body={"country": "NL"}),
    _told(E.ARRIVE, Role.SCANNER, *_LOADED, code=LABEL, body={"hub": "AMS"}),
    _told(E.ASSIGNED, Role.DESK, *_LABELLED, order=ORDER, body={"courier": COURIER, "job": JOB}),
    _told(E.CLAIM, Role.COURIER, *_LABELLED, E.ASSIGNED, body={"job": JOB, "rev": 1}),
    _told(E.DECLINE, Role.COURIER, *_LABELLED, E.ASSIGNED, body={"job": JOB, "reason": "too_heavy"}),
    _told(E.UNASSIGNED, Role.DESK, *_LABELLED, E.ASSIGNED, body={"job": JOB, "reason": "ill"}),
    _told(E.PICKUP, Role.COURIER, *_LABELLED, E.ASSIGNED, E.CLAIM, code=LABEL),
    _told(E.OUT_FOR_DELIVERY, Role.COURIER, *_LABELLED, E.ASSIGNED, E.CLAIM, E.PICKUP, code=LABEL, body={"stop_seq": 3}),
    _told(E.STOP_ARRIVED, Role.COURIER, *_AT_THE_DOOR, order=ORDER, body={"stop": ORDER}),
    _told(E.ATTEMPT_FAILED, Role.COURIER, *_AT_THE_DOOR, code=LABEL, body={"reason": "not_home"}),
    _told(E.AVAILABLE_FOR_PICKUP, Role.COURIER, *_AT_THE_DOOR, E.ATTEMPT_FAILED, code=LABEL, body={"point": "KIOSK-4", "until_ms": START_MS + 604_800_000}),
    _told(E.REFUSED, Role.COURIER, *_AT_THE_DOOR, code=LABEL, body={"reason": "damaged"}),
    _told(E.DELIVERY, Role.COURIER, *_AT_THE_DOOR, code=LABEL, body={"pod": {"method": "photo", "hash": sha256(b"the photo").digest()}}),
    _told(E.COMPLETED, Role.SYSTEM, *_AT_THE_DOOR, E.DELIVERY, order=ORDER),
    _told(E.RETURN_STARTED, Role.COURIER, *_AT_THE_DOOR, E.DELIVERY, code=LABEL, body={"reason": "does_not_fit"}),
    _told(E.RETURNED, Role.SCANNER, *_AT_THE_DOOR, E.REFUSED, code=LABEL, body={"dock": "RETURNS", "condition": "unopened"}),
    _told(E.DAMAGED, Role.SCANNER, *_LABELLED, code=LABEL, body={"severity": "minor", "reason": "crushed"}),
    _told(E.LOST, Role.SCANNER, *_LABELLED, code=LABEL),
    _told(E.FOUND, Role.SCANNER, *_LABELLED, E.LOST, code=LABEL),
    _told(E.DESTROYED, Role.SCANNER, *_LABELLED, E.DAMAGED, code=LABEL, body={"reason": "damaged"}),
    _told(E.NOTE_ADDED, Role.DESK, E.CREATED, order=ORDER, body={"text": "Ring twice.", "audience": "courier"}),
    _told(E.CASH_COUNTED, Role.DESK, body={"courier": COURIER, "amount_minor": 12_050, "currency": "EUR", "reason": "change"}),
    _told(E.SHIFT_ENDED, Role.SCANNER, E.SHIFT_STARTED),
)
"""What happens, in the order of time: a step lies between two events. A `ref` to an event type is the id of its example."""
_PLACES: Final = {told.type: place for place, told in enumerate(_STORY)}


def _id(event_type: E) -> bytes:
    """The id of an example: a UUIDv7 whose random part is the same each time."""
    return uuid7(START_MS + STEP_MS * _PLACES[event_type], sha256(event_type.encode()).digest()[:RANDOM_BYTES])


def _example(told: _Told) -> EventExample:
    device, place = DEVICES[told.role], _PLACES[told.type]
    boot, mono_ms = sha256(f"boot of {device}".encode()).digest()[:8], UPTIME_MS + STEP_MS * place
    payload = {
        "id": _id(told.type),
        "log": sha256(f"log of {device}".encode()).digest()[:8],
        "seq": 1 + sum(earlier.role is told.role for earlier in _STORY[:place]),
        "boot": boot,
        "mono_ms": mono_ms,
        "at_ms": START_MS + STEP_MS * place,
        "sent_boot": boot,
        "sent_mono_ms": mono_ms + SENT_AFTER_MS,
        **told.said,
        "body": {name: _id(value) if name == "ref" else value for name, value in told.body.items()},
    }
    return EventExample(told.type, told.role, payload, tuple(sorted(told.after, key=_PLACES.__getitem__)))


EVENT_EXAMPLES: Final = {told.type: _example(told) for told in _STORY}
