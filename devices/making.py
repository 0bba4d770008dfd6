"""Makes events: what was scanned, with the clocks as they are now, becomes a payload that the server's own decoder takes."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import cbor2

from devices.clock import Clock
from devices.errors import InvalidEvent
from devices.ids import RANDOM_BYTES, uuid7
from devices.outbox import Made
from devices.protocol.device_messages import event_of
from devices.protocol.encoding import PayloadError, encode_cbor, load_cbor, plain
from devices.protocol.vocabulary import EventType
from devices.scan import Draft


def made(draft: Draft, clock: Clock, *, at: str | None, random_bytes: Callable[[int], bytes]) -> Made:
    """Reads the clocks now, and returns what builds the event once its number is known. `at` is the place of an event that names none."""
    at_ms = clock.wall_ms()
    event_id = uuid7(at_ms, random_bytes(RANDOM_BYTES))
    value: dict[str, Any] = {
        "id": event_id,
        "boot": clock.boot,
        "mono_ms": clock.mono_ms(),
        "at_ms": at_ms,
        "tz_min": clock.tz_min(),
        "body": dict(draft.body) if isinstance(draft.body, Mapping) else plain(draft.body),
        "order": draft.order,
        "at": at,
        **{name: said for name, said in draft.scanned.items() if said is not None},
    }
    # Not sent yet: these two are set again each time that it is handed to the network.
    value |= {"sent_boot": value["boot"], "sent_mono_ms": value["mono_ms"]}
    value = {name: said for name, said in value.items() if said is not None}
    return Made(event_id, str(draft.type), lambda log, seq: _checked({**value, "log": log, "seq": seq}, draft.type))


def _checked(value: dict[str, Any], event_type: EventType) -> bytes:
    """The payload of an event that the server's own decoder takes.

    Raises:
        InvalidEvent: naming the field.
    """
    try:
        payload = encode_cbor(value)
        found = load_cbor(payload)
        _refuse_not_finite(found, "")
        event_of(found, event_type)
    except UnicodeEncodeError as error:  # half of a surrogate pair, as Python has it for bytes that are not UTF-8
        raise InvalidEvent(f"a text is not Unicode: {error.object!a}") from error
    except (PayloadError, cbor2.CBOREncodeError) as error:
        raise InvalidEvent(str(error)) from error
    return payload


def _refuse_not_finite(value: Any, path: str) -> None:
    """Not a number and infinity have no meaning in any field, and JSON, which the server may write, has no words for them."""
    if isinstance(value, dict):
        for name, inner in value.items():
            _refuse_not_finite(inner, f"{path}.{name}" if path else str(name))
    elif isinstance(value, list):
        for place, inner in enumerate(value):
            _refuse_not_finite(inner, f"{path}[{place}]")
    elif isinstance(value, float) and not math.isfinite(value):
        raise PayloadError(f"{path}: expected a finite number, got {value}")
