"""Which points of a courier's phone are believed. Each rule gives its reason (`PointFault`); what is believed says nothing about who carries what."""

from __future__ import annotations

from math import cos, radians
from typing import Final, NamedTuple

from bridge.domain import geo
from bridge.domain.event_time import AHEAD_MS, SKEW_NOISE_MS
from bridge.domain.geo import E7_M, HALF_TURN_E7, Spot
from devices.protocol.messages import Point
from devices.protocol.vocabulary import PointFault

AGREEING: Final = 3
"""This many fixes in a row that agree with each other are believed, however far they are from the one before: that one was wrong, or the phone was carried
far away."""
POLE_E7: Final = 900_000_000


class PointRules(NamedTuple):
    """A site's settings about points."""

    accuracy_max_m: int = 500
    speed_max_m_s: float = 70.0
    backlog_max_ms: int = 86_400_000


class Fix(NamedTuple):
    """Where a phone was, and when: ms since 1970 UTC, degrees times 10^7, metres."""

    at_ms: int
    lat_e7: int
    lon_e7: int
    accuracy_m: int


class ShowingRules(NamedTuple):
    """A site's settings about positions that are shown: stops, metres (0: as exact as it is), milliseconds."""

    next_stops: int = 3
    round_m: int = 0
    stale_after_ms: int = 60_000
    gone_after_ms: int = 120_000


def fault_of(point: Point, sent_mono_ms: int, accuracy_max_m: int) -> PointFault | None:
    """Why a point can't be used, as it shows itself."""
    if not (point.lat_e7 or point.lon_e7):
        return PointFault.NO_FIX
    if point.mono_ms > sent_mono_ms + AHEAD_MS:
        return PointFault.NO_TIME
    if point.accuracy_m > accuracy_max_m:
        return PointFault.INACCURATE
    return None


def is_outdated(fix: Fix, received_ms: int, backlog_max_ms: int) -> bool:
    """Whether a fix came too late to say anything: nothing of that time is worked out again."""
    return received_ms - fix.at_ms > backlog_max_ms


def rounded(fix: Fix, round_m: int) -> Fix:
    """A fix on a grid of so many metres. The grid never moves: many fixes of a phone that stands still say no more than one of them."""
    if not round_m:
        return fix
    step_e7 = max(1, round(round_m / E7_M))
    lat_e7 = max(-POLE_E7, min(POLE_E7, round(fix.lat_e7 / step_e7) * step_e7))
    east_e7 = max(1, min(HALF_TURN_E7, round(step_e7 / max(cos(radians(lat_e7 / 1e7)), 1e-6))))
    lon_e7 = max(-HALF_TURN_E7, min(HALF_TURN_E7, round(fix.lon_e7 / east_e7) * east_e7))
    return Fix(fix.at_ms, lat_e7, lon_e7, max(fix.accuracy_m, round_m))


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
    if (abs(other.lat_e7 - one.lat_e7) + abs(other.lon_e7 - one.lon_e7)) * E7_M <= reach_m:
        return True
    return distance_m(one, other) <= reach_m


def distance_m(one: Fix, other: Fix) -> float:
    """The distance of two fixes along the surface of the earth."""
    return geo.distance_m(Spot(one.lat_e7, one.lon_e7), Spot(other.lat_e7, other.lon_e7))
