"""Values of the wire contract for Hypothesis, built from the structs' own types: valid ones, and ones with exactly one fault."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from hypothesis import strategies as st
from msgspec import inspect

from devices.protocol.messages import EVENT_KINDS, MESSAGES
from devices.protocol.vocabulary import EventType

KINDS: dict[str, Any] = {m.__name__: m for m in MESSAGES} | {f"Event[{t}]": kind for t, kind in EVENT_KINDS.items()}
"""Every payload of the contract, by a name for the test report."""

_ASCII = st.characters(min_codepoint=0x20, max_codepoint=0x7E)
_ANY = st.characters(exclude_characters="\0", exclude_categories=["Cs"])
_WIDE_CHARS_MAX = 8
"""This many characters of any script always fit into a topic level: four bytes each, three characters a byte, 96 in all."""


def valid(kind: Any) -> st.SearchStrategy[Any]:
    """Plain values (maps, lists, numbers, texts, bytes) that are a valid `kind`, some of them with null and unknown fields."""
    return _valid(inspect.type_info(kind))


def valid_event(event_type: EventType) -> st.SearchStrategy[Any]:
    return valid(EVENT_KINDS[event_type])


@st.composite
def broken(draw: st.DrawFn, kind: Any) -> tuple[Any, str]:
    """A plain value with one fault, and the path of the faulty field as errors name it."""
    return draw(st.sampled_from(list(faults(kind, draw(valid(kind))))))


def faults(kind: Any, value: Any) -> Iterator[tuple[Any, str]]:
    """Every single fault that can be put into a valid value, each with its path: `body.lines[0].qty`, `points[1][4]`, `order`."""
    return _inner_faults(inspect.type_info(kind), value, "")


# --- right ----------------------------------------------------------------------------------------------------------------


def _valid(kind: inspect.Type) -> st.SearchStrategy[Any]:
    match kind:
        case inspect.BoolType():
            return st.booleans()
        case inspect.NoneType():
            return st.none()
        case inspect.IntType():
            return st.integers(kind.ge, kind.le) | st.sampled_from([kind.ge, kind.le])
        case inspect.BytesType():
            return st.binary(min_size=kind.min_length or 0, max_size=kind.max_length)
        case inspect.StrType():
            return _text(kind)
        case inspect.EnumType():
            return st.sampled_from([member.value for member in kind.cls])
        case inspect.LiteralType():
            return st.sampled_from(list(kind.values))
        case inspect.ListType():
            least = kind.min_length or 0
            return st.lists(_valid(kind.item_type), min_size=least, max_size=min(kind.max_length or 2, least + 2))
        case inspect.DictType():
            return st.dictionaries(_valid(kind.key_type), _valid(kind.value_type), max_size=3)
        case inspect.UnionType():
            return st.one_of([_valid(option) for option in kind.types])
        case inspect.StructType():
            return _struct(kind)
    raise TypeError(f"no values for {kind}")


def _text(kind: inspect.StrType) -> st.SearchStrategy[str]:
    least, most = kind.min_length or 0, kind.max_length or 20
    if (kind.pattern or "").startswith("^[A-Z]"):
        return st.text("ABCXYZ", min_size=least, max_size=most)
    return st.text(_ASCII, min_size=least, max_size=most) | st.text(_ANY, min_size=least, max_size=min(most, _WIDE_CHARS_MAX))


def _struct(kind: inspect.StructType) -> st.SearchStrategy[Any]:
    if kind.array_like:
        return st.tuples(*(_valid(field.type) for field in kind.fields)).map(list)
    required = {field.encode_name: _valid(field.type) for field in kind.fields if field.required}
    optional = {field.encode_name: _valid(field.type) for field in kind.fields if not field.required}
    return st.fixed_dictionaries(required, optional=optional | {"of_next_year": st.sampled_from([None, -1, "text", [1], {"a": 1}])})


# --- wrong ----------------------------------------------------------------------------------------------------------------


def _faults(kind: inspect.Type, value: Any, path: str) -> Iterator[tuple[Any, str]]:
    """Faults of one field, and of the values inside it."""
    yield from ((wrong, path) for wrong in _wrong(kind, value))
    yield from _inner_faults(kind, value, path)


def _inner_faults(kind: inspect.Type, value: Any, path: str) -> Iterator[tuple[Any, str]]:
    match kind:
        case inspect.UnionType() if value is not None:
            yield from _inner_faults(_not_null(kind), value, path)
        case inspect.StructType(array_like=True):
            for place, field in enumerate(kind.fields):
                for wrong, at in _faults(field.type, value[place], f"{path}[{place}]"):
                    yield [*value[:place], wrong, *value[place + 1 :]], at
        case inspect.StructType():
            yield from _field_faults(kind, value, f"{path}." if path else "")
        case inspect.ListType() if value:
            last = len(value) - 1
            for wrong, at in _faults(kind.item_type, value[last], f"{path}[{last}]"):
                yield [*value[:last], wrong], at


def _field_faults(kind: inspect.StructType, value: dict[str, Any], prefix: str) -> Iterator[tuple[Any, str]]:
    for field in kind.fields:
        name = field.encode_name
        if field.required:
            yield {key: kept for key, kept in value.items() if key != name}, prefix + name
        for wrong, at in _faults(field.type, value.get(name), prefix + name):
            yield {**value, name: wrong}, at


def _not_null(kind: inspect.UnionType) -> inspect.Type:
    return next(option for option in kind.types if not isinstance(option, inspect.NoneType))


def _wrong(kind: inspect.Type, value: Any) -> list[Any]:
    """Values that are not a `kind`; `value` is a valid one, or None if the field is absent."""
    match kind:
        case inspect.UnionType():
            return [wrong for wrong in _wrong(_not_null(kind), value) if wrong is not None]
        case inspect.BoolType():
            return [None, 1, 0, "true", b"\x01", []]
        case inspect.IntType():
            return [None, (kind.ge or 0) - 1, (kind.le or 0) + 1, 1.5, True, "1", b"1", [1], {}]
        case inspect.BytesType():
            least, most = kind.min_length or 0, kind.max_length or 0
            return [None, bytes(least - 1), bytes(most + 1), "x" * least, least, True, [], {}]
        case inspect.StrType():
            return [None, 1, 1.5, True, b"text", ["text"], {}, *_wrong_texts(kind)]
        case inspect.EnumType() | inspect.LiteralType():
            return [None, "no_such_word", "", 1, True, b"held", ["held"], [], {}]
        case inspect.ListType():
            long = [value[0]] * ((kind.max_length or 0) + 1) if value else None
            return [None, 1, "text", b"bytes", {}, *([[]] if kind.min_length else []), *([long] if long else [])]
        case inspect.StructType():
            return [None, 1, True, "text", *([{}, value[:-1]] if kind.array_like else [[], [1]])]
        case inspect.DictType():
            return [None, 1, "text", b"bytes", []]
    raise TypeError(f"no faults for {kind}")


def _wrong_texts(kind: inspect.StrType) -> list[str]:
    shaped = (kind.pattern or "").startswith("^[A-Z]")
    return [
        *([""] if kind.min_length else []),
        *(["X" * (kind.max_length + 1)] if kind.max_length else []),
        *(["a" * (kind.max_length or 0), "X\n"] if shaped else ["a\0b", "\0"] if kind.pattern else []),
    ]
