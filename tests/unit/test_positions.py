"""Which points of a phone are believed: what real vehicles do is, what no vehicle does is not, and no error of the past is believed for ever."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from random import Random
from typing import Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.domain.event_time import AHEAD_MS
from bridge.domain.positions import AGREEING, Fix, PointRules, Track, distance_m, fault_of, is_reachable
from devices.protocol.messages import Point
from devices.protocol.vocabulary import PointFault

NOW_MS: Final = 1_760_000_000_000
BERLIN: Final = (52.5, 13.4)
MUNICH: Final = (48.1, 11.5)
SPEED_M_S: Final = 70.0
METRE_E7: Final = 1e7 / 111_195
"""One metre to the north, in degrees × 10^7."""
DRIVE: Final = Path(__file__).with_name("data") / "a_drive.json"

laws = settings(derandomize=True, deadline=None, max_examples=30)


def fix(place: tuple[float, float], after_s: float, *, north_m: float = 0.0, accuracy_m: int = 5) -> Fix:
    """A fix near a place, some time after the start."""
    lat, lon = place
    return Fix(NOW_MS + round(after_s * 1_000), round(lat * 1e7 + north_m * METRE_E7), round(lon * 1e7), accuracy_m)


def believed(fixes: Iterable[Fix], track: Track | None = None) -> list[bool]:
    track = track if track is not None else Track()
    return [track.believe(f, SPEED_M_S) for f in fixes]


# --- a point by itself --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("point", "fault"),
    [
        ((1_000, 525_000_000, 134_000_000, 5), None),
        ((1_000, 0, 134_000_000, 5), None),  # the equator
        ((1_000, 525_000_000, 0, 5), None),  # Greenwich
        ((1_000, 525_000_000, 134_000_000, 0), None),  # the receiver does not say how accurate it is
        ((1_000, 525_000_000, 134_000_000, 500), None),
        ((1_000 + AHEAD_MS, 525_000_000, 134_000_000, 5), None),
        ((1_000, 0, 0, 0), PointFault.NO_FIX),
        ((1_000, 0, 0, 12), PointFault.NO_FIX),
        ((1_000, 525_000_000, 134_000_000, 501), PointFault.INACCURATE),
        ((1_000, 525_000_000, 134_000_000, 100_000), PointFault.INACCURATE),
        ((1_001 + AHEAD_MS, 525_000_000, 134_000_000, 5), PointFault.NO_TIME),
        ((5_000, 0, 0, 100_000), PointFault.NO_FIX),
    ],
)
def test_a_point_shows_whether_it_can_be_used(point: tuple[int, int, int, int], fault: PointFault | None) -> None:
    assert fault_of(Point(*point, None), 1_000, PointRules().accuracy_max_m) is fault


# --- where a phone can be -----------------------------------------------------------------------------------------------------


def test_distances_are_those_of_the_earth() -> None:
    assert distance_m(fix(BERLIN, 0), fix(MUNICH, 0)) == pytest.approx(507_000, rel=0.01)
    assert distance_m(fix((0.0, 179.9), 0), fix((0.0, -179.9), 0)) == pytest.approx(22_239, rel=0.001), "the shortest way leads over the date line"
    assert distance_m(fix((90.0, 0.0), 0), fix((-90.0, 0.0), 0)) == pytest.approx(math.pi * 6_371_008.8)
    assert distance_m(fix(BERLIN, 0), fix(BERLIN, 9)) == 0.0


def test_every_fix_of_a_real_drive_is_believed() -> None:
    """A delivery driver's last minutes before a stop, on a fast road, with the noise of his receiver."""
    drive = json.loads(DRIVE.read_text())["fixes"]
    east_e7 = METRE_E7 / math.cos(math.radians(BERLIN[0]))
    fixes = [Fix(NOW_MS + round(s * 1_000), round(525_000_000 + north * METRE_E7), round(134_000_000 + east * east_e7), 5) for s, east, north in drive]
    assert len(fixes) > 50
    assert all(believed(fixes))
    assert all(believed(reversed(fixes))), "a backlog may come in any order"


@laws
@given(st.lists(st.tuples(st.integers(0, 600), st.floats(-SPEED_M_S, SPEED_M_S)), min_size=1, max_size=20), st.randoms(use_true_random=False))
def test_what_a_vehicle_can_drive_is_believed_in_any_order(legs: Sequence[tuple[int, float]], chance: Random) -> None:
    fixes, after_s, north_m = [], 0, 0.0
    for seconds, speed_m_s in legs:
        after_s, north_m = after_s + seconds, north_m + seconds * speed_m_s
        fixes.append(fix(BERLIN, after_s, north_m=north_m))
    chance.shuffle(fixes)
    assert all(believed(fixes))


def test_a_jump_is_not_believed_and_what_follows_is() -> None:
    fixes = [fix(BERLIN, 0), fix(MUNICH, 1), fix(BERLIN, 2), fix(MUNICH, 3), fix(BERLIN, 4)]
    assert believed(fixes) == [True, False, True, False, True]


def test_a_fix_may_be_as_far_away_as_both_are_inaccurate() -> None:
    assert is_reachable(fix(BERLIN, 0, accuracy_m=300), fix(BERLIN, 0, north_m=600, accuracy_m=300), SPEED_M_S)
    assert not is_reachable(fix(BERLIN, 0, accuracy_m=300), fix(BERLIN, 0, north_m=800, accuracy_m=300), SPEED_M_S)


def test_a_jump_inside_a_backlog_is_not_believed() -> None:
    """An hour old, it can be reached from where the phone is now, but not from where it was a moment before."""
    backlog = [fix(BERLIN, s) for s in range(0, 60, 5)]
    backlog[6] = fix(MUNICH, 30)
    track = Track()
    assert believed([fix(BERLIN, 9_000)], track) == [True]
    assert believed(backlog, track) == [s != 30 for s in range(0, 60, 5)]
    assert believed([fix(MUNICH, 9_005), fix(BERLIN, 9_010)], track) == [False, True], "what is live is held against what was live"


# --- who was wrong ------------------------------------------------------------------------------------------------------------


def test_a_wrong_first_fix_costs_two_points() -> None:
    assert believed([fix(MUNICH, 0), *(fix(BERLIN, s) for s in range(5, 30, 5))]) == [True, False, False, True, True, True]


def test_a_phone_that_was_carried_far_is_believed_with_the_third_fix() -> None:
    assert believed([fix(BERLIN, 0), fix(BERLIN, 5), *(fix(MUNICH, s) for s in (600, 605, 610, 615))]) == [True, True, False, False, True, True]


def test_fixes_that_contradict_each_other_confirm_nothing() -> None:
    places = [BERLIN, MUNICH, (50.0, 8.0), (53.6, 10.0), (51.2, 6.8), BERLIN]
    assert believed(fix(place, s) for s, place in enumerate(places)) == [True, False, False, False, False, True]


def test_a_fix_that_is_sent_again_confirms_nothing() -> None:
    wrong = [fix(MUNICH, 5), fix(MUNICH, 6)]
    assert believed([fix(BERLIN, 0), *wrong, *wrong, *wrong]) == [True, *[False] * 6]


def test_a_newest_fix_that_was_wrong_does_not_spoil_a_backlog() -> None:
    track = Track()
    believed([fix(MUNICH, 1_000)], track)
    assert believed([fix(BERLIN, s) for s in range(0, 40, 5)], track) == [False, False, *[True] * 6]
    assert believed([fix(BERLIN, 1_005)], track) == [True]


places = st.tuples(st.floats(-80, 80), st.floats(-180, 180))


@laws
@given(st.lists(st.tuples(places, st.integers(-3_600, 3_600)), max_size=12), places)
def test_whatever_a_phone_said_before_it_is_believed_again_soon(past: list[tuple[tuple[float, float], int]], place: tuple[float, float]) -> None:
    track = Track()
    believed([fix(where, s) for where, s in past], track)
    later = believed([fix(place, 3_601 + s) for s in range(AGREEING + 2)], track)
    assert all(later[AGREEING - 1 :])
