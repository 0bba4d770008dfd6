"""Members of enums where each event reads them.

Up to Python 3.11 an enum's class looks each of them up through its metaclass, which takes ten times as long as reading an attribute.
"""

from __future__ import annotations

from enum import Enum
from types import SimpleNamespace
from typing import Final, TypeVar, cast

from devices.protocol.vocabulary import EventType, Flag, OrderState, Outcome, ParcelState

_Words = TypeVar("_Words", bound=Enum)


def members(words: type[_Words]) -> type[_Words]:
    """The members of an enum as plain attributes. It can't be called, iterated or used as a type."""
    return cast("type[_Words]", SimpleNamespace(**words.__members__))


E: Final = members(EventType)
FLAG: Final = members(Flag)
OUTCOME: Final = members(Outcome)
ORDER: Final = members(OrderState)
PARCEL: Final = members(ParcelState)
