"""How a payload is encoded and decoded.

CBOR (RFC 8949) in core deterministic encoding (§4.2.1) with text keys; JSON with the same field names, bytes as lowercase hex.
Decoding refuses duplicate keys, tags, indefinite lengths, trailing bytes and depth over 8, and names the path of a bad field.
"""

from __future__ import annotations

import json
import os
import re
from contextlib import suppress
from typing import Any, Final, NoReturn, TypeVar, cast

import cbor2
import msgspec
from msgspec import Struct

DEPTH_MAX: Final = 8
"""Maps and arrays inside each other, in one payload."""

BYTES_FIELDS: frozenset[str] = frozenset({"id", "log", "boot", "sent_boot", "digest", "hash", "ref", "corrective"})
"""Fields that are bytes wherever they stand; in JSON they are lowercase hex. A test compares this with the structs."""


class PayloadError(ValueError):
    """A payload breaks the contract. The text names the path of the field and what was expected there."""


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
        PayloadError: it is not exactly one item, is nested too deep, or holds tags, indefinite lengths or duplicate keys.
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
        PayloadError: it is not JSON, is nested too deep, or repeats a key.
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
    """Bytes fields from hex. What is not lowercase hex stays a text: if bytes are needed there, it is then refused with its path."""
    if isinstance(value, dict):
        return {k: _bytes_of(v) if k in BYTES_FIELDS else _unhex(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_unhex(v) for v in value]
    return value


_HEX = re.compile(r"(?:[0-9a-f]{2})*\Z")
_UUID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\Z")


def _bytes_of(value: Any) -> Any:
    if isinstance(value, list):
        return [_bytes_of(v) for v in value]
    if not isinstance(value, str):
        return value
    if _UUID.match(value):
        return bytes.fromhex(value.replace("-", ""))
    return bytes.fromhex(value) if _HEX.match(value) else value


def load(payload: bytes) -> Any:
    """The plain value of a payload, in JSON or CBOR.

    Raises:
        PayloadError: it is neither.
    """
    text = json_text(payload)
    if text is not None:
        return load_json(text)
    head = payload[:1]
    if not b"\xa0" <= head <= b"\xbf":  # CBOR's major type 5
        first = f"begins with 0x{head.hex()}" if head else "empty"
        raise PayloadError(f"payload: {first}: neither a JSON object nor a CBOR map")
    return load_cbor(payload)


def json_text(payload: bytes) -> bytes | None:
    """The JSON object of a payload; None if it is CBOR. Blanks and a byte order mark may come before the object (RFC 8259 §2, §8.1)."""
    if payload[:1] not in _BEFORE_JSON:
        return None
    text = payload.removeprefix(_BYTE_ORDER_MARK).lstrip(_BLANKS)
    return text if text[:1] == b"{" else None


_BLANKS = b" \t\n\r"
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_BEFORE_JSON = frozenset((b"{", b"\xef", *(bytes((blank,)) for blank in _BLANKS)))
"""First bytes of a payload in JSON. None of them begins a map in CBOR, and every payload is a map."""


_T = TypeVar("_T")

_NAMES = {"int": "integer", "str": "text", "object": "map", "UndefinedType": "undefined", "CBORSimpleValue": "simple value"}
_EXPECTED = re.compile(r"Expected `([^`]+)`, got `([^`]+)`(?: - at `(.*)`)?\Z")
_MISSING = re.compile(r"Object missing required field `([^`]+)`(?: - at `(.*)`)?\Z")
_RANGE = re.compile(r"Expected `([^`]+)` (.*?)(?: - at `(.*)`)?\Z")
_WORD = re.compile(r"'[a-z0-9_]{1,32}'")
_ENUM = re.compile(r"Invalid enum value (.*?)(?: - at `(.*)`)?\Z")


def _path(where: str | None) -> str:
    place = (where or "$").removeprefix("key` in `")
    return place.removeprefix("$.") if place != "$" else "payload"


def _word(types: str) -> str:
    names = (t.rpartition(".")[2] for t in types.split(" | "))
    return " or ".join(_NAMES.get(name, name) for name in names if name != "null")


def explain(error: msgspec.ValidationError) -> str:
    """A validation error in the contract's words: `body.weight_g: expected integer, got text`."""
    said = str(error)
    if m := _EXPECTED.match(said):
        in_json = " (in JSON: lowercase hex digits)" if (m[1], m[2]) == ("bytes", "str") else ""
        return f"{_path(m[3])}: expected {_word(m[1])}{in_json}, got {_word(m[2]) or 'null'}"
    if m := _MISSING.match(said):
        prefix = "" if m[2] in (None, "$") else f"{_path(m[2])}."
        return f"{prefix}{m[1]}: missing"
    if m := _RANGE.match(said):
        return f"{_path(m[3])}: expected {_word(m[1])} {m[2]}".replace("matching regex '^[^\\\\x00]*$'", "without NUL")
    if m := _ENUM.match(said):
        word = m[1] if _WORD.fullmatch(m[1]) else "this"  # what is no word may be a name: it is not repeated
        return f"{_path(m[2])}: {word} is not in the vocabulary"
    return said


def convert(value: Any, kind: type[_T]) -> _T:
    """A plain value as a message. A float without a fraction is an integer, as in deterministic CBOR: the numbers of JavaScript know no other.

    Raises:
        PayloadError: naming the path of the first field that is missing or ill-typed.
    """
    try:
        return msgspec.convert(value, kind, builtin_types=(bytes,))
    except msgspec.ValidationError as error:
        if not _holds_float(value):
            raise PayloadError(explain(error)) from error
    try:
        return msgspec.convert(_with_integers(value), kind, builtin_types=(bytes,))
    except msgspec.ValidationError as error:
        raise PayloadError(explain(error)) from error


def convert_valid(values: list[Any], kind: type[_T]) -> list[_T]:
    """Those of some plain values that are messages."""
    found: list[_T] = []
    for value in _with_integers(values):
        with suppress(msgspec.ValidationError):
            found.append(msgspec.convert(value, kind, builtin_types=(bytes,)))
    return found


def _holds_float(value: Any) -> bool:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return isinstance(value, float) or any(map(_holds_float, inner))


def _with_integers(value: Any) -> Any:
    """The same value, with integers for floats that are integral and not too large to be exact."""
    if isinstance(value, dict):
        return {name: _with_integers(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_with_integers(inner) for inner in value]
    return int(value) if isinstance(value, float) and value.is_integer() and abs(value) <= _EXACT_MAX else value


_EXACT_MAX = 2.0**53


def decode(payload: bytes, kind: type[_T]) -> _T:
    """A payload as a message; unknown fields are passed over.

    Raises:
        PayloadError: the payload breaks the contract.
    """
    return convert(load(payload), kind)


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
