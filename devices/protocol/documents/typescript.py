"""The contract as TypeScript types, in its CBOR form; `InJson` turns a type into its JSON form."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Final

from msgspec import inspect

from devices.protocol import messages
from devices.protocol.documents import descriptions, shapes
from devices.protocol.reasons import REASONS, Condition
from devices.protocol.topics import TOPIC_TABLE, TopicRow
from devices.protocol.vocabulary import EventType

_WIDTH: Final = 100
_HEADER: Final = """\
// The wire contract of dockbridge, edition {version}, as TypeScript types: the CBOR form, bytes as Uint8Array.
// Generated from the code by `dockbridge contract show typescript`. Do not edit it.

/** A word that the server sends: one of a list, or one of a later edition. A reader must take both. */
export type Open<Word extends string> = Word | (string & {{}});

/** The JSON form of a message: bytes as lowercase hex. */
export type InJson<T> = T extends Uint8Array ? string : T extends object ? {{ [Field in keyof T]: InJson<T[Field]> }} : T;
"""
_EVENTS: Final = """\
export type EventType = keyof Bodies;

/** The payload of an event of this type. */
export type EventOf<Type extends EventType> = DeviceEvent<Bodies[Type]>;

/** An event with its type, which stands in its topic: narrow `event.body` by `type`. */
export type TypedEvent = { [Type in EventType]: { type: Type; event: EventOf<Type> } }[EventType];
"""


def typescript() -> str:
    """Every message, every body, every word."""
    envelope = [*shapes.envelope(), next(f for f in shapes.event(EventType.PICK).fields if f.name == "body")]
    about = descriptions.of_fields(shapes.event(EventType.PICK).cls)
    parts = [
        _HEADER.format(version=messages.CONTRACT_VERSION),
        *(_alias(name, kind) for name, kind in shapes.NAMED.items()),
        *(_words(e.__name__, descriptions.of_class(e), descriptions.of_words(e)) for e in shapes.closed_lists() if e is not EventType),
        _interface("DeviceEvent<Body>", "What every event says. Its type stands in its topic.", [_field(f, about[f.name], is_sent=True) for f in envelope]),
        *(_struct(kind) for kind in shapes.structs()),
        _interface("Bodies", "The body of each event type.", [_event(event_type) for event_type in EventType]),
        _EVENTS,
        _interface("Reasons", "The words for `reason` by event type, and for `condition`. Others are accepted.", _reasons()),
        _interface("Topics", "What each topic carries.", [_topic(row) for row in TOPIC_TABLE]),
    ]
    return "\n".join(part if part.endswith("\n") else part + "\n" for part in parts)


def _comment(text: str, indent: str = "") -> str:
    """A documentation comment; nothing for no text."""
    if not text:
        return ""
    if len(text) <= _WIDTH - len(indent) - 7:
        return f"{indent}/** {text} */\n"
    lines = textwrap.wrap(text, _WIDTH - len(indent) - 3)
    return f"{indent}/**\n" + "".join(f"{indent} * {line}\n" for line in lines) + f"{indent} */\n"


def _interface(name: str, about: str, fields: Iterable[str]) -> str:
    inner = "".join(fields)
    return f"{_comment(about)}export interface {name} {{\n{inner}}}"


def _alias(name: str, kind: inspect.Type) -> str:
    about = _comment(f"{shapes.about_name(name)} {_limits(kind)}".rstrip())
    if isinstance(kind, inspect.ListType):
        return f"{about}export type {name} = {_type(kind.item_type, is_sent=False)}[];"
    return f"{about}export type {name} ={_wrapped(_spelled(kind), '  ')};"


def _limits(kind: inspect.Type) -> str:
    match kind:
        case inspect.IntType():
            return f"From {kind.ge} to {kind.le}."
        case inspect.StrType() if not (kind.pattern or "").startswith("^[A-Z]"):
            return f"At most {kind.max_length} characters."
        case inspect.ListType():
            return f"At most {kind.max_length}."
    return ""


def _words(name: str, about: str, words: Mapping[str, str]) -> str:
    said = "".join(f'{_comment(text, "  ")}  | "{word}"\n' for word, text in words.items())
    return f"{_comment(about)}export type {name} =\n{said.rstrip()};"


def _struct(kind: inspect.StructType) -> str:
    name, about, said = shapes.struct_name(kind), descriptions.of_class(kind.cls), descriptions.of_fields(kind.cls)
    is_sent = kind.cls in shapes.sent_by_devices()
    if kind.array_like:
        items = "".join(f"{_comment(said[f.name], '  ')}  {f.encode_name}: {_type(f.type, is_sent=is_sent)},\n" for f in kind.fields)
        return f"{_comment(about)}export type {name} = [\n{items}];"
    return _interface(name, about, [_field(f, said[f.name], is_sent=is_sent) for f in kind.fields])


def _field(field: inspect.Field, about: str, *, is_sent: bool) -> str:
    kind = "Body" if field.name == "body" else _type(shapes.without_null(field.type), is_sent=is_sent)
    return f"{_comment(about, '  ')}  {field.encode_name}{'' if field.required else '?'}: {kind};\n"


def _event(event_type: EventType) -> str:
    return f"{_comment(descriptions.of_words(EventType)[event_type], '  ')}  {event_type}: {shapes.struct_name(shapes.body(event_type))};\n"


def _reasons() -> list[str]:
    lists: dict[str, type[StrEnum]] = {**{str(event_type): words for event_type, words in REASONS.items()}, "condition": Condition}
    return [f"  {name}:{_wrapped(_one_of(map(str, words)), '    ')};\n" for name, words in lists.items()]


def _one_of(words: Iterable[object]) -> str:
    return " | ".join(f'"{word}"' for word in words)


def _wrapped(words: str, indent: str) -> str:
    """A union on one line, or on lines of its own."""
    if len(words) <= _WIDTH // 2:
        return f" {words}"
    return "\n" + textwrap.fill(f"| {words}", _WIDTH, initial_indent=indent, subsequent_indent=indent, break_long_words=False)


def _topic(row: TopicRow) -> str:
    payload = 'TypedEvent["event"]' if row.payload == "Event" else row.payload.replace(" or ", " | ")
    return f'{_comment(row.about, "  ")}  "{row.shape}": {payload};\n'


def _type(kind: inspect.Type, *, is_sent: bool) -> str:
    """A type where it is used. A word that the server sends may be one of a later edition."""
    name = shapes.name_of(kind)
    if name is None:
        return _spelled(kind)
    return f"Open<{name}>" if isinstance(kind, inspect.EnumType | inspect.LiteralType) and not is_sent else name


def _spelled(kind: inspect.Type) -> str:
    match kind:
        case inspect.BoolType():
            return "boolean"
        case inspect.NoneType():
            return "null"
        case inspect.IntType():
            return "number"
        case inspect.BytesType():
            return "Uint8Array"
        case inspect.StrType():
            return "string"
        case inspect.LiteralType():
            return _one_of(kind.values)
        case inspect.UnionType():
            return " | ".join(_type(option, is_sent=True) for option in kind.types)
    raise TypeError(f"the contract has no word for {kind}")
