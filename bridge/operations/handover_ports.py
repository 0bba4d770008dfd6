"""What operations about carriers need to read and to write."""

from __future__ import annotations

from typing import NamedTuple, Protocol

from msgspec import Struct


class HandedParcel(Struct, frozen=True, kw_only=True):
    """A parcel that a scan gave to a carrier. `carrier` is its own; `scans` are the places of those scans in the event log."""

    order: str
    parcel: str
    codes: list[str]
    carrier: str
    tracking: str
    weight_g: int | None
    vehicle: str | None
    loaded_ms: int
    scans: list[int]


class AwaitedParcel(Struct, frozen=True, kw_only=True):
    """A parcel that should have been loaded and was not. `where` is where it was seen last, `flags` what stands beside its state.

    `loaded_for` is the carrier for which it was loaded instead.
    """

    order: str
    parcel: str
    codes: list[str]
    tracking: str
    state: str
    where: str | None
    flags: list[str]
    ship_by_ms: int | None
    loaded_for: str | None = None


class Handover(Struct, frozen=True, kw_only=True):
    """What a carrier takes with one pickup (交接清单). `no` and `by` are None as long as it is open; `at_ms` is when it was closed, or looked at.

    `since_ms` is when the list before it was closed. `parcels` are the carrier's own, `wrong` those that were loaded for it and are another carrier's,
    `missing` those that had to leave by `due_ms` and were not loaded.
    """

    no: int | None
    carrier: str
    site: str
    at_ms: int
    by: str | None
    since_ms: int | None
    due_ms: int | None
    parcels: list[HandedParcel]
    wrong: list[HandedParcel]
    missing: list[AwaitedParcel]


class ClosedList(Struct, frozen=True, kw_only=True):
    """A closed list: how many parcels are on it, how many of them are another carrier's, and how many were missing."""

    no: int
    carrier: str
    closed_ms: int
    by: str
    parcels: int
    wrong: int
    missing: int


class Given(NamedTuple):
    """A parcel that was given to a carrier (`given_to`) and is not on a closed list."""

    given_to: str
    parcel: HandedParcel


class Ready(NamedTuple):
    """A parcel that stands in the warehouse, packed, for a carrier."""

    carrier: str
    parcel: AwaitedParcel


class HandoverQueries(Protocol):
    """Reads about carriers.

    Raises:
        StoreUnavailable: from every method, if the database can't be read.
    """

    def given(self, *, since_ms: int) -> list[Given]:
        """Parcels that were loaded since then and are on no closed list, the first loaded first."""
        ...

    def ready(self) -> list[Ready]:
        """Parcels that are packed and have not left, by order and parcel."""
        ...

    def unpacked(self, *, due_ms: int) -> list[tuple[str, int]]:
        """(carrier, by when it has to leave) of the orders that have to leave by then and are not packed."""
        ...

    def handover(self, no: int) -> Handover | None:
        """A closed list."""
        ...

    def handovers(self, *, limit: int) -> list[ClosedList]:
        """Closed lists, the last first."""
        ...

    def last_handovers(self) -> dict[str, int]:
        """When the last list of each carrier was closed."""
        ...


class HandoverWrites(Protocol):
    """Writes about carriers, on the writer's thread."""

    def close_handover(self, handover: Handover, *, keep_from_ms: int) -> int:
        """Store a closed list, whole or not at all, and drop those that were closed before. Returns its number.

        Raises:
            Refused: if one of its scans is on another list already.
        """
        ...
