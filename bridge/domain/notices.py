"""What customers are told of an order: its moments, as its facts so far have them.

A moment of a parcel has a place on the parcel's way. Only the furthest one is worth telling: who has the parcel needs no word that it was packed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, tzinfo
from typing import Final, NamedTuple

from bridge.domain.members import FLAG, ORDER, PARCEL, members
from bridge.domain.notice_texts import Language, Texts, Wording
from bridge.domain.order import Order, Parcel
from devices.protocol.states import Moment

MOMENTS: Final = {moment.value: moment for moment in Moment}
"""word → moment."""
_M: Final = members(Moment)


class Happened(NamedTuple):
    """A moment of a parcel, or with an empty `parcel` of the whole order. `nth` counts the attempts to deliver; it is 1 for every other moment."""

    parcel: str
    moment: Moment
    nth: int


@dataclass(frozen=True, slots=True, kw_only=True)
class NoticeRules:
    """What a site tells customers, and until when. `zone` is that of times in texts."""

    texts: Texts
    zone: tzinfo = UTC
    within_ms: int = 86_400_000
    """How long after it happened something is still told."""
    arrived_within_ms: int = 1_800_000
    """The same of the arrival of a courier."""
    keep_ms: int = 7_776_000_000
    """How long it is known what was told."""
    by_language: tuple[tuple[str, Mapping[Moment, Wording]], ...] = field(init=False)
    """The texts, by the word of their language."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "by_language", tuple((language.value, self.texts[language]) for language in Language))

    def tells(self, moment: Moment, at_ms: int, now_ms: int) -> bool:
        """Whether what happened then is still told now."""
        return now_ms - at_ms <= (self.arrived_within_ms if moment is _M.ARRIVED else self.within_ms)


OF_ORDERS: Final = frozenset({Moment.LATE, Moment.CANCELLED})
"""Moments of whole orders."""
NEVER_CORRECTED: Final = frozenset({Moment.LATE})
"""That an order was late is over once it is delivered, and was true before."""
_STEPS: Final = {Moment.PACKED: (0, 0, 0), Moment.COLLECTED: (1, 0, 0), Moment.DELIVERED: (3, 0, 0)}


def moments_of(order: Order, timed: str, now_ms: int) -> dict[Happened, int]:
    """moment → when it happened, of an order that exists. `timed` are the flags that only the time sets, with commas between them."""
    found: dict[Happened, int] = {}
    for parcel in order.parcels.values():
        if parcel.milestones:
            _add_parcel(found, parcel)
    if order.state is ORDER.CANCELLED:
        found[Happened("", _M.CANCELLED, 1)] = order.milestones.get(ORDER.CANCELLED, (order.changed_ms, False))[0]
    if timed and FLAG.LATE_RISK in timed.split(","):
        found[Happened("", _M.LATE, 1)] = now_ms
    return found


def _add_parcel(found: dict[Happened, int], parcel: Parcel) -> None:
    reached = parcel.milestones
    for state, moment in _MILESTONES:
        if (milestone := reached.get(state)) is not None:
            found[Happened(parcel.id, moment, 1)] = milestone[0]
    for nth, at_ms in parcel.arrivals:
        found[Happened(parcel.id, _M.ARRIVED, nth)] = at_ms
    for nth, at_ms in enumerate(parcel.attempts_ms, 1):
        found[Happened(parcel.id, _M.ATTEMPT_FAILED, nth)] = at_ms


_MILESTONES: Final = ((PARCEL.PACKED, Moment.PACKED), (PARCEL.SHIPPED, Moment.COLLECTED), (PARCEL.DELIVERED, Moment.DELIVERED))


def step_of(happened: Happened) -> tuple[int, int, int]:
    """How far on its way a parcel is at a moment: each attempt begins with an arrival."""
    return _STEPS.get(happened.moment) or (2, happened.nth, int(happened.moment is _M.ATTEMPT_FAILED))


def worth_telling(moments: dict[Happened, int]) -> list[Happened]:
    """The furthest moment of each parcel, and those of the order."""
    furthest: dict[str, Happened] = {}
    of_order = []
    for happened in moments:
        if happened.moment in OF_ORDERS:
            of_order.append(happened)
            continue
        known = furthest.get(happened.parcel)
        if known is None or step_of(known) < step_of(happened):
            furthest[happened.parcel] = happened
    return [*furthest.values(), *of_order]
