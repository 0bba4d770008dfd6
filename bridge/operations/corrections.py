"""A payload with some of its fields changed: JSON stays JSON, CBOR stays CBOR."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from bridge.errors import Refused
from bridge.operations.quarantine import fault_of
from devices.protocol import messages

_STEP: Final = re.compile(r"([^.\[\]]+)|\[(\d{1,4})\]")
_GONE: Final = object()


def changed(decoded: Any, sets: Mapping[str, str], unsets: Sequence[str], event_type: str) -> Any:
    """A decoded payload with fields set to values in JSON, or else to texts, and others left out. Paths are those of errors: `body.lines[0].qty`.

    A value that looks like a number is a text if the contract asks for one there: `--set body.sku=4711`.

    Raises:
        Refused: if there is no such field to change.
    """
    value = _copied(decoded)
    for path in unsets:
        _put(value, path, _GONE)
    for path, text in sets.items():
        _put(value, path, _value_of(path, text))
    for path, text in sets.items():
        if (fault_of(messages.encode_cbor(value), event_type) or "").startswith(f"{path}: expected text"):
            _put(value, path, text)
    return value


def encoded(value: Any, like: bytes) -> bytes:
    """A payload in the encoding of another one."""
    return messages.encode_cbor(value) if messages.json_text(like) is None else messages.encode_json(value)


def as_text(value: Any) -> str:
    """A decoded payload to be edited: JSON, bytes as hex."""
    return json.dumps(value, default=bytes.hex, ensure_ascii=False, indent=2) + "\n"


def from_text(text: str) -> Any:
    """What `as_text` gave, edited.

    Raises:
        Refused: if it is not JSON any more.
    """
    try:
        value = messages.load_json(text.encode())
    except messages.PayloadError as error:
        raise Refused(f"what was edited can't be read: {error}", fix="edit it again; nothing was changed") from error
    if not isinstance(value, dict):
        raise Refused("what was edited is not a JSON object", fix="edit it again; nothing was changed")
    return value


def differences(before: Any, after: Any) -> list[str]:
    """The paths of the fields that differ."""
    old, new = dict(leaves(before)), dict(leaves(after))
    return [path for path in dict.fromkeys((*old, *new)) if old.get(path, _GONE) != new.get(path, _GONE)]


def above(path: str) -> str:
    """The path of what a field is in; empty for the payload itself."""
    steps = list(_STEP.finditer(path))
    return path[: steps[-1].start()].removesuffix(".") if steps else ""


def leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Each field with its path, the innermost only."""
    if isinstance(value, dict) and value:
        for name, inner in value.items():
            yield from leaves(inner, f"{path}.{name}" if path else str(name))
    elif isinstance(value, list) and value:
        for no, inner in enumerate(value):
            yield from leaves(inner, f"{path}[{no}]")
    else:
        yield path, value


def _copied(value: Any) -> Any:
    """A copy of maps and lists; some values of CBOR can't be copied, and need not be."""
    if isinstance(value, dict):
        return {name: _copied(inner) for name, inner in value.items()}
    return [_copied(inner) for inner in value] if isinstance(value, list) else value


def _value_of(path: str, text: str) -> Any:
    """The value that a person wrote for a field: JSON, or else a text; hex for a field of bytes."""
    name = path.rpartition(".")[2]
    try:
        json.loads(text)
    except RecursionError as error:
        raise Refused(f"{path} can't be set to that: it is nested too deep", fix="write a number, true, false, or a text") from error
    except ValueError:
        text = json.dumps(text)
    try:
        return messages.load_json(f'{{"{name}":{text}}}'.encode())[name]
    except (messages.PayloadError, KeyError) as error:
        raise Refused(f"{path} can't be set to {text}", fix="write a number, true, false, or a text") from error


def _put(value: Any, path: str, new: Any) -> None:
    """Set a field, or take it away. A field that is not there yet can be set; what it is in has to be there."""
    steps: list[str | int] = [m[1] if m[1] is not None else int(m[2]) for m in _STEP.finditer(path)]
    if not steps or _written(steps) != path:
        raise Refused(f"{path!r} is not a path", fix="write it as errors name it, such as body.lines[0].qty")
    inner: Any = value
    try:
        for step in steps[:-1]:
            inner = inner[step]
        if new is _GONE:
            del inner[steps[-1]]
        elif isinstance(steps[-1], int):
            inner[steps[-1]] = new
        else:
            _map(inner)[steps[-1]] = new
    except (KeyError, IndexError, TypeError) as error:
        raise Refused(f"the payload has no field {path}", fix="write the path as `dockbridge quarantine show` prints it, such as body.lines[0].qty") from error


def _map(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise TypeError("not a map")
    return value


def _written(steps: Sequence[str | int]) -> str:
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in steps).removeprefix(".")
