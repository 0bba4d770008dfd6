"""Drives of couriers, made up: fixes on a way with stops, with the noise of a receiver between houses."""

from __future__ import annotations

import math
from collections.abc import Sequence
from random import Random
from typing import Final

from bridge.domain.geo import E7_M, Spot
from bridge.domain.places import Place, PlaceKind
from bridge.domain.positions import Fix

BASE: Final = Spot(525_000_000, 134_000_000)
NOON_MS: Final = 1_760_000_400_000
EAST_M: Final = E7_M * math.cos(math.radians(52.5))
NOISE_M: Final = 6.0
"""The noise of one fix. Those around it have nearly the same: a receiver drifts, it does not jump."""
DRIFT: Final = 0.9


def spot(east_m: float, north_m: float = 0.0) -> Spot:
    """A spot so many metres from `BASE`."""
    return Spot(BASE.lat_e7 + round(north_m / E7_M), BASE.lon_e7 + round(east_m / EAST_M))


def fix(after_s: float, east_m: float, north_m: float = 0.0, accuracy_m: int = 8) -> Fix:
    """A fix so many metres from `BASE`, so many seconds after noon."""
    return Fix(NOON_MS + round(after_s * 1_000), *spot(east_m, north_m), accuracy_m)


def circle(name: str = "hub", east_m: float = 0.0, radius_m: int = 75, dwell_s: int | None = None, kind: PlaceKind = PlaceKind.HUB) -> Place:
    return Place(id=name, kind=kind, name=name.title(), rings=((spot(east_m),),), radius_m=radius_m, dwell_s=dwell_s)


def drive(chance: Random, *, stay_s: int, speed_m_s: float = 9.0, from_m: float = 900.0, every_s: int = 5) -> list[Fix]:
    """A drive to `BASE`, a stay there with ways on foot to doors around it, and a drive away."""
    fixes: list[Fix] = []
    at_s, east_m, noise = 0.0, -from_m, (0.0, 0.0)
    leaves_s = from_m / speed_m_s + stay_s
    while east_m < from_m:
        noise = tuple(DRIFT * n + chance.gauss(0, NOISE_M * math.sqrt(1 - DRIFT**2)) for n in noise)  # type: ignore[assignment]
        on_foot_m = 35 * math.sin(at_s / 20) if east_m == 0 else 0.0
        fixes.append(fix(at_s, east_m + on_foot_m + noise[0], noise[1], accuracy_m=chance.randint(4, 20)))
        at_s += every_s
        if east_m < 0 <= east_m + speed_m_s * every_s or (east_m == 0 and at_s < leaves_s):
            east_m = 0.0
        else:
            east_m += speed_m_s * every_s
    return fixes


def in_batches(fixes: Sequence[Fix], chance: Random) -> list[list[Fix]]:
    """The same fixes in any order, cut into any number of batches."""
    mixed = list(fixes)
    chance.shuffle(mixed)
    cuts = sorted(chance.sample(range(1, len(mixed)), chance.randint(0, min(6, len(mixed) - 1)))) if len(mixed) > 1 else []
    return [mixed[first:last] for first, last in zip([0, *cuts], [*cuts, len(mixed)], strict=True)]
