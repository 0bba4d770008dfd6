"""What each event proves about the codes that it mentions.

| kind | events | says |
|---|---|---|
| identity | `created` | the order's id is a code of that order |
| binding | `labelled`, `pack` with a code | from this moment the code is on a parcel of this order |
| end | `labelled` with `replaces`; `unpack` | the code is free |
| hint | custody events that name an order and scan the code | a parcel of this order bore the code |
| mention | any other scan | nothing: it wants to be placed |

Events with a fault, and those that were voided, prove nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Final, Protocol

from bridge.domain.barcodes import Unreadable, code_key
from bridge.domain.facts import Decided, Fact
from bridge.domain.members import E
from devices.protocol import bodies
from devices.protocol.bodies import Body
from devices.protocol.vocabulary import Role

CUSTODY: Final = frozenset(
    {
        *(E.STAGE, E.LOAD, E.UNLOAD, E.DEPART, E.ARRIVE, E.CUSTOMS_ENTERED, E.CUSTOMS_HELD, E.CUSTOMS_CLEARED, E.BORDER_ENTERED),
        *(E.PICKUP, E.OUT_FOR_DELIVERY, E.STOP_ARRIVED, E.ATTEMPT_FAILED, E.AVAILABLE_FOR_PICKUP, E.DELIVERY),
        *(E.REFUSED, E.RETURN_STARTED, E.RETURNED, E.DAMAGED, E.LOST, E.FOUND, E.DESTROYED),
    },
)
"""Someone had the parcel in hand."""
TERMINAL: Final = frozenset({E.DELIVERY, E.RETURNED, E.DESTROYED})
"""A parcel's way ends, and its number may be used again some weeks later."""
BACKWARD: Final = frozenset({E.REFUSED, E.RETURN_STARTED, E.RETURNED, E.DAMAGED, E.LOST, E.FOUND, E.DESTROYED, E.UNLOAD, E.ATTEMPT_FAILED})
"""These are about a parcel that has been under way, never about one that gets its label later."""
CONTAINER_EVENTS: Final = frozenset({E.AGGREGATED, E.DISAGGREGATED})
_VOID_ANY: Final = frozenset({Role.DESK, Role.SYSTEM})

KEYS_CACHED_MAX: Final = 4_096
"""Texts whose keys are remembered: a batch asks for that of each order several times."""

TimeKey = tuple[int, str, bytes, int, bytes]
"""(event_ms, device, log, seq, id): the order of two events where nothing else decides."""


class Known(Protocol):
    """What is stored, as the law of codes reads it. Every list has an event once."""

    def mentions(self, key: str) -> Sequence[Fact]:
        """Every event that mentions a code, voided ones included."""
        ...

    def put_in(self, key: str) -> Sequence[Fact]:
        """The `aggregated` events that have this code among their children."""
        ...

    def closings(self, order_id: str) -> Sequence[Fact]:
        """The `unpack`, `delivery`, `returned` and `destroyed` events of an order that scan no code."""
        ...

    def packs(self, order_id: str) -> Sequence[Fact]:
        """The packs of an order that count."""
        ...

    def created_ms(self, order_id: str) -> int | None:
        """When an order was created; None if it was not."""
        ...

    def identity(self, key: str) -> str | None:
        """The created order whose id is this code."""
        ...

    def is_voided(self, fact: Fact) -> bool: ...

    def is_common(self, key: str) -> bool:
        """Whether custody events name this code beside more than `COMMON_ORDERS_MAX` orders."""
        ...


def time_key(fact: Fact) -> TimeKey:
    return (fact.event_ms, fact.device, fact.log, fact.seq, fact.id)


@lru_cache(KEYS_CACHED_MAX)
def key_of(text: str) -> str | None:
    """The key of a text; None if the text can't be read."""
    key = code_key(text)
    return None if isinstance(key, Unreadable) else key.text


def keys_mentioned(code: str | None, body: Body | Decided) -> tuple[str, ...]:
    """The codes that an event mentions; `code` is what it scans, or the label that it tells."""
    if isinstance(body, bodies.Aggregated | bodies.Disaggregated):
        return tuple(dict.fromkeys(k for k in map(key_of, (body.parent, *(body.children or ()))) if k is not None))
    own = () if code is None else (code,)
    if isinstance(body, bodies.Labelled) and body.replaces is not None and (old := key_of(body.replaces)) is not None and old != code:
        return (*own, old)
    return own


def replaced(fact: Fact) -> str | None:
    """The code that a `labelled` replaces."""
    return key_of(fact.body.replaces) if isinstance(fact.body, bodies.Labelled) and fact.body.replaces is not None else None


def may_void(void: Fact, target: Fact) -> bool:
    """Whether a void removes an event with the id that it names. The two events alone decide."""
    return target.type != E.VOID and (target.device == void.device or void.role in _VOID_ANY)
