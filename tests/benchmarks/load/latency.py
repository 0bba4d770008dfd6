"""Latencies in an HdrHistogram: microseconds, three significant digits, nothing averaged away."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from hdrh.histogram import HdrHistogram

LOWEST_US: Final = 1
HIGHEST_US: Final = 600_000_000
DIGITS: Final = 3
QUANTILES: Final = {"p50": 50.0, "p99": 99.0, "p99_9": 99.9}


def latency_ms(seconds: Iterable[float]) -> dict[str, float]:
    """p50, p99, p99.9 and the longest, in milliseconds, and how many there are. The longest, because the p99.9 of a few hundred is the longest too."""
    histogram = HdrHistogram(LOWEST_US, HIGHEST_US, DIGITS)
    for value in seconds:
        histogram.record_value(min(HIGHEST_US, max(LOWEST_US, round(value * 1e6))))
    count = histogram.get_total_count()
    if not count:
        return {**dict.fromkeys(QUANTILES, 0.0), "max": 0.0, "count": 0}
    found = {name: round(histogram.get_value_at_percentile(at) / 1000, 3) for name, at in QUANTILES.items()}
    return {**found, "max": round(histogram.get_max_value() / 1000, 3), "count": count}
