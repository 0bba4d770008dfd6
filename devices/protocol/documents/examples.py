"""Examples of every message. Those of events are in `event_examples.py`; what the server says here, it says about their story: a test compares the two."""

from __future__ import annotations

import json
from typing import Any, Final, NamedTuple

from devices.protocol.documents import shapes
from devices.protocol.documents.event_examples import EVENT_EXAMPLES, JOB, ORDER, PARCEL, SITE, START_MS
from devices.protocol.encoding import encode_json, load_json
from devices.protocol.vocabulary import EventType


class Example(NamedTuple):
    """One message; `payload` has bytes for bytes."""

    name: str
    about: str
    payload: dict[str, Any]


def of_message(name: str) -> list[Example]:
    """The examples of a message, by its name in the documents."""
    for event_type, example in EVENT_EXAMPLES.items():
        if shapes.event_name(event_type) == name:
            return [Example(str(event_type), f"Published to v1/{SITE}/devices/{example.device}/events/{event_type}.", example.payload)]
    return list(MESSAGE_EXAMPLES[name])


def as_json(payload: dict[str, Any]) -> dict[str, Any]:
    """A payload in its JSON form: bytes as lowercase hex."""
    found: dict[str, Any] = json.loads(encode_json(payload))
    return found


def _example(name: str, about: str, **as_in_json: Any) -> Example:
    payload = {field: value for field, value in as_in_json.items() if value is not None}
    return Example(name, about, load_json(json.dumps(payload).encode()))


_PICK: Final = EVENT_EXAMPLES[EventType.PICK].payload
_PICKUP: Final = EVENT_EXAMPLES[EventType.PICKUP].payload
_SCANNER: Final = as_json({name: _PICK[name] for name in ("log", "boot")})
_PHONE: Final = as_json({name: _PICKUP[name] for name in ("log", "boot")})
_ABOUT_PICK: Final = as_json({name: _PICK[name] for name in ("id", "log", "seq")}) | {"n": 1, "type": "pick", "at_ms": START_MS + 660_250}
_MILESTONES: Final = [
    {"state": "packed", "at_ms": START_MS + 720_130},
    {"state": "shipped", "at_ms": START_MS + 1_860_130},
    {"state": "out_for_delivery", "at_ms": START_MS + 1_920_130},
]

MESSAGE_EXAMPLES: Final[dict[str, tuple[Example, ...]]] = {
    "Receipt": (
        _example(
            *("applied", "The pick counts; a pen is left to be picked."),
            **(_ABOUT_PICK | {"final": True, "outcome": "applied", "tone": "ok"}),
            order=ORDER,
            state="picking",
            rev=3,
            left=[{"sku": "PEN", "qty": 1}],
        ),
        _example(
            *("parked", "The order is not known yet: another receipt follows once it is."),
            **(_ABOUT_PICK | {"final": False, "outcome": "parked", "tone": "warn", "reason": "unknown_order", "next": "set_aside", "order": ORDER}),
        ),
        _example(
            *("blocked", "The order is on hold. The worker puts the mugs aside, and scans them again later."),
            **(_ABOUT_PICK | {"final": True, "outcome": "blocked", "tone": "stop", "reason": "held", "next": "set_aside"}),
            order=ORDER,
            state="pending_payment",
            rev=2,
            left=[{"sku": "MUG-RED", "qty": 2}, {"sku": "PEN", "qty": 1}],
        ),
        _example(
            *("malformed", "`qty` was 0. The payload never became an event; `digest` says which payload it was."),
            **(_ABOUT_PICK | {"final": True, "outcome": "rejected", "tone": "stop", "reason": "malformed", "next": "update_firmware"}),
            digest="673588ee39566e63",
            detail="body.qty: expected integer >= 1",
        ),
    ),
    "ResendRequest": (
        _example("resend", "The database was restored, and lacks three events.", resend={"log": _SCANNER["log"], "from": 118, "to": 120}, epoch=1),
    ),
    "OrderStatus": (
        _example(
            "out_for_delivery",
            "A courier is on the way with the only parcel.",
            order=ORDER,
            state="out_for_delivery",
            flags=[],
            rev=9,
            percent=85,
            hash="15b8a1955fdf5427",
            at_ms=START_MS + 1_920_130,
            updated_ms=START_MS + 1_920_250,
            last={"type": "out_for_delivery", "at_ms": START_MS + 1_920_130},
            progress={"parcels": 1, "packed": 1, "shipped": 1, "delivered": 0, "exceptions": 0},
            milestones=[
                {"state": "pending_payment", "at_ms": START_MS + 180_000},
                {"state": "paid", "at_ms": START_MS + 240_000},
                {"state": "approved", "at_ms": START_MS + 660_130, "inferred": True},
                {"state": "picking", "at_ms": START_MS + 660_130},
                *_MILESTONES,
            ],
        ),
    ),
    "ParcelStatus": (
        _example(
            "out_for_delivery",
            "The parcel of that order.",
            parcel=PARCEL,
            order=ORDER,
            state="out_for_delivery",
            flags=[],
            rev=9,
            at_ms=START_MS + 1_920_130,
            codes=["340000000000000120"],
            milestones=_MILESTONES,
            hash="3aa0636751ee9d47",
        ),
    ),
    "Presence": (
        _example(
            *("connected", "After the SUBACK of each connect, before events."),
            **{"online": True, **_SCANNER, "last_seq": 120, "backlog": 2, "battery_percent": 81, "firmware": "acme-scan 3.2"},
            at_ms=START_MS + 900_000,
            mono_ms=4_500_000,
        ),
        _example("will", "The will, set in the CONNECT.", online=False, boot=_SCANNER["boot"]),
    ),
    "LocationBatch": (
        _example(
            "two_fixes",
            "Two fixes, half a minute apart.",
            **{**_PHONE, "sent_mono_ms": 6_000_000, "points": [[5_970_000, 523_702_160, 48_951_680, 8, 42], [6_000_000, 523_709_000, 48_940_000, 6, None]]},
        ),
    ),
    "Position": (
        _example("on_the_road", "Where the courier is with the order.", lat_e7=523_709_000, lon_e7=48_940_000, accuracy_m=6, at_ms=START_MS + 2_400_130),
        _example(
            "not_heard_for_a_minute",
            "The courier was not heard since. Show it as the last known place; it is cleared soon.",
            lat_e7=523_709_000,
            lon_e7=48_940_000,
            accuracy_m=6,
            at_ms=START_MS + 2_400_130,
            stale=True,
        ),
    ),
    "Eta": (
        _example(
            "this_afternoon",
            "Not published by a server of this edition.",
            from_ms=START_MS + 18_000_000,
            to_ms=START_MS + 25_200_000,
            made_ms=START_MS + 1_920_000,
            source="tour",
        ),
    ),
    "Assignment": (
        _example(
            *("claimed", "The courier has claimed the job."),
            job=JOB,
            rev=2,
            state="accepted",
            stops=[{"stop": ORDER, "orders": [ORDER], "parcels": [PARCEL], "codes": ["340000000000000120"], "handling": []}],
        ),
    ),
    "Alert": (
        _example(
            *("moved_on_hold", "A parcel was loaded although its order is on hold."),
            code="moved_on_hold",
            subject=ORDER,
            severity="critical",
            since_ms=START_MS + 1_080_250,
            text=f"Order {ORDER} was moved while it was on hold.",
            fix="Stop the parcel and unload it, or release the hold.",
        ),
    ),
    "Notice": (
        _example(
            *("delivered", "A parcel was delivered."),
            id="5b0c2c0a3f1a4b0c9d8e7f6a5b4c3d2e",
            order=ORDER,
            parcel=PARCEL,
            moment="delivered",
            occurrence=1,
            at_ms=START_MS + 3_000_000,
            texts={"en": f"Parcel {PARCEL} of order {ORDER} was delivered.", "zh": f"订单 {ORDER} 的包裹 {PARCEL} 已签收。"},
        ),
    ),
    "Credentials": (
        _example(
            *("redeemed", "What a scanner is sent that redeems its claim."),
            site=SITE,
            device="scan-07",
            password="rAn3OwkeWfyn6w5jvyB0A5aV",  # noqa: S106 -- an example
        ),
    ),
    "BridgeState": (
        _example(
            *("online", "The server is there."),
            online=True,
            version="0.1.0",
            started_ms=START_MS,
            contract="2",
            limits={"packet_bytes_max": 262_144, "payload_bytes_max": 261_888, "publish_rate_max": 2_000, "window": 64},
        ),
    ),
}
"""By the name of the message."""
