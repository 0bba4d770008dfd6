"""Types of fields in words, and texts in lines, for documents that people read in a terminal."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from typing import Final, NamedTuple

from msgspec import inspect

from devices.protocol.documents import descriptions, shapes
from devices.protocol.fields import UINT_MAX

WIDTH: Final = 80


class FieldText(NamedTuple):
    """One field: its path (`body.items[].sku`), what it holds, whether it has to be there, what it means."""

    path: str
    kind: str
    required: bool
    about: str


def fields_of(kind: inspect.StructType, prefix: str = "") -> Iterator[FieldText]:
    """The fields of a struct, each followed by those inside it."""
    said = descriptions.of_fields(kind.cls)
    for field in kind.fields:
        path = f"{prefix}{field.encode_name}"
        yield FieldText(path, in_words(field.type), field.required, said[field.name])
        inner = shapes.without_null(field.type)
        if isinstance(inner, inspect.ListType):
            inner, path = inner.item_type, f"{path}[]"
        if isinstance(inner, inspect.StructType) and not inner.array_like:
            yield from fields_of(inner, f"{path}.")


def in_words(kind: inspect.Type) -> str:
    """A type in words: `text, 1 to 96 characters`."""
    match shapes.without_null(kind):
        case inspect.BoolType():
            return "true or false"
        case inspect.IntType(ge=least, le=most):
            return f"integer from {least}" if most is None or most >= UINT_MAX else f"integer, {least:,} to {most:,}"
        case inspect.BytesType(min_length=least, max_length=most):
            return f"{most} bytes" if least == most else f"{least} to {most} bytes"
        case inspect.StrType(pattern=pattern, max_length=most) if (pattern or "").startswith("^[A-Z]"):
            return f"{most} capital letters"
        case inspect.StrType(min_length=least, max_length=most):
            return f"text, {least or 0} to {most} characters"
        case inspect.EnumType(cls=words):
            return "one of " + ", ".join(f"`{word}`" for word in descriptions.of_words(words))  # type: ignore[arg-type]
        case inspect.LiteralType(values=values):
            return "one of " + ", ".join(f"`{word}`" for word in values)
        case inspect.ListType(item_type=item, min_length=least, max_length=most):
            return f"list of {most if least == most else f'{least or 0} to {most}'}: {in_words(item)}"
        case inspect.StructType(array_like=True, fields=fields):
            return f"array [{', '.join(field.encode_name for field in fields)}]"
        case inspect.StructType():
            return "map"
    raise TypeError(f"the contract has no word for {kind}")


def paragraph(text: str, first: str = "", indent: str = "") -> str:
    """A text in lines of a terminal."""
    lines = textwrap.wrap(text, WIDTH, initial_indent=first, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)
    return "".join(f"{line}\n" for line in lines)


def item(text: str) -> str:
    """One item of a list."""
    return paragraph(text, "- ", "  ")
