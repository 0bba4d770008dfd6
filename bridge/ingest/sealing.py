"""Personal data is sealed before it is stored. The log keeps an event without it; what is sealed stands in a table of its own, and can be forgotten.

Each sealed part has a key of its own, which the site's key wraps: `bridge.vault` does both. Nothing in ingest can open what it has sealed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final, NamedTuple, Protocol

import msgspec
from msgspec.structs import replace

from bridge.ingest.relation import Origin, Relation
from devices.protocol.bodies import Amended, NoteAdded
from devices.protocol.choices import Audience
from devices.protocol.messages import Event, encode_cbor
from devices.protocol.reasons import FREE_WORDS, stored_as
from devices.protocol.vocabulary import EventType, Role

HASH_BYTES: Final = 8
"""Of a hash by which orders are sought: whoever seeks reads them all."""
LAST_DIGITS: Final = 4
"""Digits at the end of a telephone number by which an order can be sought: the customer reads them to the desk."""
PHONE, LAST, SURNAME = "phone", "last4", "surname"
"""By what an order is sought: the columns of `HashRow`."""
WHOLE: Final = "whole"
"""In the sealed part of an event with fields that the contract does not have: the payload as it came."""


OF_PEOPLE: Final = frozenset({Role.SYSTEM, Role.CARRIER, Role.DESK})
"""Roles whose messages may be about people. Of fields that the contract does not have nothing is kept, and what is refused of them only for a time. The
unknown fields of scanners and couriers are kept, sealed: firmware may be newer than its server."""


class Recogniser(Protocol):
    """Recognises what it has seen before."""

    def mac(self, plain: bytes) -> bytes:
        """16 bytes by which the same is recognised, and that say nothing without the site's key."""
        ...

    def macs(self, plain: bytes) -> list[bytes]:
        """Those that each of the site's keys has given, the newest key first: what was stored before a rotation is recognised, too."""
        ...


class Sealer(Recogniser, Protocol):
    """Seals with the site's key."""

    def seal(self, plain: bytes, about: bytes) -> bytes:
        """Seal something; it can only be opened again as being about the same."""
        ...

    def draw(self, count: int) -> bytes:
        """So many random bytes."""
        ...


class SealedRow(NamedTuple):
    """The sealed part of the event at `pos`: a map in CBOR with its `contact`, its `text` (a note, or what was no word), and `whole`. `order_id` is the
    order that the event names.

    `mac` recognises a resend; it is empty if a resend may say something else.
    """

    pos: int
    order_id: str | None
    received_ms: int
    sealed: bytes
    mac: bytes


class HashRow(NamedTuple):
    """By what the order of a contact is sought: keyed hashes of the telephone number, its last digits and the surname; `pos` as in `SealedRow`.

    The table has no index: writing to one all over costs each scan more than reading the hashes of a million contacts costs a search.
    """

    pos: int
    phone: bytes | None
    last4: bytes | None
    surname: bytes | None


class ForgottenRow(NamedTuple):
    """An order whose personal data was destroyed. What comes later of it is not kept either."""

    order_id: str
    at_ms: int


SEALED: Final = Relation(
    name="sealed",
    row=SealedRow,
    key=("pos",),
    origin=Origin.KEPT,
    appends=True,
    indexes=(("order_id",), ("received_ms",)),
    note="sealed: who customers are, notes, and fields that the contract does not have",
)
CONTACT_HASHES: Final = Relation(
    name="contact_hashes",
    row=HashRow,
    key=("pos",),
    origin=Origin.KEPT,
    appends=True,
    note="keyed hashes by which orders are sought",
)
FORGOTTEN: Final = Relation(name="forgotten", row=ForgottenRow, key=("order_id",), origin=Origin.KEPT, note="orders whose personal data was destroyed")
LEGAL_HOLDS: Final = Relation(name="legal_holds", row=ForgottenRow, key=("order_id",), origin=Origin.KEPT, note="orders that must not be forgotten yet")
FORGET_REQUESTS: Final = Relation(
    name="forget_requests", row=ForgottenRow, key=("order_id",), origin=Origin.KEPT, note="orders that are to be forgotten as soon as they may be"
)


class Private(NamedTuple):
    """What is taken out of an event before it is stored: its `contact` or `text`, which every resend must say again, and the payload as it came, if it has
    fields that the contract does not have and its device may have newer firmware than this server."""

    said: dict[str, Any]
    whole: bytes | None = None


class NoSealer:
    """Stands where nothing that has to be sealed can come."""

    def seal(self, plain: bytes, about: bytes) -> bytes:
        raise RuntimeError("there is no key to seal with")

    def mac(self, plain: bytes) -> bytes:
        raise RuntimeError("there is no key to seal with")

    def draw(self, count: int) -> bytes:
        raise RuntimeError("there is no key to seal with")

    def macs(self, plain: bytes) -> list[bytes]:
        raise RuntimeError("there is no key to seal with")


def about_event(device: str, event_id: bytes) -> bytes:
    """What the sealed part of an event is about."""
    return device.encode() + b"\0" + event_id


def about_message(device: str, digest: bytes) -> bytes:
    """What a sealed message in quarantine is about."""
    return b"quarantine\0" + device.encode() + b"\0" + digest


def private_of(event: Event[Any], name: str) -> dict[str, Any]:
    """The personal data of an event, which the field `name` of its body holds; empty if there is none."""
    value = getattr(event.body, name)
    return {name: msgspec.to_builtins(value, builtin_types=(bytes,))} if value else {}


def without_private(event: Event[Any], plain: dict[str, Any], name: str) -> tuple[Event[Any], dict[str, Any]]:
    """(the event without its personal data, the same as a plain value)."""
    blank = getattr(_BLANK[name], name)
    body = {key: value for key, value in plain["body"].items() if key != name}
    if blank is not None:
        body[name] = blank
    return replace(event, body=replace(event.body, **{name: blank})), {**plain, "body": body}


_BLANK: Final[dict[str, Any]] = {"contact": Amended(changed=["contact"]), "text": NoteAdded(text="", audience=Audience.DESK)}
"""Bodies whose private field says nothing: a contact may be left out, a text only be empty."""


class Hidden(NamedTuple):
    """An event in which something else stands for what was no word, the same as a plain value; what was said; and a sentence for the developer."""

    event: Event[Any]
    plain: dict[str, Any]
    text: str
    detail: str


def hide_sentence(event: Event[Any], plain: dict[str, Any], event_type: EventType) -> Hidden | None:
    """Take a reason out of an event that is no word, but may be a sentence about somebody. None if it is a word, or there is none."""
    field = FREE_WORDS[event_type]
    said: str | list[str] | None = getattr(event.body, field)
    stored: str | list[str]
    if said is None:
        return None
    if isinstance(said, str):
        odd = [said] if (stored := stored_as(said)) != said else []
    else:
        stored = [stored_as(word) for word in said]
        odd = [word for word, kept in zip(said, stored, strict=True) if word != kept]
    if not odd:
        return None
    hidden = replace(event, body=replace(event.body, **{field: stored}))
    detail = f"body.{field} is no word: it is sealed, and {stored if isinstance(stored, str) else ', '.join(stored)} is stored"
    return Hidden(hidden, {**plain, "body": {**plain["body"], field: stored}}, ", ".join(odd), detail)


def seal_private(sealer: Sealer, private: Private, *, pos: int, order_id: str | None, received_ms: int, about: bytes) -> SealedRow:
    """The row of an event's personal data."""
    said = encode_cbor(private.said) if private.said else b""
    parts = said if private.whole is None else encode_cbor({**private.said, WHOLE: private.whole})
    return SealedRow(pos, order_id, received_ms, sealer.seal(parts, about), sealer.mac(said) if said else b"")


def mac_of(sealer: Sealer, said: Mapping[str, Any]) -> bytes:
    """By what a resend is recognised; empty if it says nothing that would have to be the same."""
    return sealer.mac(encode_cbor(said)) if said else b""


def hashes_of(sealer: Sealer, pos: int, contact: Mapping[str, Any]) -> HashRow | None:
    """The keyed hashes of the contact at `pos`; None if nobody can be sought by it."""
    hashes = {kind: sealer.mac(_searched(kind, text))[:HASH_BYTES] for kind, text in sought_by(contact)}
    return HashRow(pos, hashes.get(PHONE), hashes.get(LAST), hashes.get(SURNAME)) if hashes else None


def _searched(kind: str, text: str) -> bytes:
    return f"{kind}:{text}".encode()


def hashes_sought(sealer: Recogniser, kind: str, text: str) -> list[bytes]:
    """The keyed hashes, under one of which the contact of an order may stand."""
    return [mac[:HASH_BYTES] for mac in sealer.macs(_searched(kind, text))]


def recognises(sealer: Recogniser, mac: bytes, said: Mapping[str, Any]) -> bool:
    """Whether a resend says what was said the first time."""
    return mac in sealer.macs(encode_cbor(said)) if said else not mac


def sought_by(contact: Mapping[str, Any]) -> list[tuple[str, str]]:
    """(kind, text) by which a contact can be sought: a telephone number in any spelling, its last digits, and the last word of the name (of a Chinese name
    the first character)."""
    found = []
    if len(digits := digits_of(contact.get("phone") or "")) >= LAST_DIGITS:
        found += [(PHONE, digits), (LAST, digits[-LAST_DIGITS:])]
    if name := surname_of(contact.get("name") or ""):
        found.append((SURNAME, name))
    return found


PHONE_DIGITS: Final = 9
"""So many digits from the end make a telephone number: its country code and leading zero are often left out."""


_NO_DIGIT: Final = re.compile(r"[^0-9]+")


def digits_of(phone: str) -> str:
    """A telephone number in one spelling."""
    return _NO_DIGIT.sub("", phone)[-PHONE_DIGITS:]


def surname_of(name: str) -> str:
    """The part of a name by which a person is sought."""
    words = name.casefold().split()
    if not words:
        return ""
    return words[0][0] if len(words) == 1 and "\u4e00" <= words[0][0] <= "\u9fff" else words[-1]
