"""Which points of a courier's phone are believed. Each rule gives its reason (`PointFault`); what is believed says nothing about who carries what."""

from __future__ import annotations

from math import asin, cos, radians, sin, sqrt
from typing import Final, NamedTuple

from bridge.domain.event_time import AHEAD_MS, SKEW_NOISE_MS
from devices.protocol.messages import Point
from devices.protocol.vocabulary import PointFault

AGREEING: Final = 3
"""This many fixes in a row that agree with each other are believed, however far they are from the one before: that one was wrong, or the phone was carried
far away."""
_EARTH_M: Final = 6_371_008.8
_E7_M: Final = _EARTH_M * radians(1e-7)
"""Metres in 10^-7 degrees of a meridian."""


class PointRules(NamedTuple):
    """A site's settings about points."""

    accuracy_max_m: int = 500
    speed_max_m_s: float = 70.0


class Fix(NamedTuple):
    """Where a phone was, and when: ms since 1970 UTC, degrees times 10^7, metres."""

    at_ms: int
    lat_e7: int
    lon_e7: int
    accuracy_m: int


def fault_of(point: Point, sent_mono_ms: int, accuracy_max_m: int) -> PointFault | None:
    """Why a point can't be used, as it shows itself."""
    if not (point.lat_e7 or point.lon_e7):
        return PointFault.NO_FIX
    if point.mono_ms > sent_mono_ms + AHEAD_MS:
        return PointFault.NO_TIME
    if point.accuracy_m > accuracy_max_m:
        return PointFault.INACCURATE
    return None


class Track:
    """Where a phone was, as far as that is believed.

    `newest` is the newest fix that is believed, `previous` the one that was believed last; in a backlog, that is an older one. A fix that can't be reached
    from both is doubted. `doubted` is the last such fix, and `agreeing` the number of them in a row that can be reached from each other. Once there are
    `AGREEING` of them, they are right and `newest` was wrong.
    """

    __slots__ = ("agreeing", "doubted", "newest", "previous")

    def __init__(self) -> None:
        self.newest: Fix | None = None
        self.previous: Fix | None = None
        self.doubted: Fix | None = None
        self.agreeing = 0

    def believe(self, fix: Fix, speed_max_m_s: float) -> bool:
        """Take the next fix. Returns False if the phone can't have got there so fast."""
        newest, previous = self.newest, self.previous
        if newest is None or previous is None:
            self.newest = fix
        elif is_reachable(previous, fix, speed_max_m_s) and (newest is previous or is_reachable(newest, fix, speed_max_m_s)):
            if fix.at_ms >= newest.at_ms:
                self.newest = fix
        elif self._is_confirmed(fix, speed_max_m_s):
            self.newest = fix
        else:
            return False
        self.previous = fix
        self.doubted, self.agreeing = None, 0
        return True

    def _is_confirmed(self, fix: Fix, speed_max_m_s: float) -> bool:
        before = self.doubted
        if before is not None and fix.at_ms <= before.at_ms:
            return False  # a fix that is sent again confirms nothing
        self.agreeing = self.agreeing + 1 if before is not None and is_reachable(before, fix, speed_max_m_s) else 1
        self.doubted = fix
        return self.agreeing >= AGREEING


def is_reachable(one: Fix, other: Fix, speed_max_m_s: float) -> bool:
    """Whether a vehicle can have been at both, as far as their accuracies and times say."""
    reach_m = one.accuracy_m + other.accuracy_m + speed_max_m_s * (abs(other.at_ms - one.at_ms) + SKEW_NOISE_MS) / 1_000
    # The way along a meridian and a parallel is never shorter. Nearly always it is short enough, and needs no trigonometry.
    if (abs(other.lat_e7 - one.lat_e7) + abs(other.lon_e7 - one.lon_e7)) * _E7_M <= reach_m:
        return True
    return distance_m(one, other) <= reach_m


def distance_m(one: Fix, other: Fix) -> float:
    """The distance of two fixes along the surface of the earth, taken as a sphere (haversine)."""
    lat_1, lat_2 = radians(one.lat_e7 / 1e7), radians(other.lat_e7 / 1e7)
    half_lat, half_lon = (lat_2 - lat_1) / 2, radians((other.lon_e7 - one.lon_e7) / 1e7) / 2
    return 2 * _EARTH_M * asin(min(1.0, sqrt(sin(half_lat) ** 2 + cos(lat_1) * cos(lat_2) * sin(half_lon) ** 2)))
