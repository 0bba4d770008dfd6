"""The law of codes, through the real ingest: the same events give the same answers, however they arrive, after a replay, and to the judge.

Five arrivals of each random stream, a replay from the log (SQLite), and the judge's slow model must agree: in every order's state and hash, in where each event
is placed, in `codes`, `waiting` and `inside`, in what is parked and quarantined, and in the outcome and reason of each event.
`test_the_law_of_hostile_codes.py` has the hostile streams, so that both halves can run at the same time.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers.streams import Mix
from unit.the_law import databases, faults

STREAMS, ON_SQLITE, MANY = range(70), range(140, 146), range(10_000, 12_500)
"""Seeds of streams."""
ONCE_WRONG = {"a waybill was news, or not, by whether it was known that another order's parcel got its code later": 11_903}
"""Seeds of ordinary streams in which the law was broken once, by what was wrong."""


@pytest.mark.parametrize("first", STREAMS[::10])
def test_ordinary_streams_give_the_same_answers_however_they_arrive(first: int) -> None:
    assert not {seed: wrong for seed in range(first, first + 10) if (wrong := faults(seed, Mix.ORDINARY))}


@pytest.mark.parametrize("seed", ONCE_WRONG.values())
def test_streams_in_which_the_law_was_broken_once(seed: int) -> None:
    assert not faults(seed, Mix.ORDINARY)


def test_on_sqlite_arrivals_and_a_replay_agree(tmp_path: Path) -> None:
    with databases(tmp_path) as new_store:
        assert not {seed: wrong for seed in ON_SQLITE if (wrong := faults(seed, Mix.ORDINARY, new_store))}


@pytest.mark.slow
@pytest.mark.parametrize("mix", Mix)
def test_five_thousand_streams_give_the_same_answers_however_they_arrive(mix: Mix) -> None:
    assert not {seed: wrong for seed in MANY if (wrong := faults(seed, mix))}
