"""What the contract has: its messages, bodies, structs and closed lists, and the names that they have in the documents."""

from __future__ import annotations

import re
from collections.abc import Iterator
from enum import StrEnum
from functools import cache
from types import ModuleType
from typing import Any, Final, cast

from msgspec import inspect

from devices.protocol import bodies, body_parts, bridge_messages, device_messages, fields, messages
from devices.protocol.documents import descriptions
from devices.protocol.vocabulary import EventType

_FIELD_TYPES: Final = (
    *("Uint", "Positive", "WallClock", "Count", "Id", "Word", "Sentence", "Sentences", "Code", "Country", "Currency", "EventId", "Bytes8", "ProofHash"),
    *("Millimetres", "Grams", "Percent", "LatE7", "LonE7", "Metres", "Small", "OffsetMin"),
)
_NAMES: Final[dict[ModuleType, tuple[str, ...]]] = {
    fields: _FIELD_TYPES,
    body_parts: ("Words", "Lines", "Codes", "Dimensions", "StopIds", "EventIds"),
    device_messages: ("Points",),
    bridge_messages: (
        *("LeftLines", "Warnings", "Milestones", "Flags", "Holds", "BorneCodes", "Ids", "Handling", "Stops"),
        *("OrderStateWord", "StateWord"),
    ),
}
NAMED: Final[dict[str, inspect.Type]] = {name: inspect.type_info(getattr(module, name)) for module, names in _NAMES.items() for name in names}
"""Types of fields that have a name in the documents, so that a reader meets each range once, and a generator makes a type of its own of each."""


def name_of(kind: inspect.Type) -> str | None:
    """The name of a type in the documents, in UpperCamelCase; None if it has none."""
    if isinstance(kind, inspect.StructType):
        return struct_name(kind)
    if isinstance(kind, inspect.EnumType):
        return kind.cls.__name__
    return next((name for name, named in NAMED.items() if named == kind), None)


def struct_name(kind: inspect.StructType) -> str:
    """`Receipt`; a body of an event type is a `PickBody`."""
    return kind.cls.__name__ + ("Body" if kind.cls in bodies.BODIES.values() else "")


def event_name(event_type: EventType) -> str:
    """`ShiftStartedEvent`."""
    return "".join(part.capitalize() for part in event_type.split("_")) + "Event"


def about_name(name: str) -> str:
    """What a type of fields is."""
    return next(descriptions.of_name(module.__name__, name) for module, names in _NAMES.items() if name in names)


def kebab(name: str) -> str:
    """`OrderStatus` or `order_status` as `order-status`."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "-", name).replace("_", "-").lower()


@cache
def struct(kind: Any) -> inspect.StructType:
    """A struct's fields.

    Raises:
        TypeError: it is not a struct.
    """
    info = inspect.type_info(kind)
    if not isinstance(info, inspect.StructType):
        raise TypeError(f"{kind} is not a struct")
    return info


def event(event_type: EventType) -> inspect.StructType:
    """The whole payload of an event type."""
    return struct(device_messages.EVENT_KINDS[event_type])


def body(event_type: EventType) -> inspect.StructType:
    """What an event type asks for."""
    return struct(bodies.BODIES[event_type])


def envelope() -> list[inspect.Field]:
    """What every event says beside its body."""
    return [field for field in event(EventType.PICK).fields if field.name != "body"]


def without_null(kind: inspect.Type) -> inspect.Type:
    """What a field holds if it is not null."""
    if not isinstance(kind, inspect.UnionType):
        return kind
    (only,) = (option for option in kind.types if not isinstance(option, inspect.NoneType))
    return only


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


def _roots() -> list[inspect.StructType]:
    """Every message, and every body in place of the events."""
    return [struct(kind) for kind in (*messages.MESSAGES, *bodies.BODIES.values())]


@cache
def structs() -> tuple[inspect.StructType, ...]:
    """Every struct but the events, each once, in order of first use."""
    found = [kind for root in _roots() for kind in reached(root) if isinstance(kind, inspect.StructType)]
    return tuple({kind.cls: kind for kind in found}.values())


@cache
def closed_lists() -> tuple[type[StrEnum], ...]:
    """Every closed list of a payload, in order of first use; those of free reasons are in `reasons.REASONS`."""
    found = [kind.cls for root in _roots() for kind in reached(root) if isinstance(kind, inspect.EnumType)]
    return tuple(dict.fromkeys(cast("list[type[StrEnum]]", found)))


def sent_by_devices() -> frozenset[type]:
    """The structs of what devices send; the server sends all others."""
    roots = [*bodies.BODIES.values(), device_messages.Presence, device_messages.LocationBatch]
    return frozenset(kind.cls for root in roots for kind in reached(struct(root)) if isinstance(kind, inspect.StructType))
