"""Messages decoded: what of an event is stored as it came, what is sealed, and what is not kept at all."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

import cbor2

from bridge.domain.access import Kind
from bridge.domain.members import members
from bridge.ingest.items import Incoming
from bridge.ingest.sealing import OF_PEOPLE, Private, hide_sentence, private_of, without_private
from devices.protocol import bodies, messages
from devices.protocol.bodies import Body
from devices.protocol.messages import EVENT_KINDS, Event, Locations, PayloadError, Presence
from devices.protocol.private import PRIVATE_FIELDS
from devices.protocol.reasons import FREE_WORDS
from devices.protocol.unknown_fields import cut_unknown, has_fields_inside, has_unknown
from devices.protocol.vocabulary import EventType, Reason

FIELDS_NAMED_MAX: Final = 5
"""Unknown fields that a receipt names."""
EVENT_TYPES: Final = {t.value: t for t in EventType}


class Trimmed(NamedTuple):
    """An event that is not stored as it came: the payload that is stored, without personal data and without fields that the contract does not have; a
    sentence about what is not in it; what of it is sealed; and whether it had such fields."""

    event: Event[Body]
    payload: bytes
    detail: str | None
    private: Private | None
    has_unknown: bool = False


Decoded = Event[Body] | Trimmed | Presence | Locations | tuple[Reason, str] | None
"""A decoded message: a reason and a sentence if it is refused, None outside v1/."""
_KIND: Final = members(Kind)


def decode(incoming: Incoming) -> Decoded:
    """Decode a message."""
    kind = incoming.kind
    try:
        if kind is _KIND.EVENTS:
            event_type = EVENT_TYPES[incoming.event_type or ""]
            return _decode_trimmed(incoming, event_type) if incoming.identity.role in OF_PEOPLE else _decode_whole(incoming.payload, event_type)
        if kind is Kind.PRESENCE:
            return messages.decode(incoming.payload, Presence)
        if kind is Kind.LOCATION:
            return messages.decode_locations(incoming.payload)
    except PayloadError as error:
        return Reason.MALFORMED, str(error)
    if kind is Kind.PLAIN:
        return None
    if kind is Kind.POISON:
        return Reason.POISON, incoming.detail or ""
    is_unknown = incoming.event_type is not None and incoming.event_type not in EVENT_TYPES
    return Reason.UNKNOWN_TYPE if is_unknown else Reason.FORBIDDEN, incoming.detail or ""


def _decode_trimmed(incoming: Incoming, event_type: EventType) -> Event[Body] | Trimmed:
    """Decode an event of a role whose unknown fields are cut. Only these roles send personal data."""
    plain = messages.load(incoming.payload)
    event = messages.event_of(plain, event_type)
    kept, unknown = cut_unknown(plain, EVENT_KINDS[event_type])
    detail = _name_unknown(unknown) if unknown else None
    name = PRIVATE_FIELDS.get(event_type)
    said = private_of(event, name) if name is not None else {}
    if name is not None and said:
        event, kept = without_private(event, kept, name)
    if event_type in FREE_WORDS and (hidden := hide_sentence(event, kept, event_type)) is not None:
        event, kept, said = hidden.event, hidden.plain, {**said, "text": hidden.text}
        detail = f"{detail}; {hidden.detail}" if detail is not None else hidden.detail
    if said:
        return Trimmed(event, cbor2.dumps(kept), detail, Private(said), bool(unknown))  # its keys are in the order in which they came
    return Trimmed(event, messages.encode_cbor(kept), detail, None, True) if unknown else event


def _decode_whole(payload: bytes, event_type: EventType) -> Event[Body] | Trimmed:
    """Decode an event of a role whose unknown fields are kept, sealed, and named: its firmware may be newer than this server, or a field be misspelt."""
    plain = messages.load(payload)
    event = messages.event_of(plain, event_type)
    if event_type in FREE_WORDS and (hidden := hide_sentence(event, plain, event_type)) is not None:
        kept, unknown = cut_unknown(hidden.plain, EVENT_KINDS[event_type])
        return Trimmed(hidden.event, messages.encode_cbor(kept), hidden.detail, Private({"text": hidden.text}, payload if unknown else None), bool(unknown))
    nested = _NESTED.get(event_type)
    if _ENVELOPE.issuperset(plain) and _BODIES[event_type].issuperset(plain["body"]) and (nested is None or not has_unknown(plain["body"], nested)):
        return event
    kept, unknown = cut_unknown(plain, EVENT_KINDS[event_type])
    return Trimmed(event, messages.encode_cbor(kept), _name_unknown(unknown, "not in the contract"), Private({}, payload), True)


_ENVELOPE: Final = frozenset(Event.__struct_fields__)
_NESTED: Final = {event_type: body for event_type, body in bodies.BODIES.items() if has_fields_inside(body)}
"""Bodies in which fields have fields of their own."""
_BODIES: Final = {event_type: frozenset(body.__struct_encode_fields__) for event_type, body in bodies.BODIES.items()}


_NAME: Final = re.compile(r"[a-z][A-Za-z0-9_]{0,31}(\[\d+\])?(\.[a-z][A-Za-z0-9_]{0,31}(\[\d+\])?)*")
"""Paths that may be repeated in a sentence: of keys as programs have them, and not of what somebody is called."""


def _name_unknown(paths: list[str], what: str = "not in the contract, and not stored") -> str:
    named = ", ".join(path if _NAME.fullmatch(path) else "a field with an odd name" for path in paths[:FIELDS_NAMED_MAX])
    more = f" and {len(paths) - FIELDS_NAMED_MAX} more" if len(paths) > FIELDS_NAMED_MAX else ""
    return f"{what}: {named}{more}"
