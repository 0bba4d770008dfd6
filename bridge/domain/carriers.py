"""A site's carriers: their names, and the vehicles, docks and devices that are theirs. The settings are asked when an event arrives, and never again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from bridge.domain.cutoffs import Timetable


@dataclass(frozen=True, slots=True, kw_only=True)
class CarrierRules:
    """What a site sets in `[carriers]` and `[cutoffs]`. Every key is folded (`folded`); the value is the carrier's name as the site writes it."""

    names: Mapping[str, str] = field(default_factory=dict)
    vehicles: Mapping[str, str] = field(default_factory=dict)
    docks: Mapping[str, str] = field(default_factory=dict)
    devices: Mapping[str, str] = field(default_factory=dict)
    timetable: Timetable = Timetable()  # noqa: RUF009 -- frozen

    def named(self, name: str) -> str:
        """A carrier's name as the site writes it; a name that the site does not know as it is."""
        return self.names.get(folded(name), name)

    def of_scan(self, *, vehicle: str | None, dock: str | None, device: str) -> str | None:
        """The carrier that a scan into a vehicle is for: that of the vehicle, else of the dock, else of the device."""
        for known, where in ((self.vehicles, vehicle), (self.docks, dock), (self.devices, device)):
            if where is not None and (carrier := known.get(folded(where))) is not None:
                return carrier
        return None


def folded(name: str) -> str:
    """What all spellings of a name have in common."""
    return " ".join(name.casefold().split())
