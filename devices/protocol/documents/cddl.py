"""The contract as CDDL (RFC 8610): every message, every event type, every body, every field with what it means."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from typing import Final

from msgspec import inspect

from devices.protocol import bodies, encoding, messages
from devices.protocol.documents import descriptions, shapes
from devices.protocol.documents.shapes import kebab
from devices.protocol.reasons import REASONS, Condition
from devices.protocol.vocabulary import EventType

_WIDTH: Final = 120
_HEADER: Final = """\
; The wire contract of dockbridge, edition {version}: CDDL (RFC 8610) of every payload.
; Generated from the code by `dockbridge contract show cddl`; a test compares this file with the code. Do not edit it.
;
; What CDDL cannot say, and the server still demands:
; - one CBOR item in a payload and no bytes after it; deterministic encoding (RFC 8949 section 4.2.1) is what the server writes;
; - no key twice in a map, no tags (bignums among them), no indefinite lengths, at most {depth} maps and arrays inside each other;
; - `order`, `parcel` and `at` of an event become topic levels: at most 96 characters after escaping (`PO 17` is `PO~2017`);
; - JSON, where a site uses it, has the same fields, with bytes as lowercase hex;
;   16 bytes may also be a UUID with hyphens, and blanks may stand before the object;
; - a float without a fraction, up to 2^53, is taken for the integer that it is: JavaScript encodes large numbers so;
; - `.regexp` matches the whole text (XSD), and counts characters, not bytes. Unknown fields are allowed everywhere.
;   A reader also takes words that are not on a list: a later edition may add some."""

_OTHERWISE: Final = {"Uint": "uint53"}
"""Types of fields whose name means something else in CDDL."""
_ANY_CHAR: Final = r"(.|[\u000A\u000D])"
_NO_NUL_CHAR: Final = r"[^\u0000]"


def cddl() -> str:
    """The whole contract. The first rule matches any payload."""
    kinds = [shapes.struct(m) for m in messages.MESSAGES]
    parts = [
        _HEADER.format(version=messages.CONTRACT_VERSION, depth=encoding.DEPTH_MAX),
        _choice("payload", ["event", *(_rule_name(k) for k in kinds)]),
        _choice("event", [_event_name(t) for t in bodies.BODIES]),
        comment("What every event says beside its body.")
        + _rule("envelope", "(", [_entry(f, _about(shapes.event(EventType.PICK))) for f in shapes.envelope()], ")"),
        *(_event_rule(t) for t in bodies.BODIES),
        *(_struct_rule(s) for s in shapes.structs()),
        *(_words_rule(kebab(e.__name__), descriptions.of_class(e), descriptions.of_words(e)) for e in shapes.closed_lists()),
        _reasons(),
        *(comment(shapes.about_name(name)) + _wrapped(f"{_type_name(name)} = {_spelled(kind)}") for name, kind in shapes.NAMED.items()),
    ]
    return "\n\n".join(part.rstrip("\n") for part in parts) + "\n"


def comment(text: str, indent: str = "", hanging: str = "") -> str:
    """Lines of comment; nothing for no text."""
    return "".join(f"{line}\n" for line in textwrap.wrap(text.replace("`", ""), _WIDTH, initial_indent=f"{indent}; ", subsequent_indent=f"{indent}; {hanging}"))


def _event_name(event_type: EventType) -> str:
    return f"event-{kebab(event_type)}"


def _event_rule(event_type: EventType) -> str:
    about = comment(descriptions.of_words(EventType)[event_type])
    return f"{about}{_event_name(event_type)} = {{ envelope, body: {_rule_name(shapes.body(event_type))}, * tstr => any }}"


def _reasons() -> str:
    """The closed lists of reasons as a comment: the wire takes any word."""
    lists = [(str(event_type), words) for event_type, words in REASONS.items()] + [("condition", Condition)]
    head = comment("Reasons by event type, and conditions of what was returned. A reader must accept other words, and show them as `other`.")
    return head + "".join(comment(f"{name}: {', '.join(words)}.", hanging="  ") for name, words in lists)


def _about(kind: inspect.StructType) -> dict[str, str]:
    """The texts of a struct's fields, by their names on the wire."""
    said = descriptions.of_fields(kind.cls)
    return {field.encode_name: said.get(field.name, "") for field in kind.fields}


def _struct_rule(kind: inspect.StructType) -> str:
    head, about = comment(descriptions.of_class(kind.cls)), _about(kind)
    if kind.array_like:
        entries = [(comment(about[f.encode_name], "  "), f"{f.encode_name}: {_type(f.type)}") for f in kind.fields]
        return head + _rule(_rule_name(kind), "[", [*entries, ("", "* any")], "]")
    return head + _rule(_rule_name(kind), "{", [*(_entry(f, about) for f in kind.fields), ("", "* tstr => any")], "}")


def _entry(field: inspect.Field, about: dict[str, str]) -> tuple[str, str]:
    """(the comment above a field, the field)."""
    return comment(about[field.encode_name], "  "), f"{'' if field.required else '? '}{field.encode_name}: {_type(field.type)}"


def _rule(name: str, opening: str, entries: list[tuple[str, str]], closing: str) -> str:
    if len(entries) == 1:
        return f"{name} = {opening} {entries[0][1]} {closing}"
    return "\n".join([f"{name} = {opening}", *(f"{about}  {entry}," for about, entry in entries), closing])


def _words_rule(name: str, about: str, words: Mapping[str, str]) -> str:
    said = "".join(comment(f"{word}: {text}", hanging="  ") for word, text in words.items())
    return comment(about) + said + _choice(name, [f'"{word}"' for word in words])


def _choice(name: str, options: list[str]) -> str:
    return _wrapped(f"{name} = {' / '.join(options)}")


def _wrapped(rule: str) -> str:
    if len(rule) <= _WIDTH or " / " not in rule:
        return rule
    return textwrap.fill(rule, _WIDTH, subsequent_indent="    ", break_long_words=False, break_on_hyphens=False)


def _type(kind: inspect.Type) -> str:
    """A type where it is used: its rule's name if it has one."""
    if isinstance(kind, inspect.StructType):
        return _rule_name(kind)
    name = shapes.name_of(kind)
    return _spelled(kind) if name is None else _type_name(name)


def _type_name(name: str) -> str:
    return _OTHERWISE.get(name, kebab(name))


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
        case inspect.LiteralType():
            return " / ".join(f'"{value}"' for value in kind.values)
        case inspect.ListType():
            return f"[{kind.min_length or 0}*{kind.max_length} {_type(kind.item_type)}]"
        case inspect.UnionType():
            return " / ".join(_type(t) for t in kind.types)
    raise TypeError(f"the contract has no word for {kind}")


def _regexp(kind: inspect.StrType) -> str:
    """The XSD regular expression of a text: `.size` would count bytes, so the length stands in the expression."""
    pattern = (kind.pattern or "").removeprefix("^").removesuffix("$")
    if pattern and pattern != r"[^\x00]*":
        return pattern
    return f"{_NO_NUL_CHAR if pattern else _ANY_CHAR}{{{kind.min_length or 0},{kind.max_length}}}"


def _rule_name(kind: inspect.StructType) -> str:
    prefix = "body-" if kind.cls in bodies.BODIES.values() else ""
    return prefix + kebab(kind.cls.__name__)
