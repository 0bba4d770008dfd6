"""Settings about where couriers are: what of it is shown, the places where they come, and when they are there."""

from __future__ import annotations

from dataclasses import dataclass

from bridge.setting import setting


@dataclass(frozen=True, slots=True, kw_only=True)
class PositionSettings:
    """What is shown of where couriers are: for orders that are out for delivery, and next."""

    next_stops: int = setting(3, "The courier's next stops for whose orders his position is shown. 0: for none.", least=0, most=500)
    round_m: int = setting(100, "Grid to which a shown position is rounded, in metres. 0: it is shown as exact as it is.", least=0, most=10_000)
    stale_after_s: float = setting(60.0, "Seconds after the last point at which a shown position is marked stale.", least=1.0)
    gone_after_s: float = setting(120.0, "Seconds after the last point at which it is cleared. If that is before it is stale, it never is.", least=1.0)
    backlog_max_h: float = setting(24.0, "Hours after which a point that comes late is no longer used.", least=0.01, most=168)


@dataclass(frozen=True, slots=True, kw_only=True)
class PlaceSettings:
    """Places where couriers come (`dockbridge places import`): docks, hubs, lockers, stations and zones."""

    places_max: int = setting(10_000, "Places of the site.", least=1, most=100_000)
    vertices_max: int = setting(500, "Vertices of one place.", least=3, most=5_000)
    radius_m_max: int = setting(20_000, "Largest radius of a place that is a circle, in metres.", least=1, most=25_000)
    file_bytes_max: int = setting(16_777_216, "Size of a file of places, in bytes.", least=1_024, most=50_331_648)


@dataclass(frozen=True, slots=True, kw_only=True)
class VisitSettings:
    """When a courier's phone is at a place. A change holds for the points that come after it."""

    dwell_s: float = setting(60.0, "Seconds inside a place that make a visit, if it has no dwell_s of its own. Less is driving by.", least=0.0, most=1_800)
    leave_s: float = setting(300.0, "Seconds away from a place that end a visit. Who comes back before that was not away.", least=0.0, most=1_800)
    leave_m: float = setting(30.0, "Metres beyond the border, the accuracy of the point left out, from where a phone is away.", least=0.0, most=1_000)
    accuracy_max_m: int = setting(100, "Worst accuracy of a point that says whether a phone is at a place, in metres.", least=1, most=10_000)
    crossing_max_s: float = setting(120.0, "Longest time between two points of which the way between counts as straight, in seconds.", least=0.0, most=1_800)
    gap_max_s: float = setting(3_600.0, "Seconds without a point after which a visit has ended.", least=1_800.0, most=43_200)
    fixes_cached_max: int = setting(120, "Last stored points of a phone that stay in memory, or twice as many; about 200 bytes each.", least=2, most=10_000)
