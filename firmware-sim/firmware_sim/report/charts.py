"""Pictures in SVG, made of percentages and pixels: they take any width, and their letters keep their size.

Everything that has a time stands on one `Axis`, so that what happened at once is above each other all down the page.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from firmware_sim.report.measures import Latency, Measures, percentile
from firmware_sim.report.words import clock, count, duration, text

_SECOND: Final = 1_000
_MINUTE: Final = 60_000
_HOUR: Final = 3_600_000
_DAY: Final = 86_400_000
STEPS_MS: Final = (
    *(1, 2, 5, 10, 20, 50, 100, 200, 500),
    *(_SECOND * n for n in (1, 2, 5, 10, 15, 30)),
    *(_MINUTE * n for n in (1, 2, 5, 10, 15, 30)),
    *(_HOUR * n for n in (1, 2, 3, 6, 12)),
    *(_DAY * n for n in (1, 2, 7, 14, 28, 91, 365)),
)
TICKS_MAX: Final = 10
BANDS_MAX: Final = 120
LINES_MAX: Final = 200
"""Kills drawn, and times of faults shaded, on every picture; all of them are in the tables."""
FAINT_FROM: Final = 30
"""So many kills would hide what is behind them."""
WHOLE_RUN: Final = 0.98
"""What is on for longer is not shaded: it would shade everything."""
BINS: Final = 240
WINDOWS_MAX: Final = 80
CHART_PX: Final = 96
_PER_DECADE: Final = 5


def step_of(span_ms: int, most: int) -> int:
    """The smallest round step that divides a span into at most so many."""
    return next((step for step in STEPS_MS if span_ms / step <= most), max(1, -(-span_ms // most)))


@dataclass(frozen=True, slots=True)
class Axis:
    """Time, from left to right."""

    begin_ms: int
    end_ms: int

    @property
    def span_ms(self) -> int:
        return self.end_ms - self.begin_ms

    def share(self, at_ms: float) -> float:
        """Where a time lies, 0 to 1."""
        return min(1.0, max(0.0, (at_ms - self.begin_ms) / self.span_ms))

    def at(self, at_ms: float) -> str:
        return percent(self.share(at_ms))

    def wide(self, from_ms: float, to_ms: float) -> str:
        return percent(max(0.0, self.share(to_ms) - self.share(from_ms)))

    def ticks(self) -> list[int]:
        """Round times, from the begin of the run."""
        step = step_of(self.span_ms, TICKS_MAX)
        return list(range(0, self.span_ms + 1, step))


def percent(share: float) -> str:
    return f"{100 * share:.2f}".rstrip("0").rstrip(".") + "%"


class Frame:
    """What lies under and over every picture of time: the ticks and the faults; the kills and the restarts."""

    def __init__(self, axis: Axis, found: Measures) -> None:
        self.axis = axis
        spans = sorted({spell.span for each in found.faults.values() for spell in each})
        parts = [s for s in spans if s.to_ms - s.from_ms < WHOLE_RUN * axis.span_ms]
        self._ticks = [axis.at(axis.begin_ms + tick) for tick in axis.ticks()]
        self._bands = [(axis.at(s.from_ms), axis.wide(s.from_ms, s.to_ms)) for s in parts[:BANDS_MAX]]
        self._kills = [axis.at(down.at_ms) for down in found.kills[:LINES_MAX]]
        self._backs = [axis.at(down.back_ms) for down in found.kills[:LINES_MAX] if down.back_ms is not None]

    def picture(self, height_px: int, label: str, inner: str, *, has_faults: bool = True) -> str:
        """A picture of time. `label` says in words what it shows; `has_faults`: with the faults under it and the kills over it."""
        under = [f'<line class="tick" x1="{x}" x2="{x}" y1="0" y2="100%"/>' for x in self._ticks]
        over: list[str] = []
        if has_faults:
            under += [f'<rect class="band" x="{x}" width="{wide}" y="0" height="100%"/>' for x, wide in self._bands]
            faint = " faint" if len(self._kills) > FAINT_FROM else ""
            over += [f'<line class="back{faint}" x1="{x}" x2="{x}" y1="0" y2="100%"/>' for x in self._backs]
            over += [f'<line class="kill{faint}" x1="{x}" x2="{x}" y1="0" y2="100%"/>' for x in self._kills]
        return f'<svg class="plot" height="{height_px}" role="img" aria-label="{text(label)}">{"".join(under)}{inner}{"".join(over)}</svg>'

    def scale(self) -> str:
        """The times under the ticks."""
        parts = []
        for tick in self.axis.ticks():
            x = self.axis.share(self.axis.begin_ms + tick)
            fine = self.axis.span_ms < TICKS_MAX * _SECOND
            parts.append(f'<text x="{percent(x)}" y="14" text-anchor="{_anchor(x)}">{clock(tick, fine=fine)}</text>')
        return f'<svg class="plot scale" height="20" aria-hidden="true">{"".join(parts)}</svg>'


# --- series over time ----------------------------------------------------------------------------------------------------------


class Step(NamedTuple):
    """A value that holds from one time to another."""

    from_ms: float
    to_ms: float
    value: float


def highest(points: Sequence[tuple[int, int]], axis: Axis, *, holds: bool) -> list[Step]:
    """The highest value in each of `BINS` equal times. `holds`: a value lasts until the next one; else a time without points has no value."""
    wide = axis.span_ms / BINS
    tops: dict[int, int] = {}
    lasts: dict[int, int] = {}
    for at_ms, value in points:
        no = min(BINS - 1, max(0, int((at_ms - axis.begin_ms) / wide)))
        tops[no] = max(value, tops.get(no, 0))
        lasts[no] = value
    steps, held = [], 0
    for no in range(BINS):
        if no in tops or holds:
            value = max(held, tops.get(no, 0)) if holds else tops[no]
            steps.append(Step(axis.begin_ms + no * wide, axis.begin_ms + (no + 1) * wide, value))
        held = lasts.get(no, held)
    return steps


def in_windows(latencies: Sequence[Latency], axis: Axis, share: float) -> list[Step]:
    """A percentile of those that began in each window; windows without any are left out."""
    wide = window_ms(axis)
    windows: dict[int, list[int]] = {}
    for one in latencies:
        windows.setdefault((one.at_ms - axis.begin_ms) // wide, []).append(one.took_ms)
    starts = ((axis.begin_ms + no * wide, values) for no, values in sorted(windows.items()))
    return [Step(at_ms, min(at_ms + wide, axis.end_ms), percentile(sorted(values), share)) for at_ms, values in starts]


def window_ms(axis: Axis) -> int:
    return step_of(axis.span_ms, WINDOWS_MAX)


def _path(steps: Sequence[Step], axis: Axis, y: Callable[[float], float], *, filled: bool) -> str:
    """Steps as a path on a canvas 1000 wide and `CHART_PX` high; filled down to the ground."""
    d: list[str] = []
    at_ms = -1.0
    for step in steps:
        x0, x1 = 1000 * axis.share(step.from_ms), 1000 * axis.share(step.to_ms)
        joins = abs(step.from_ms - at_ms) < 1
        if filled:
            d.append(f"{'L' if joins else ('V' + str(CHART_PX) if d else '') + f'M{x0:.1f} {CHART_PX}L'}{x0:.1f} {y(step.value):.1f}H{x1:.1f}")
        else:
            d.append(f"{'V' if joins else f'M{x0:.1f} '}{y(step.value):.1f}H{x1:.1f}")
        at_ms = step.to_ms
    return "".join(d) + (f"V{CHART_PX}" if filled and d else "")


def lines(frame: Frame, label: str, series: Sequence[tuple[str, Sequence[Step]]], *, logarithmic: bool, unit: Callable[[float], str]) -> str:
    """Step lines: (CSS class, steps). The class `area` is filled."""
    top = max((s.value for _, steps in series for s in steps), default=0)
    low = min((s.value for _, steps in series for s in steps), default=0)
    y, marks = _decades(low, top) if logarithmic else _linear(top)
    inner = [f'<line class="rule" x1="0" x2="100%" y1="{y(mark):.1f}" y2="{y(mark):.1f}"/>' for mark in marks]
    inner.append(f'<svg class="canvas" viewBox="0 0 1000 {CHART_PX}" preserveAspectRatio="none" width="100%" height="{CHART_PX}">')
    for css, steps in series:
        inner.append(f'<path class="{css}" d="{_path(steps, frame.axis, y, filled=css.startswith("area"))}"/>')
    inner.append("</svg>")
    inner += [f'<text class="value" x="4" y="{max(10.0, y(mark) - 3):.1f}">{unit(mark)}</text>' for mark in marks if mark or logarithmic]
    return frame.picture(CHART_PX, label, "".join(inner))


def _linear(top: float) -> tuple[Callable[[float], float], list[float]]:
    highest_mark = _round_up(max(1.0, top))
    return (lambda value: CHART_PX - 1 - value / highest_mark * (CHART_PX - 6)), [0.0, highest_mark]


def _round_up(value: float) -> float:
    decade = 10.0 ** math.floor(math.log10(value))
    return next(m * decade for m in (1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 8, 10) if m * decade >= value * (1 - 1e-9))


def _decades(low: float, top: float) -> tuple[Callable[[float], float], list[float]]:
    """From the decade of the lowest value to a little above the highest; the marks are the decades between."""
    first = math.floor(math.log10(max(1.0, low)))
    last = max(first + 1.0, math.log10(max(1.0, top)) + 0.1)

    def y(value: float) -> float:
        return CHART_PX - 1 - (math.log10(max(10.0**first, value)) - first) / (last - first) * (CHART_PX - 6)

    return y, [10.0**k for k in range(first, math.floor(last) + 1)]


# --- histogram -----------------------------------------------------------------------------------------------------------------

PERCENTILES: Final = (("p50", 0.5), ("p99", 0.99), ("p99.9", 0.999), ("max", 1.0))
_BARS_FROM_PX: Final = 58
_BARS_TO_PX: Final = 190


class Bucket(NamedTuple):
    """Values from `from_ms` up to, not with, `to_ms`."""

    from_ms: float
    to_ms: float
    number: int


def buckets(values: Sequence[int]) -> list[Bucket]:
    """Five to a decade, from the one before the lowest value to the one behind the highest. What took no millisecond counts with what took one."""
    numbers = Counter(math.floor(math.log10(max(1, value)) * _PER_DECADE + 1e-9) for value in values)
    span = range(max(0, min(numbers) - 1), max(numbers) + 2)
    return [Bucket(10 ** (k / _PER_DECADE), 10 ** ((k + 1) / _PER_DECADE), numbers[k]) for k in span]


def histogram(latencies: Sequence[Latency], title: str, css: str) -> str:
    """How often it took how long: logarithmic from left to right, and the percentiles as lines."""
    values = sorted(one.took_ms for one in latencies)
    if not values:
        return f'<figure><figcaption>{text(title)}</figcaption><p class="none">Nothing to measure in this run.</p></figure>'
    bars = buckets(values)
    low, high = math.log10(bars[0].from_ms), math.log10(bars[-1].to_ms)

    def x(ms: float) -> float:
        return (math.log10(max(1.0, ms)) - low) / (high - low)

    known = [(name, percentile(values, share)) for name, share in PERCENTILES]
    label = f"{title}: " + ", ".join(f"{name} {duration(ms)}" for name, ms in known)
    parts = [*_bars(bars, len(values), css), *_decade_marks(low, high, x), *_quantiles(known, x)]
    return (
        f"<figure><figcaption>{text(title)} <small>{count(len(values), 'event')}</small></figcaption>"
        f'<svg class="plot histogram" height="{_BARS_TO_PX + 24}" role="img" aria-label="{text(label)}">{"".join(parts)}</svg></figure>'
    )


def _bars(bars: Sequence[Bucket], total: int, css: str) -> list[str]:
    most, wide = max(bar.number for bar in bars), 1 / len(bars)
    parts = []
    for no, bar in enumerate(bars):
        if not bar.number:
            continue
        height = max(2.0, bar.number / most * (_BARS_TO_PX - _BARS_FROM_PX))
        place = f'x="{percent((no + 0.06) * wide)}" width="{percent(0.88 * wide)}" y="{_BARS_TO_PX - height:.1f}" height="{height:.1f}"'
        said = f"{duration(bar.from_ms)} to {duration(bar.to_ms)}: {bar.number:,} ({percent(bar.number / total)})"
        parts.append(f'<rect class="{css}" {place}><title>{said}</title></rect>')
    return parts


def _decade_marks(low: float, high: float, x: Callable[[float], float]) -> list[str]:
    parts = [f'<line class="ground" x1="0" x2="100%" y1="{_BARS_TO_PX}.5" y2="{_BARS_TO_PX}.5"/>']
    between = (1, 2, 5) if high - low < 2 else (1,)
    marks = [m * 10.0**k for k in range(math.floor(low), math.floor(high) + 1) for m in between]
    for mark in (m for m in marks if low - 1e-9 <= math.log10(m) <= high + 1e-9):
        at = percent(x(mark))
        parts.append(f'<line class="ground" x1="{at}" x2="{at}" y1="{_BARS_TO_PX}" y2="{_BARS_TO_PX + 5}"/>')
        parts.append(f'<text x="{at}" y="{_BARS_TO_PX + 18}" text-anchor="{_anchor(x(mark))}">{decade(mark)}</text>')
    return parts


def _quantiles(known: Sequence[tuple[str, int]], x: Callable[[float], float]) -> list[str]:
    """Lines first, so that the words stand on them."""
    lines_down, words = [], []
    for no, (name, ms) in enumerate(known):
        at, y = percent(x(ms)), 10 + 13 * no
        dx, anchor = (-5, "end") if x(ms) > 0.6 else (5, "start")
        lines_down.append(f'<line class="quantile" x1="{at}" x2="{at}" y1="{y - 8}" y2="{_BARS_TO_PX}"/>')
        words.append(f'<text class="quantile" x="{at}" dx="{dx}" y="{y}" text-anchor="{anchor}">{name} {duration(ms)}</text>')
    return [*lines_down, *words]


def decade(ms: float) -> str:
    """A mark of a logarithmic scale: `10 ms`, `100 s`."""
    return f"{ms:,.0f} ms" if ms < _SECOND else f"{ms / _SECOND:,.0f} s"


def _anchor(share: float) -> str:
    """Where a word under a place begins, so that it stays in the picture."""
    return "start" if share < 0.03 else "end" if share > 0.97 else "middle"
