"""Fields that the contract does not have: found in a plain value by the types of its struct, and cut out of it."""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple

from msgspec import inspect


class _Fields(NamedTuple):
    """Of a map: the names of its fields, and what is known inside those in which there is more to know."""

    names: frozenset[str]
    inside: dict[str, _Shape]


class _Items(NamedTuple):
    """Of a list: what is known of each item."""

    each: _Shape


_Shape = _Fields | _Items | None
"""What is known of a value; None if nothing in it has fields."""


def cut_unknown(plain: dict[str, Any], kind: Any) -> tuple[dict[str, Any], list[str]]:
    """The same value without the fields that `kind` does not have, and their paths: `note`, `body.lines[0].name`. It must be a valid `kind`."""
    shape = _shape_of(kind)
    if _is_known(plain, shape):
        return plain, []
    paths: list[str] = []
    return _cut(plain, shape, "", paths), paths


def has_unknown(plain: dict[str, Any], kind: Any) -> bool:
    """Whether a value has fields that `kind` does not have. It must be a valid `kind`."""
    return not _is_known(plain, _shape_of(kind))


def has_fields_inside(kind: Any) -> bool:
    """Whether a field of a struct has fields of its own."""
    shape = _shape_of(kind)
    return isinstance(shape, _Fields) and bool(shape.inside)


def _is_known(value: Any, shape: _Shape) -> bool:
    """Whether nothing has to be cut; many times faster than a copy, and nearly always so."""
    if isinstance(shape, _Fields) and isinstance(value, dict):
        if not shape.names.issuperset(value):
            return False
        for name, known in shape.inside.items():
            if name in value and not _is_known(value[name], known):
                return False
    elif isinstance(shape, _Items) and isinstance(value, list):
        for item in value:
            if not _is_known(item, shape.each):
                return False
    return True


def _cut(value: Any, shape: _Shape, path: str, paths: list[str]) -> Any:
    if isinstance(shape, _Fields) and isinstance(value, dict):
        start = f"{path}." if path else ""
        paths += [f"{start}{name}" for name in value if name not in shape.names]
        return {name: _cut(inner, shape.inside.get(name), f"{start}{name}", paths) for name, inner in value.items() if name in shape.names}
    if isinstance(shape, _Items) and isinstance(value, list):
        return [_cut(item, shape.each, f"{path}[{place}]", paths) for place, item in enumerate(value)]
    return value


@cache
def _shape_of(kind: Any) -> _Shape:
    return _shape(inspect.type_info(kind))


def _shape(kind: inspect.Type) -> _Shape:
    match kind:
        case inspect.StructType(array_like=False):
            fields = {field.encode_name: _shape(field.type) for field in kind.fields}
            return _Fields(frozenset(fields), {name: shape for name, shape in fields.items() if shape is not None})
        case inspect.ListType():
            inner = _shape(kind.item_type)
            return None if inner is None else _Items(inner)
        case inspect.UnionType():
            return next((shape for option in kind.types if (shape := _shape(option)) is not None), None)
        case _:
            return None
