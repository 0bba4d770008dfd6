"""A mixed fleet for less than a minute; run `fleet.py` by hand for a longer one."""

from __future__ import annotations

from pathlib import Path

import pytest
from soak.bad import BEHAVIOURS
from soak.fleet import soak

SECONDS = 45
CLIENTS = 60
GROWTH_MB_MAX = 40
FDS_MAX = CLIENTS + 60


@pytest.mark.slow
def test_bad_clients_cost_the_good_ones_nothing_and_the_server_does_not_grow(tmp_path: Path) -> None:
    result = soak(tmp_path, seconds=SECONDS, clients=CLIENTS)
    first, last = result.settled[0], result.settled[-1]
    assert result.is_clean, result
    assert result.events > CLIENTS
    assert result.messages > CLIENTS / 6
    assert {b.name for b in BEHAVIOURS} <= {name.removeprefix("bad: ").partition(",")[0] for name in result.counts}, "a bad client had no turn"
    assert last.rss_mb - first.rss_mb < GROWTH_MB_MAX
    assert max(s.fds for s in result.samples) < FDS_MAX
    assert last.threads == first.threads
