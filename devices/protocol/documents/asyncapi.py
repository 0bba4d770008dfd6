"""The contract as an AsyncAPI 3 document: every topic, with its messages as JSON Schema (draft 7) and an example of each."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from msgspec import inspect

from devices.protocol import messages
from devices.protocol.documents import descriptions, examples, shapes
from devices.protocol.reasons import REASONS
from devices.protocol.topics import TOPIC_TABLE, TopicRow
from devices.protocol.vocabulary import AlertCode, EventType

PARAMETERS: Final = {
    "site": "The site: the tenant of the server.",
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
    """An AsyncAPI 3.0.0 document of every topic; `send` and `receive` are the server's."""
    named = {name: kind for row in TOPIC_TABLE for name, kind in _payloads(row).items()}
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "dockbridge",
            "version": messages.CONTRACT_VERSION,
            "description": "Payloads are CBOR (RFC 8949, core deterministic encoding). Devices may also send JSON, and a site may have the server publish "
            "JSON: the same fields, bytes as lowercase hex, as the schemas and examples show them. `dockbridge contract show cddl` says the same for CBOR, "
            "`dockbridge contract show guide` how to write a client, `dockbridge contract show events` what each event does.",
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": "application/cbor",
        "servers": {"site": {"host": "localhost:1883", "protocol": "mqtt", "protocolVersion": "3.1.1", "description": "The server's own broker."}},
        "channels": {channel_id(row): _channel(row) for row in TOPIC_TABLE},
        "operations": {f"{_action(row)}{_capital(channel_id(row))}": _operation(row) for row in TOPIC_TABLE},
        "components": {
            "messages": {name: _message(name, kind) for name, kind in named.items()},
            "schemas": {
                **{name: _struct_schema(kind, about=_about_payload(name, kind)) for name, kind in named.items()},
                **{shapes.struct_name(kind): _struct_schema(kind) for kind in shapes.structs()},
                **{e.__name__: _list_schema(descriptions.of_class(e), descriptions.of_words(e)) for e in shapes.closed_lists()},
                **{name: _state_schema(name) for name in ("OrderStateWord", "StateWord")},
            },
        },
    }


def channel_id(row: TopicRow) -> str:
    """`devicesReceipts`: the literal levels of the topic's shape below the version."""
    first, *rest = (level for level in row.shape.split("/")[1:] if not level.startswith("{"))
    return first + "".join(map(_capital, rest))


def _capital(word: str) -> str:
    return word[:1].upper() + word[1:]


def _action(row: TopicRow) -> str:
    return "send" if row.publisher.startswith("bridge") else "receive"


def _payloads(row: TopicRow) -> dict[str, inspect.StructType]:
    """The messages of a topic, by name."""
    if row.payload == "Event":
        return {shapes.event_name(t): shapes.event(t) for t in EventType}
    return {m.__name__: shapes.struct(m) for m in messages.MESSAGES if m.__name__ in row.payload.split(" or ")}


def _about_payload(name: str, kind: inspect.StructType) -> str:
    event_type = next((t for t in EventType if shapes.event_name(t) == name), None)
    return descriptions.of_class(kind.cls) if event_type is None else descriptions.of_words(EventType)[event_type]


def _channel(row: TopicRow) -> dict[str, Any]:
    return {
        "address": row.shape,
        "description": f"{row.about} {_delivery(row)}",
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
    channel = channel_id(row)
    return {
        "action": _action(row),
        "channel": {"$ref": f"#/channels/{channel}"},
        "summary": _delivery(row),
        "messages": [{"$ref": f"#/channels/{channel}/messages/{name}"} for name in _payloads(row)],
        "bindings": {"mqtt": {"qos": int(row.qos[0]), "retain": row.retained.startswith("yes"), "bindingVersion": "0.2.0"}},
    }


def _message(name: str, kind: inspect.StructType) -> dict[str, Any]:
    reasons = [str(word) for event_type, words in REASONS.items() if name == shapes.event_name(event_type) for word in words]
    return {
        "name": name,
        "summary": _about_payload(name, kind),
        "contentType": "application/cbor",
        "x-also": "application/json",
        "payload": {"$ref": f"#/components/schemas/{name}"},
        "examples": [{"name": example.name, "summary": example.about, "payload": examples.as_json(example.payload)} for example in examples.of_message(name)],
    } | ({"x-reasons": reasons} if reasons else {})


# --- schemas --------------------------------------------------------------------------------------------------------------


def _struct_schema(kind: inspect.StructType, about: str | None = None) -> dict[str, Any]:
    """The JSON form of a struct. A field that may be left out has the schema of its value alone: null in its place is read as left out."""
    said = descriptions.of_fields(kind.cls)
    value_of = _same if kind.array_like else shapes.without_null
    shown = {field.encode_name: _described(_schema(value_of(field.type)), said[field.name]) for field in kind.fields}
    head = {"description": descriptions.of_class(kind.cls) if about is None else about}
    if kind.array_like:
        return head | {"type": "array", "items": list(shown.values()), "minItems": len(shown)}
    required = [field.encode_name for field in kind.fields if field.required]
    return head | {"type": "object", "properties": shown} | ({"required": required} if required else {})


def _same(kind: inspect.Type) -> inspect.Type:
    return kind


def _described(schema: dict[str, Any], about: str) -> dict[str, Any]:
    """A schema with a text. Draft 7 passes over what stands beside `$ref`: there it is for people. (One level down, in `allOf`, it would make types without
    a name of all that generators make of this document.)"""
    return {"description": about} | schema


def _list_schema(about: str, words: Mapping[str, str]) -> dict[str, Any]:
    said = " ".join(f"`{word}`: {text}" for word, text in words.items())
    return {"type": "string", "description": f"{about} {said}", "enum": list(words)}


def _state_schema(name: str) -> dict[str, Any]:
    kind = shapes.NAMED[name]
    assert isinstance(kind, inspect.LiteralType)
    return {"type": "string", "description": shapes.about_name(name), "enum": list(kind.values)}


def _schema(kind: inspect.Type) -> dict[str, Any]:
    match kind:
        case inspect.BoolType():
            return {"type": "boolean"}
        case inspect.IntType():
            return {"type": "integer", "minimum": kind.ge, "maximum": kind.le}
        case inspect.BytesType():
            return {"type": "string", "pattern": _hex_pattern(kind)}
        case inspect.StrType():
            said = {"minLength": kind.min_length, "maxLength": kind.max_length, "pattern": kind.pattern}
            return {"type": "string"} | {key: value for key, value in said.items() if value is not None}
        case inspect.ListType():
            return {"type": "array", "items": _schema(kind.item_type), "minItems": kind.min_length or 0, "maxItems": kind.max_length}
        case inspect.UnionType():
            one = _schema(shapes.without_null(kind))
            return one | {"type": [one["type"], "null"]}
        case inspect.EnumType() | inspect.StructType() | inspect.LiteralType():
            return {"$ref": f"#/components/schemas/{shapes.name_of(kind)}"}
    raise TypeError(f"the contract has no word for {kind}")


def _hex_pattern(kind: inspect.BytesType) -> str:
    if kind.min_length == kind.max_length:
        return f"^[0-9a-f]{{{2 * (kind.min_length or 0)}}}$"
    return f"^([0-9a-f]{{2}}){{{kind.min_length},{kind.max_length}}}$"
