"""Fields that the contract does not have: found in a plain value by the types of its struct, and cut out of it."""

from __future__ import annotations

from functools import cache
from typing import Any

from msgspec import inspect

_Shape = dict[str, Any] | list[Any] | None
"""What is known inside a value: of a map its keys with their shapes, of a list the shape of its items; None if nothing in it has fields."""


def cut_unknown(plain: dict[str, Any], kind: Any) -> tuple[dict[str, Any], list[str]]:
    """The same value without the fields that `kind` does not have, and their paths: `note`, `body.lines[0].name`. It must be a valid `kind`."""
    shape = _shape_of(kind)
    if _is_known(plain, shape):
        return plain, []
    paths: list[str] = []
    return _cut(plain, shape, "", paths), paths


def _is_known(value: Any, shape: _Shape) -> bool:
    """Whether nothing has to be cut; many times faster than a copy, and nearly always so."""
    if isinstance(shape, dict) and isinstance(value, dict):
        for name, inner in value.items():
            if name not in shape or ((known := shape[name]) is not None and not _is_known(inner, known)):
                return False
    elif isinstance(shape, list) and isinstance(value, list):
        for item in value:
            if not _is_known(item, shape[0]):
                return False
    return True


def _cut(value: Any, shape: _Shape, path: str, paths: list[str]) -> Any:
    if isinstance(shape, dict) and isinstance(value, dict):
        start = f"{path}." if path else ""
        paths += [f"{start}{name}" for name in value if name not in shape]
        return {name: _cut(inner, shape[name], f"{start}{name}", paths) for name, inner in value.items() if name in shape}
    if isinstance(shape, list) and isinstance(value, list):
        return [_cut(item, shape[0], f"{path}[{place}]", paths) for place, item in enumerate(value)]
    return value


@cache
def _shape_of(kind: Any) -> _Shape:
    return _shape(inspect.type_info(kind))


def _shape(kind: inspect.Type) -> _Shape:
    match kind:
        case inspect.StructType(array_like=False):
            return {field.encode_name: _shape(field.type) for field in kind.fields}
        case inspect.ListType():
            inner = _shape(kind.item_type)
            return None if inner is None else [inner]
        case inspect.UnionType():
            return next((shape for option in kind.types if (shape := _shape(option)) is not None), None)
        case _:
            return None
