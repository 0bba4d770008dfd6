"""The contract for other languages, generated from the code: CDDL (RFC 8610), an AsyncAPI 3 document and the table of topics.

Everything comes from the types of `device_messages.py`, `bridge_messages.py` and `bodies.py`, and from `TOPIC_TABLE`; nothing about a payload is written twice.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator
from enum import Enum
from typing import Any, Final

from msgspec import inspect

from devices.protocol import bodies, bridge_messages, device_messages, encoding, fields, messages
from devices.protocol.reasons import REASONS, Condition
from devices.protocol.topics import TOPIC_TABLE, TopicRow
from devices.protocol.vocabulary import AlertCode, EventType

CDDL_HEADER: Final = """\
; The wire contract of dockbridge, version {version}: CDDL (RFC 8610) of every payload.
; Generated from the code by `dockbridge contract show cddl`; a test compares this file with the code. Do not edit it.
;
; What CDDL cannot say, and the bridge still demands:
; - one CBOR item in a payload and no bytes after it; deterministic encoding (RFC 8949 section 4.2.1) is what the bridge writes;
; - no key twice in a map, no tags (bignums among them), no indefinite lengths, at most {depth} maps and arrays inside each other;
; - `order`, `parcel` and `at` of an event become topic levels: at most 96 characters after escaping (`PO 17` is `PO~2017`);
; - JSON, where a site uses it, has the same fields, with bytes as lowercase hex;
;   16 bytes may also be a UUID with hyphens, and blanks may stand before the object;
; - a float without a fraction, up to 2^53, is taken for the integer that it is: JavaScript encodes large numbers so;
; - `.regexp` matches the whole text (XSD), and counts characters, not bytes. Unknown fields are allowed everywhere."""

_NAMED: Final[list[tuple[inspect.Type, str]]] = [
    (inspect.type_info(kind), name)
    for name, kind in {
        "uint53": fields.Uint,
        "wall-clock": fields.WallClock,
        "count": fields.Count,
        "id": fields.Id,
        "word": fields.Word,
        "code": fields.Code,
        "country": fields.Country,
        "currency": fields.Currency,
        "event-id": fields.EventId,
        "bytes8": fields.Bytes8,
        "millimetres": fields.Millimetres,
        "lat-e7": fields.LatE7,
        "lon-e7": fields.LonE7,
        "metres": fields.Metres,
        "order-state-word": bridge_messages.OrderStateWord,
    }.items()
]
"""Types that have a rule of their own in the CDDL, so that a reader meets each range once."""

_ANY_CHAR: Final = r"(.|[\u000A\u000D])"
_NO_NUL_CHAR: Final = r"[^\u0000]"


# --- CDDL -----------------------------------------------------------------------------------------------------------------


def cddl() -> str:
    """The whole contract as CDDL: every message, every event type, every body. The first rule matches any payload."""
    events = [f"event-{_kebab(t)}" for t in bodies.BODIES]
    kinds = [_struct(m) for m in messages.MESSAGES]
    parts = [
        CDDL_HEADER.format(version=messages.CONTRACT_VERSION, depth=encoding.DEPTH_MAX),
        _choice("payload", ["event", *(_rule_name(k) for k in kinds)]),
        _choice("event", events),
        "; What every event says beside its body; order, parcel and at become topic levels.\n" + _rule("envelope", "(", [_entry(f) for f in _envelope()], ")"),
        "\n".join(_event_rule(t) for t in bodies.BODIES),
        *(_struct_rule(s) for s in _structs()),
        "; The closed lists.\n" + "\n".join(_choice(_kebab(e.__name__), [f'"{m.value}"' for m in e]) for e in _enums()),
        _reasons(),
        "; Shared types.\n" + "\n".join(_wrapped(f"{name} = {_spelled(kind)}") for kind, name in _NAMED),
    ]
    return "\n\n".join(parts) + "\n"


def _event_rule(event_type: EventType) -> str:
    body = _rule_name(_struct(bodies.BODIES[event_type]))
    return f"event-{_kebab(event_type)} = {{ envelope, body: {body}, * tstr => any }}"


def _reasons() -> str:
    """The closed lists of reasons as a comment: the wire takes any word."""
    text = "Reasons by event type, and conditions of what was returned. A reader must accept other words, and show them as `other`."
    lists = [f"{event_type}: {', '.join(words)}." for event_type, words in REASONS.items()] + [f"condition: {', '.join(Condition)}."]
    return "\n".join(textwrap.fill(said, 120, initial_indent="; ", subsequent_indent=";   ") for said in (text, *lists))


def _struct_rule(kind: inspect.StructType) -> str:
    doc = "".join(f"; {line}\n" for line in textwrap.wrap(_summary(kind.cls).replace("`", ""), 120))
    if kind.array_like:
        return doc + _rule(_rule_name(kind), "[", [*(f"{f.encode_name}: {_type(f.type)}" for f in kind.fields), "* any"], "]")
    return doc + _rule(_rule_name(kind), "{", [*(_entry(f) for f in kind.fields), "* tstr => any"], "}")


def _rule(name: str, opening: str, entries: list[str], closing: str) -> str:
    if len(entries) == 1:
        return f"{name} = {opening} {entries[0]} {closing}"
    return "\n".join([f"{name} = {opening}", *(_wrapped(f"  {entry},") for entry in entries), closing])


def _choice(name: str, options: list[str]) -> str:
    return _wrapped(f"{name} = {' / '.join(options)}")


def _wrapped(rule: str) -> str:
    if len(rule) <= 120 or " / " not in rule:
        return rule
    return textwrap.fill(rule, 120, subsequent_indent="    ", break_long_words=False, break_on_hyphens=False)


def _entry(field: inspect.Field) -> str:
    return f"{'' if field.required else '? '}{field.encode_name}: {_type(field.type)}"


def _type(kind: inspect.Type) -> str:
    """A type where it is used: its rule's name if it has one."""
    return next((name for named, name in _NAMED if named == kind), None) or _spelled(kind)


def _spelled(kind: inspect.Type) -> str:
    match kind:
        case inspect.BoolType():
            return "bool"
        case inspect.NoneType():
            return "null"
        case inspect.IntType():
            return f"{kind.ge}..{kind.le}"
        case inspect.BytesType():
            return f"bstr .size {kind.min_length if kind.min_length == kind.max_length else f'({kind.min_length}..{kind.max_length})'}"
        case inspect.StrType():
            return "tstr" if kind.max_length is None else f'tstr .regexp "{_regexp(kind)}"'
        case inspect.EnumType():
            return _kebab(kind.cls.__name__)
        case inspect.LiteralType():
            return " / ".join(f'"{value}"' for value in kind.values)
        case inspect.ListType():
            return f"[{kind.min_length or 0}*{kind.max_length} {_type(kind.item_type)}]"
        case inspect.DictType():
            return f"{{ * {_type(kind.key_type)} => {_type(kind.value_type)} }}"
        case inspect.UnionType():
            return " / ".join(_type(t) for t in kind.types)
        case inspect.StructType():
            return _rule_name(kind)
    raise TypeError(f"the contract has no word for {kind}")


def _regexp(kind: inspect.StrType) -> str:
    """The XSD regular expression of a text: `.size` would count bytes, so the length stands in the expression."""
    pattern = (kind.pattern or "").removeprefix("^").removesuffix("$")
    if pattern and pattern != r"[^\x00]*":
        return pattern
    return f"{_NO_NUL_CHAR if pattern else _ANY_CHAR}{{{kind.min_length or 0},{kind.max_length}}}"


def _rule_name(kind: inspect.StructType) -> str:
    prefix = "body-" if kind.cls in bodies.BODIES.values() else ""
    return prefix + _kebab(kind.cls.__name__)


def _kebab(name: str) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "-", name).replace("_", "-").lower()


# --- what there is --------------------------------------------------------------------------------------------------------


def _struct(kind: Any) -> inspect.StructType:
    info = inspect.type_info(kind)
    if not isinstance(info, inspect.StructType):
        raise TypeError(f"{kind} is not a struct")
    return info


def _roots() -> list[inspect.StructType]:
    """Every message, and every body in place of the events."""
    return [_struct(kind) for kind in (*messages.MESSAGES, *bodies.BODIES.values())]


def _envelope() -> list[inspect.Field]:
    return [field for field in _struct(device_messages.EVENT_KINDS[EventType.PICK]).fields if field.name != "body"]


def reached(kind: inspect.Type) -> Iterator[inspect.Type]:
    """A type and all that it is made of, outermost first."""
    yield kind
    match kind:
        case inspect.StructType():
            inner: tuple[inspect.Type, ...] = tuple(field.type for field in kind.fields)
        case inspect.UnionType():
            inner = kind.types
        case inspect.ListType():
            inner = (kind.item_type,)
        case _:
            inner = ()
    for part in inner:
        yield from reached(part)


def _structs() -> list[inspect.StructType]:
    """Every struct but the events, each once, in order of first use."""
    found = [kind for root in _roots() for kind in reached(root) if isinstance(kind, inspect.StructType)]
    return list({kind.cls: kind for kind in found}.values())


def _enums() -> list[type[Enum]]:
    return list(dict.fromkeys(kind.cls for root in _roots() for kind in reached(root) if isinstance(kind, inspect.EnumType)))


def _summary(kind: type) -> str:
    """The first paragraph of a class's docstring, or nothing. `Event[Pack]` has the docstring of `Event`."""
    text = getattr(kind, "__origin__", kind).__doc__ or ""
    return " ".join(text.strip().split("\n\n")[0].split())


# --- AsyncAPI -------------------------------------------------------------------------------------------------------------

PARAMETERS: Final = {
    "site": "The tenant.",
    "device": "The device's id, as it authenticates.",
    "type": "The event type; it says what the body holds.",
    "courier": "The courier's id.",
    "job": "The job's id.",
    "order": "The order's id, unique in its site.",
    "parcel": "The parcel's id.",
    "code": "What the alert is about.",
    "subject": "Whom or what the alert concerns: an order, a parcel, a device.",
}
_ENUMERATED: Final[dict[str, list[str]]] = {
    "type": [str(t) for t in EventType],
    "code": [str(c) for c in AlertCode],
}
_LEVEL: Final = " As a topic level: `[A-Za-z0-9_~-]{1,96}`, any other character written `~XX`, hex of its UTF-8 bytes."


def asyncapi() -> dict[str, Any]:
    """An AsyncAPI 3.0.0 document of every topic; `send` and `receive` are the bridge's."""
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "dockbridge",
            "version": messages.CONTRACT_VERSION,
            "description": "Payloads are CBOR (RFC 8949, core deterministic encoding). Uplink may also be JSON, and a site may have the bridge publish "
            "JSON: the same fields, bytes as lowercase hex, as the schemas show them. `contract.cddl` says the same for CBOR.",
        },
        "defaultContentType": "application/cbor",
        "servers": {"site": {"host": "localhost:1883", "protocol": "mqtt", "protocolVersion": "3.1.1", "description": "The bridge's own broker."}},
        "channels": {_channel_id(row): _channel(row) for row in TOPIC_TABLE},
        "operations": {f"{_action(row)}-{_channel_id(row)}": _operation(row) for row in TOPIC_TABLE},
        "components": {
            "messages": {name: _message(name, kind) for row in TOPIC_TABLE for name, kind in _payloads(row).items()},
            "schemas": {
                **{name: _struct_schema(kind) for row in TOPIC_TABLE for name, kind in _payloads(row).items()},
                **{_rule_name(kind): _struct_schema(kind) for kind in _structs()},
                **{_kebab(e.__name__): {"type": "string", "enum": [m.value for m in e], "description": _summary(e)} for e in _enums()},
            },
        },
    }


def _channel_id(row: TopicRow) -> str:
    """`devices-receipts`: the literal levels of the topic's shape below the version."""
    return "-".join(level for level in row.shape.split("/")[1:] if not level.startswith("{"))


def _action(row: TopicRow) -> str:
    return "send" if row.publisher.startswith("bridge") else "receive"


def _payloads(row: TopicRow) -> dict[str, inspect.StructType]:
    """The messages of a topic, by name."""
    if row.payload == "Event":
        kinds: dict[str, Any] = {f"event-{_kebab(t)}": kind for t, kind in device_messages.EVENT_KINDS.items()}
    else:
        kinds = {_kebab(m.__name__): m for m in messages.MESSAGES if m.__name__ in row.payload.split(" or ")}
    return {name: _struct(kind) for name, kind in kinds.items()}


def _channel(row: TopicRow) -> dict[str, Any]:
    return {
        "address": row.shape,
        "description": _delivery(row),
        "servers": [{"$ref": "#/servers/site"}],
        "parameters": {name: _parameter(name) for name in re.findall(r"{(\w+)}", row.shape)},
        "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in _payloads(row)},
    }


def _parameter(name: str) -> dict[str, Any]:
    if name in _ENUMERATED:
        return {"description": PARAMETERS[name], "enum": _ENUMERATED[name]}
    return {"description": PARAMETERS[name] + _LEVEL}


def _delivery(row: TopicRow) -> str:
    return f"Published by {row.publisher}; QoS {row.qos}; retained: {row.retained}."


def _operation(row: TopicRow) -> dict[str, Any]:
    channel = _channel_id(row)
    return {
        "action": _action(row),
        "channel": {"$ref": f"#/channels/{channel}"},
        "summary": _delivery(row),
        "messages": [{"$ref": f"#/channels/{channel}/messages/{name}"} for name in _payloads(row)],
        "bindings": {"mqtt": {"qos": int(row.qos[0]), "retain": row.retained.startswith("yes"), "bindingVersion": "0.2.0"}},
    }


def _message(name: str, kind: inspect.StructType) -> dict[str, Any]:
    reasons = [str(word) for event_type, words in REASONS.items() if name == f"event-{_kebab(event_type)}" for word in words]
    return {
        "name": name,
        "summary": _summary(kind.cls),
        "contentType": "application/cbor",
        "x-also": "application/json",
        "payload": {"$ref": f"#/components/schemas/{name}"},
    } | ({"x-reasons": reasons} if reasons else {})


def _struct_schema(kind: inspect.StructType) -> dict[str, Any]:
    """The JSON form of a struct (JSON Schema draft 7, as AsyncAPI 3 takes it)."""
    shown = {field.encode_name: _schema(field.type) for field in kind.fields}
    about = {"description": _summary(kind.cls)}
    if kind.array_like:
        return about | {"type": "array", "items": list(shown.values()), "minItems": len(shown)}
    required = [field.encode_name for field in kind.fields if field.required]
    return about | {"type": "object", "properties": shown} | ({"required": required} if required else {})


def _schema(kind: inspect.Type) -> dict[str, Any]:
    match kind:
        case inspect.BoolType():
            return {"type": "boolean"}
        case inspect.NoneType():
            return {"type": "null"}
        case inspect.IntType():
            return {"type": "integer", "minimum": kind.ge, "maximum": kind.le}
        case inspect.BytesType():
            return {"type": "string", "pattern": _hex_pattern(kind)}
        case inspect.StrType():
            said = {"minLength": kind.min_length, "maxLength": kind.max_length, "pattern": kind.pattern}
            return {"type": "string"} | {key: value for key, value in said.items() if value is not None}
        case inspect.LiteralType():
            return {"type": "string", "enum": list(kind.values)}
        case inspect.ListType():
            return {"type": "array", "items": _schema(kind.item_type), "minItems": kind.min_length or 0, "maxItems": kind.max_length}
        case inspect.DictType():
            return {"type": "object", "additionalProperties": _schema(kind.value_type)}
        case inspect.UnionType():
            return {"anyOf": [_schema(t) for t in kind.types]}
        case inspect.EnumType():
            return {"$ref": f"#/components/schemas/{_kebab(kind.cls.__name__)}"}
        case inspect.StructType():
            return {"$ref": f"#/components/schemas/{_rule_name(kind)}"}
    raise TypeError(f"the contract has no word for {kind}")


def _hex_pattern(kind: inspect.BytesType) -> str:
    if kind.min_length == kind.max_length:
        return f"^[0-9a-f]{{{2 * (kind.min_length or 0)}}}$"
    return f"^([0-9a-f]{{2}}){{{kind.min_length},{kind.max_length}}}$"


# --- topics ---------------------------------------------------------------------------------------------------------------


def topic_table() -> str:
    """The table of topics in Markdown."""
    rows = [("topic", "who publishes", "QoS", "retained", "payload"), ("---",) * 5]
    rows += [(f"`{row.shape}`", row.publisher, row.qos, row.retained, f"`{row.payload}`") for row in TOPIC_TABLE]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)
