"""What operations need of the store of places, and of the visits to them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from msgspec import Struct

from bridge.domain.places import Place


class PlacePlan(Struct, frozen=True, kw_only=True):
    """What a file of places changes: the ids that are new, other than before, or no longer there, and how many are the same."""

    added: list[str]
    changed: list[str]
    removed: list[str]
    same: int


class StoredVisit(Struct, frozen=True, kw_only=True):
    """A phone was at a place: ms since 1970 UTC; `left_ms` is None as long as it has not left."""

    device: str
    place: str
    arrived_ms: int
    left_ms: int | None


class PlaceQueries(Protocol):
    """Reads of places and visits."""

    def places(self) -> list[Place]:
        """All places in the order of their ids."""
        ...

    def place_plan(self, places: Sequence[Place], *, removes_others: bool, places_max: int) -> PlacePlan:
        """What would change if these places were stored.

        Raises:
            Refused: if there would be too many.
        """
        ...

    def visits(self, *, place: str | None, device: str | None, limit: int) -> list[StoredVisit]:
        """Visits, the last arrival first."""
        ...


class PlaceUpkeep(Protocol):
    """The writes of places, on the writer's thread."""

    def put_places(self, places: Sequence[Place], *, removes_others: bool, places_max: int) -> PlacePlan:
        """Store places in place of those with the same ids, and delete the others if asked.

        Raises:
            Refused: if there would be too many.
        """
        ...
