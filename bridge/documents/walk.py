"""The walk through the guide: what its reader sends, and what the server answers. A test sends it all to a server and compares."""

from __future__ import annotations

from hashlib import sha256
from typing import Any, Final, NamedTuple

from bridge.documents.events import in_lines
from devices.ids import RANDOM_BYTES, uuid7
from devices.protocol.documents import examples
from devices.protocol.documents.event_examples import EVENT_EXAMPLES, SENT_AFTER_MS, START_MS, STEP_MS, UPTIME_MS
from devices.protocol.vocabulary import EventType

ORDER: Final = "shop1-1"
_LINES: Final = [{"sku": "MUG-RED", "qty": 2}, {"sku": "PEN", "qty": 1}]


class Step(NamedTuple):
    """One message: who sends it, the variable that has its password, and what it sends."""

    type: EventType
    device: str
    password: str
    payload: dict[str, Any]
    in_cbor: bool = False

    @property
    def text(self) -> str:
        """Its payload in JSON, as the guide's command sends it."""
        return in_lines(examples.as_json(self.payload)) + "\n"


def _payload(event_type: EventType, name: str, seq: int, place: int, body: dict[str, Any]) -> dict[str, Any]:
    """A payload of the device that sends this type in the examples."""
    device = EVENT_EXAMPLES[event_type].payload
    at_ms, mono_ms = START_MS + STEP_MS * place, UPTIME_MS + STEP_MS * place
    return {
        "id": uuid7(at_ms, sha256(f"walk {name}".encode()).digest()[:RANDOM_BYTES]),
        "log": sha256(b"walk " + device["log"]).digest()[:8],
        "seq": seq,
        "boot": device["boot"],
        "mono_ms": mono_ms,
        "at_ms": at_ms,
        "sent_boot": device["boot"],
        "sent_mono_ms": mono_ms + SENT_AFTER_MS,
        "order": ORDER,
        "body": body,
    }


_CREATED: Final = {"channel": "web", "lines": _LINES, "allow_partial": False, "payment": "on_delivery"}

WALK: Final[dict[str, Step]] = {
    "pick": Step(EventType.PICK, "scan-07", "SCAN", _payload(EventType.PICK, "pick", 1, 0, {"sku": "MUG-RED", "qty": 2})),
    "created": Step(EventType.CREATED, "shop1", "SHOP", _payload(EventType.CREATED, "created", 1, 1, _CREATED)),
    "broken": Step(EventType.PICK, "scan-07", "SCAN", _payload(EventType.PICK, "broken", 2, 2, {"sku": "PEN", "qty": 0})),
    "pack": Step(EventType.PACK, "scan-07", "SCAN", _payload(EventType.PACK, "pack", 3, 3, {"items": _LINES}), in_cbor=True),
}
"""What the reader sends, in this order; the pick once more after the order."""


def _answer(name: str, answered_after_ms: int, **said: Any) -> dict[str, Any]:
    payload = WALK[name].payload
    about = {"n": 1, "id": payload["id"], "log": payload["log"], "seq": payload["seq"], "type": str(WALK[name].type)}
    return about | said | {"at_ms": payload["at_ms"] + answered_after_ms}


ANSWERS: Final[dict[str, dict[str, Any]]] = {
    "pick": _answer("pick", 250, outcome="parked", final=False, tone="warn", reason="unknown_order", next="set_aside", order=ORDER),
    "pick again": _answer("pick", STEP_MS + 250, n=2, outcome="applied", final=True, tone="ok", order=ORDER, state="picking", rev=1),
    "broken": _answer(
        *("broken", 250),
        outcome="rejected",
        final=True,
        tone="stop",
        reason="malformed",
        next="update_firmware",
        digest=sha256(WALK["broken"].text.encode()).digest()[:8],
        detail="body.qty: expected integer >= 1",
    ),
}
"""What the server answers."""
