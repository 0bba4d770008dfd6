"""Payloads: what crosses the wire, how it is decoded and encoded.

CBOR (RFC 8949) in core deterministic encoding (§4.2.1) with text keys; JSON with the same field names, bytes as lowercase hex.
Decoding refuses duplicate keys, tags, indefinite lengths, trailing bytes and depth over 8, and names the path of a bad field.
"""

from __future__ import annotations

import json
import os
import re
from functools import lru_cache
from typing import TYPE_CHECKING, Annotated, Any, Final, Generic, Literal, NoReturn, TypeVar, cast

import cbor2
import msgspec
from msgspec import Meta, Struct

from devices.protocol.bodies import BODIES, NO_NUL, UINT_MAX, Body, Bytes8, Code, Count, EventId, Id, Uint, Word
from devices.protocol.topics import escape
from devices.protocol.vocabulary import (
    ORDER_STATE_WORDS,
    AlertCode,
    EventType,
    Flag,
    JobState,
    Next,
    Outcome,
    ParcelState,
    Reason,
    Severity,
    Tone,
    Warn,
    Waypoint,
)

DEPTH_MAX: Final = 8
POINTS_MAX: Final = 500

B = TypeVar("B")


class PayloadError(ValueError):
    """A payload breaks the contract. The text names the path of the field and what was expected there."""


class Event(Struct, Generic[B], frozen=True, kw_only=True, omit_defaults=True):
    """Something that happened, as the device tells it. `Event[Pack]` is an event with the body of a pack."""

    id: EventId
    log: Bytes8
    seq: Annotated[int, Meta(ge=1, le=UINT_MAX)]
    boot: Bytes8
    mono_ms: Uint
    at_ms: Uint
    sent_boot: Bytes8
    sent_mono_ms: Uint
    body: B
    tz_min: Annotated[int, Meta(ge=-1440, le=1440)] | None = None
    order: Id | None = None
    parcel: Id | None = None
    code: Code | None = None
    at: Id | None = None
    by: Word | None = None


class Left(Struct, frozen=True, kw_only=True):
    """What of an order line is still to be picked or packed."""

    sku: Id
    qty: Count


class Expected(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the bridge would have taken instead: where a device can show it to its worker."""

    order: Id | None = None
    parcel: Id | None = None
    sku: Id | None = None
    rev: Uint | None = None


if TYPE_CHECKING:
    OrderStateWord = str
    StateWord = str
else:
    OrderStateWord = Literal[ORDER_STATE_WORDS]
    StateWord = Literal[tuple(dict.fromkeys((*ORDER_STATE_WORDS, *map(str, ParcelState), *map(str, Waypoint))))]


class Receipt(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The bridge's answer to one event. The highest `n` holds; `final` says that no other is expected."""

    n: Annotated[int, Meta(ge=1, le=1_000_000)]
    final: bool
    outcome: Outcome
    tone: Tone
    at_ms: Uint
    id: EventId | None = None
    digest: Bytes8 | None = None
    log: Bytes8 | None = None
    seq: Annotated[int, Meta(ge=1, le=UINT_MAX)] | None = None
    again: bool = False
    order: Id | None = None
    parcel: Id | None = None
    state: OrderStateWord | None = None
    rev: Uint | None = None
    reason: Reason | None = None
    detail: Annotated[str, Meta(max_length=200, pattern=NO_NUL)] | None = None
    next: Next | None = None
    left: Annotated[list[Left], Meta(max_length=500)] | None = None
    expected: Expected | None = None
    warn: Annotated[list[Warn], Meta(max_length=8)] | None = None


class Progress(Struct, frozen=True, kw_only=True):
    """Counts of parcels. `packed`, `shipped` and `delivered` count parcels that are there or further."""

    parcels: Uint
    packed: Uint
    shipped: Uint
    delivered: Uint
    exceptions: Uint


class Milestone(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A state that was reached. Where it was `inferred` from a later one, `at_ms` is the latest it can have been."""

    state: StateWord
    at_ms: Uint | None = None
    expected_ms: Uint | None = None
    inferred: bool = False


class Last(Struct, frozen=True, kw_only=True):
    type: EventType
    at_ms: Uint


Milestones = Annotated[list[Milestone], Meta(max_length=64)]
Flags = Annotated[list[Flag], Meta(max_length=16)]


class Eta(Struct, frozen=True, kw_only=True):
    from_ms: Uint
    to_ms: Uint
    made_ms: Uint
    source: Word


class OrderStatus(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The retained status of an order."""

    order: Id
    state: OrderStateWord
    flags: Flags
    rev: Uint
    at_ms: Uint
    updated_ms: Uint
    progress: Progress
    percent: Annotated[int, Meta(ge=0, le=100)]
    milestones: Milestones
    last: Last
    hash: Bytes8
    eta: Eta | None = None


class ParcelStatus(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The retained status of one parcel."""

    parcel: Id
    order: Id
    state: ParcelState
    flags: Flags
    rev: Uint
    at_ms: Uint
    milestones: Milestones
    hash: Bytes8
    where: Id | None = None


class Presence(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A device is there, or (its will) no longer. Published on every connect, before events: it gives the first clock sample."""

    online: bool
    boot: Bytes8
    log: Bytes8 | None = None
    last_seq: Uint | None = None
    backlog: Uint | None = None
    battery_percent: Annotated[int, Meta(ge=0, le=100)] | None = None
    firmware: Word | None = None
    at_ms: Uint | None = None
    mono_ms: Uint | None = None


LatE7 = Annotated[int, Meta(ge=-900_000_000, le=900_000_000)]
LonE7 = Annotated[int, Meta(ge=-1_800_000_000, le=1_800_000_000)]
Metres = Annotated[int, Meta(ge=0, le=100_000)]


class Point(Struct, frozen=True, array_like=True):
    """One fix, as an array: `[mono_ms, lat_e7, lon_e7, accuracy_m, speed_dm_s or null]`."""

    mono_ms: Uint
    lat_e7: LatE7
    lon_e7: LonE7
    accuracy_m: Metres
    speed_dm_s: Annotated[int, Meta(ge=0, le=10_000)] | None


class LocationBatch(Struct, frozen=True, kw_only=True):
    log: Bytes8
    boot: Bytes8
    sent_mono_ms: Uint
    points: Annotated[list[Point], Meta(min_length=1, max_length=POINTS_MAX)]


class Position(Struct, frozen=True, kw_only=True):
    lat_e7: LatE7
    lon_e7: LonE7
    accuracy_m: Metres
    at_ms: Uint


class Stop(Struct, frozen=True, kw_only=True):
    """One stop of a job, with the codes of its parcels so that a phone can check scans without signal."""

    stop: Id
    orders: Annotated[list[Id], Meta(max_length=500)]
    parcels: Annotated[list[Id], Meta(max_length=500)]
    codes: Annotated[list[Code], Meta(max_length=500)]
    handling: Annotated[list[Word], Meta(max_length=32)]


class Assignment(Struct, frozen=True, kw_only=True, omit_defaults=True):
    job: Id
    rev: Uint
    state: JobState
    stops: Annotated[list[Stop], Meta(max_length=500)]
    lease_until_ms: Uint | None = None


class Alert(Struct, frozen=True, kw_only=True):
    code: AlertCode
    subject: Id
    severity: Severity
    since_ms: Uint
    text: Annotated[str, Meta(max_length=500, pattern=NO_NUL)]
    fix: Annotated[str, Meta(max_length=500, pattern=NO_NUL)]


class BridgeState(Struct, frozen=True, kw_only=True):
    online: bool
    version: Word
    started_ms: Uint
    contract: Word


CONTRACT_VERSION = "1"

MESSAGES: tuple[Any, ...] = (
    Receipt,
    OrderStatus,
    ParcelStatus,
    Presence,
    LocationBatch,
    Position,
    Eta,
    Assignment,
    Alert,
    BridgeState,
)
"""Every payload beside `Event`, which has one form for each row of `BODIES`."""

BYTES_FIELDS: frozenset[str] = frozenset({"id", "log", "boot", "sent_boot", "digest", "hash", "ref", "corrective"})
"""Fields that are bytes wherever they stand; in JSON they are lowercase hex. A test compares this with the structs."""


# --- decoding -------------------------------------------------------------------------------------------------------------

_BUILTIN_TAGS = (*range(6), 25, 28, 29, 30, 35, 36, 37, 52, 54, 100, 256, 258, 260, 261, 1004, 43000, 55799)


def _refuse_tag(*_: object) -> NoReturn:
    raise PayloadError("payload: tags are not allowed")


_MARK = os.urandom(16)
_MARK_ITEM = b"\x50" + _MARK
_SEMANTIC = dict.fromkeys(_BUILTIN_TAGS, _refuse_tag)


def load_cbor(payload: bytes) -> Any:
    """The value of one strict CBOR item.

    Raises:
        PayloadError: where it is not exactly one item, is nested too deep, or holds tags, indefinite lengths or duplicate keys.
    """
    # `loads` passes over what stands behind an item. So the payload is read as the first of two items, the second being a mark that
    # no sender knows: only a payload that ends where its item ends leaves it in place. (A decoder on a stream takes twice as long.)
    try:
        value, mark = cbor2.loads(
            b"\x82" + payload + _MARK_ITEM,
            tag_hook=_refuse_tag,
            semantic_decoders=_SEMANTIC,
            max_depth=DEPTH_MAX + 1,
            allow_indefinite=False,
            allow_duplicate_keys=False,
            strict_hashable_types=True,
        )
    except PayloadError:
        raise
    except Exception as error:
        if isinstance(error.__cause__, PayloadError):
            raise error.__cause__ from None
        raise PayloadError(f"payload: not CBOR of this contract ({_first_line(error)})") from error
    if mark != _MARK:
        raise PayloadError("payload: bytes after the end of the CBOR item")
    return value


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise PayloadError("payload: a key stands twice in one object")
    return found


def load_json(payload: bytes) -> Any:
    """The value of one JSON text, with the contract's bytes fields turned from hex into bytes.

    Raises:
        PayloadError: where it is not JSON, is nested too deep, or repeats a key.
    """
    if _json_depth(payload) > DEPTH_MAX:
        raise PayloadError(f"payload: nested deeper than {DEPTH_MAX}")
    try:
        value = json.loads(payload, object_pairs_hook=_no_duplicates, parse_constant=_refuse_constant)
        # Half of a surrogate pair can be written in JSON, but is no text that could ever be stored or sent on.
        json.dumps(value, ensure_ascii=False).encode()
    except PayloadError:
        raise
    except (ValueError, RecursionError) as error:
        raise PayloadError(f"payload: not JSON ({_first_line(error)})") from error
    return _unhex(value)


def _refuse_constant(constant: str) -> NoReturn:
    raise PayloadError(f"payload: {constant} is no JSON number")


def _json_depth(payload: bytes) -> int:
    depth = deepest = 0
    # The possessive *+ keeps a text that never ends from being tried again at every quote.
    for mark in re.findall(rb'"(?:[^"\\]|\\.)*+(?:"|\Z)|[\[{]|[\]}]', payload, re.DOTALL):
        if mark in (b"{", b"["):
            depth += 1
            deepest = max(deepest, depth)
        elif mark in (b"}", b"]"):
            depth -= 1
    return deepest


def _unhex(value: Any) -> Any:
    """Bytes fields from hex. What is not lowercase hex stays a text: where bytes are needed it is then refused with its path."""
    if isinstance(value, dict):
        return {k: _bytes_of(v) if k in BYTES_FIELDS else _unhex(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_unhex(v) for v in value]
    return value


_HEX = re.compile(r"(?:[0-9a-f]{2})*\Z")


def _bytes_of(value: Any) -> Any:
    if isinstance(value, list):
        return [_bytes_of(v) for v in value]
    return bytes.fromhex(value) if isinstance(value, str) and _HEX.match(value) else value


def load(payload: bytes) -> Any:
    """The plain value of a payload: JSON where the first byte is `{`, else CBOR."""
    return load_json(payload) if payload[:1] == b"{" else load_cbor(payload)


_T = TypeVar("_T")

_NAMES = {"int": "uint", "str": "text", "object": "map", "bytes": "bytes", "array": "array", "bool": "bool", "float": "float", "null": "null"}
_RANGE_NAMES = {"int": "integer"}
_EXPECTED = re.compile(r"Expected `([^`]+)`, got `([^`]+)`(?: - at `(.*)`)?\Z")
_MISSING = re.compile(r"Object missing required field `([^`]+)`(?: - at `(.*)`)?\Z")
_RANGE = re.compile(r"Expected `([^`]+)` (.*?)(?: - at `(.*)`)?\Z")
_ENUM = re.compile(r"Invalid enum value (.*?)(?: - at `(.*)`)?\Z")


def _path(where: str | None) -> str:
    place = (where or "$").removeprefix("key` in `")
    return place.removeprefix("$.") if place != "$" else "payload"


def _word(types: str) -> str:
    return " or ".join(_NAMES.get(t, t) for t in types.split(" | ") if t != "null")


def explain(error: msgspec.ValidationError) -> str:
    """A validation error in the contract's words: `body.weight_g: expected uint, got text`."""
    said = str(error)
    if m := _EXPECTED.match(said):
        return f"{_path(m[3])}: expected {_word(m[1])}, got {_word(m[2]) or 'null'}"
    if m := _MISSING.match(said):
        prefix = "" if m[2] in (None, "$") else f"{_path(m[2])}."
        return f"{prefix}{m[1]}: missing"
    if m := _RANGE.match(said):
        return f"{_path(m[3])}: expected {_RANGE_NAMES.get(m[1]) or _word(m[1])} {m[2]}".replace("matching regex '^[^\\\\x00]*$'", "without NUL")
    if m := _ENUM.match(said):
        return f"{_path(m[2])}: {m[1]} is not in the vocabulary"
    return said


def convert(value: Any, kind: type[_T]) -> _T:
    """A plain value as a message.

    Raises:
        PayloadError: naming the path of the first field that is missing or ill-typed.
    """
    try:
        return msgspec.convert(value, kind, builtin_types=(bytes,))
    except msgspec.ValidationError as error:
        raise PayloadError(explain(error)) from error


def decode(payload: bytes, kind: type[_T]) -> _T:
    """A payload as a message; unknown fields are passed over.

    Raises:
        PayloadError: where the payload breaks the contract.
    """
    return convert(load(payload), kind)


EVENT_KINDS: dict[EventType, type[Event[Any]]] = {t: cast("type[Event[Any]]", Event[body]) for t, body in BODIES.items()}  # type: ignore[valid-type]
"""The whole payload of every event type."""


def decode_event(payload: bytes, event_type: EventType) -> Event[Body]:
    """An event's payload, its body as its type asks.

    Raises:
        PayloadError: where the payload breaks the contract.
    """
    event = convert(load(payload), EVENT_KINDS[event_type])
    for name in ("order", "parcel", "at"):
        value = getattr(event, name)
        if value is not None:
            _check_level(name, value)
    if event_type in _NAMES_TOPICS:
        for name in ("courier", "job"):
            value = getattr(event.body, name, None)
            if value is not None:
                _check_level(f"body.{name}", value)
    return event


_NAMES_TOPICS = frozenset({EventType.ASSIGNED, EventType.UNASSIGNED, EventType.CLAIM, EventType.DECLINE})


@lru_cache(maxsize=4096)
def _check_level(name: str, value: str) -> None:
    try:
        escape(value)
    except ValueError as error:
        raise PayloadError(f"{name}: {error}") from error


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:120]


# --- encoding -------------------------------------------------------------------------------------------------------------


def plain(message: Struct) -> dict[str, Any]:
    """A message as plain maps, lists, numbers, texts and bytes; optional fields that are not set are left out."""
    return cast("dict[str, Any]", _without_none(msgspec.to_builtins(message, builtin_types=(bytes,))))


def _without_none(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _without_none(v) for k, v in value.items() if v is not None}
    if isinstance(value, list):
        return [_without_none(v) for v in value]
    return value


def encode_cbor(value: Any) -> bytes:
    """A plain value in core deterministic encoding (RFC 8949 §4.2.1)."""
    return cbor2.dumps(value, canonical=True)


def encode_json(value: Any) -> bytes:
    """A plain value as JSON, bytes as lowercase hex."""
    return json.dumps(value, default=bytes.hex, ensure_ascii=False, separators=(",", ":")).encode()


def encode(message: Struct) -> bytes:
    """A message as CBOR."""
    return encode_cbor(plain(message))
