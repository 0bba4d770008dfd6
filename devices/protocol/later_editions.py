"""Messages of a bridge that speaks a later edition of the contract. Minor editions only add words: a client accepts a word that it does not know."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from functools import cache
from typing import Any, Final, TypeVar, cast

import msgspec
from msgspec import inspect

from devices.protocol.encoding import PayloadError, convert, load

OTHER: Final = "other"
"""What a word becomes that this edition does not have."""

T = TypeVar("T")
_Path = tuple[str | int, ...]
_Unknown = list[tuple[_Path, str]]


def decode_later(payload: bytes, kind: type[T]) -> T:
    """A message of the bridge: words that this edition does not have become `other`, and everything else is checked as by `decode`.

    Raises:
        PayloadError: the payload breaks the contract in another way.
    """
    value = load(payload)
    try:
        return convert(value, kind)
    except PayloadError:
        unknown: _Unknown = []
        known = _with_known_words(value, inspect.type_info(kind), (), unknown)
        if not unknown:
            raise
    message = convert(known, kind)
    for path, word in unknown:
        message = _put(message, path, word)
    return message


@cache
def other(words: type[StrEnum]) -> StrEnum:
    """The member of a closed list that stands for a word of a later edition. It is not one of the list, unless the list has the word `other` itself."""
    if OTHER in {word.value for word in words}:
        return words(OTHER)
    member = str.__new__(words, OTHER)
    member._name_, member._value_ = OTHER.upper(), OTHER
    return member


def _with_known_words(value: Any, kind: inspect.Type, path: _Path, unknown: _Unknown) -> Any:
    """The value with some known word in place of each unknown one; `unknown` gets their paths, and what belongs there."""
    match kind:
        case inspect.EnumType():
            return _known_word(value, [word.value for word in kind.cls], lambda: other(cast("type[StrEnum]", kind.cls)), path, unknown)
        case inspect.LiteralType():
            return _known_word(value, kind.values, lambda: OTHER, path, unknown)
        case inspect.UnionType() if value is not None:
            return _with_known_words(value, next(k for k in kind.types if not isinstance(k, inspect.NoneType)), path, unknown)
        case inspect.ListType() if isinstance(value, list):
            return [_with_known_words(item, kind.item_type, (*path, place), unknown) for place, item in enumerate(value)]
        case inspect.StructType() if isinstance(value, dict):
            types = {field.encode_name: field.type for field in kind.fields}
            return {name: _with_known_words(v, types[name], (*path, name), unknown) if name in types else v for name, v in value.items()}
        case _:
            return value


def _known_word(value: Any, words: Sequence[Any], instead: Any, path: _Path, unknown: _Unknown) -> Any:
    if not isinstance(value, str) or value in words:
        return value
    unknown.append((path, instead()))
    return words[0]


def _put(part: Any, path: _Path, word: str) -> Any:
    """A message, or a part of it, with a word at a path. Structs are frozen: what is on the way there is made anew."""
    if not path:
        return word
    first, rest = path[0], path[1:]
    if isinstance(first, int):
        return [*part[:first], _put(part[first], rest, word), *part[first + 1 :]]
    return msgspec.structs.replace(part, **{first: _put(getattr(part, first), rest, word)})
