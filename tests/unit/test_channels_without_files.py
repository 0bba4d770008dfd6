"""A channel whose last file is too old raises an alert, by its own hours or the site's; the next file ends it, and so does the end of the channel."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from helpers.bench import Bench

from bridge.config_file import hours_of_channels, parse
from bridge.errors import ConfigError
from bridge.ingest.channel_files import ChannelFileRow
from bridge.ingest.items import ShutOut
from bridge.store.carrier_queries import note_file

HOUR_MS = 3_600_000


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with Bench(tmp_path / "site.db", stale_after_ms=6 * HOUR_MS, stale_channels=(("dhl", 30 * HOUR_MS), ("old", 0))) as bench:
        yield bench


def came(bench: Bench, *channels: str) -> None:
    for channel in channels:
        note_file(bench.engine, ChannelFileRow(channel, "orders.csv", bench.now_ms))


def stale(bench: Bench) -> dict[str, str]:
    return dict(bench.rows("SELECT subject, text FROM alerts WHERE code = 'stale_channel'"))


def test_an_alert_is_raised_after_the_hours_of_the_channel(bench: Bench) -> None:
    came(bench, "shop1", "dhl", "old")
    bench.sweep(6 * HOUR_MS - 2_000)
    assert stale(bench) == {}
    bench.sweep(2_000)
    assert stale(bench) == {"shop1": "No file of channel shop1 came in for 6 h."}
    bench.sweep(25 * HOUR_MS)
    assert stale(bench).keys() == {"shop1", "dhl"}, "with 0 hours there is none"


def test_the_next_file_ends_it(bench: Bench) -> None:
    came(bench, "shop1")
    bench.sweep(7 * HOUR_MS)
    assert stale(bench)
    came(bench, "shop1")
    bench.sweep()
    assert stale(bench) == {}


def test_a_channel_that_is_given_up_has_none(bench: Bench) -> None:
    came(bench, "shop1")
    bench.sweep(7 * HOUR_MS)
    bench.settler.commit([ShutOut(received_ms=bench.now_ms, device="shop1")])
    assert stale(bench) == {}
    bench.sweep(7 * HOUR_MS)
    assert stale(bench) == {}


def test_by_default_no_channel_is_stale(tmp_path: Path) -> None:
    with Bench(tmp_path / "site.db") as bench:
        came(bench, "shop1")
        bench.sweep(1_000 * HOUR_MS)
        assert stale(bench) == {}


def test_the_setting_is_read_and_refused_with_its_fix() -> None:
    assert hours_of_channels("shop1=6 dhl=30.5 a=b=0") == {"shop1": 6.0, "dhl": 30.5, "a=b": 0.0}
    for wrong in ("shop1", "shop1=", "=6", "shop1=six", "shop1=-1"):
        with pytest.raises(ConfigError, match=r"imports\.stale_channels") as refused:
            parse({"imports": {"stale_channels": wrong}})
        assert refused.value.fix
