"""One parcel: its states, and where each step takes it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, NamedTuple

RANK: Final = {
    "planned": 0,
    "picking": 10,
    "packed": 20,
    "staged": 30,
    "shipped": 40,
    "in_transit": 50,
    "customs": 60,
    "entered": 70,
    "attempt_failed": 75,
    "out_for_delivery": 80,
    "available_for_pickup": 90,
    "delivered": 100,
}
"""How far a parcel is. A failed attempt is followed by another one or by the hub; who waits at a point was out for delivery."""

DEAD: Final = frozenset({"returned", "lost", "destroyed", "cancelled"})
IN_HOUSE: Final = frozenset({"planned", "picking", "packed", "staged"})
PREPARATION: Final = frozenset({"pick", "pack", "stage"})
CUSTODY: Final = frozenset({"load", "depart", "arrive", "pickup", "out_for_delivery", "delivery"})

UNDERWAY: Final = frozenset(RANK) - {"delivered"}
OUTBOUND: Final = frozenset(RANK) - IN_HOUSE
"""On its way to the recipient, or there."""
REOPENED: Final = frozenset({"returned", "lost", "cancelled"})
"""What custody opens again: the parcel is where it was scanned."""


class Way(NamedTuple):
    """A step: to a state, from everything behind it by rank, and from these states beside or beyond it."""

    to: str
    also: frozenset[str] = frozenset()
    ahead: bool = True


WAYS: Final[dict[str, Way]] = {
    "pick": Way("picking"),
    "pack": Way("packed"),
    "unpack": Way("picking", frozenset({"packed", "staged"})),
    "stage": Way("staged"),
    "load": Way("shipped", REOPENED),
    "unload": Way("staged", frozenset({"shipped"})),
    "depart": Way("in_transit", REOPENED),
    "arrive": Way("in_transit", frozenset({"out_for_delivery", "attempt_failed", "cancelled", "lost"})),
    "customs_entered": Way("customs", frozenset({"entered"})),
    "customs_held": Way("customs"),
    "cleared_at_destination": Way("entered"),
    "cleared_on_the_way": Way("in_transit", frozenset({"customs"})),
    "pickup": Way("shipped", REOPENED),
    "out_for_delivery": Way("out_for_delivery", REOPENED),
    "attempt_failed": Way("attempt_failed", UNDERWAY, ahead=False),
    "available_for_pickup": Way("available_for_pickup"),
    "delivery": Way("delivered", REOPENED | {"returning"}),
    "refused": Way("returning", UNDERWAY, ahead=False),
    "return_started": Way("returning", frozenset(RANK), ahead=False),
    "returned": Way("returned", frozenset(RANK) | {"returning"}, ahead=False),
    "damaged_totally": Way("destroyed", UNDERWAY | {"returning"}, ahead=False),
    "destroyed": Way("destroyed", UNDERWAY | {"returning", "returned", "lost"}, ahead=False),
    "lost": Way("lost", UNDERWAY | {"returning"}, ahead=False),
    "cancelled": Way("cancelled", IN_HOUSE, ahead=False),
}


def leads(step: str, state: str) -> str:
    """Where a step takes a parcel in a state; the state itself if the step does not move it."""
    way = WAYS.get(step)
    if way is None:
        return state
    behind = way.ahead and state in RANK and RANK[state] < RANK[way.to]
    return way.to if behind or state in way.also else state


@dataclass(slots=True)
class Box:
    """A parcel. `items` are its contents if a pack named them; `packed` says that it was packed, or moved, which proves it."""

    id: str
    state: str = "planned"
    where: str | None = None
    items: dict[str, int] | None = None
    packed: bool = False
    damaged: bool = False
    customs_hold: bool = False
    direction: str | None = None
    moved_ms: int = -1
    before_lost: str = "planned"
    courier: str | None = None
    handed_to: str | None = None
    wrong_hands: bool = False
    given_to: str | None = None
    """The carrier for which it was loaded, while it is out."""
    wrong_carrier: bool = False
    moved_on_hold: bool = False
    wanted_back: bool = False
    was_delivered: bool = False
    came_back: bool = False
    back: dict[str, int] = field(default_factory=dict)
    """What of it came back after its delivery."""
    in_part: bool = False

    def flags(self) -> frozenset[str]:
        marks = (
            *(("damaged", self.damaged), ("customs_hold", self.customs_hold), ("lost", self.state == "lost"), ("wrong_courier", self.wrong_hands)),
            ("wrong_carrier", self.wrong_carrier),
            *(("moved_on_hold", self.moved_on_hold), ("cancel_requested", self.wanted_back), ("part_returned", self.in_part)),
        )
        return frozenset([flag for flag, there in marks if there])
