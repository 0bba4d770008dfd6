"""Rounds in which the contestants take turns, medians of them, and ratios within the same run."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

T = TypeVar("T")

OURS: Final = "dockbridge"
ROUNDS: Final = 5


@dataclass(frozen=True, slots=True)
class Spread:
    """The values of one figure, in the order of the rounds: median, lowest and highest."""

    values: tuple[float, ...]

    @classmethod
    def of(cls, values: Iterable[float]) -> Spread:
        return cls(tuple(values))

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    @property
    def lowest(self) -> float:
        return min(self.values)

    @property
    def highest(self) -> float:
        return max(self.values)

    @property
    def rounds(self) -> int:
        return len(self.values)


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A target: a ratio to the best of the others, or a limit for our own figure."""

    text: str
    ratio_min: float | None = None
    ratio_max: float | None = None
    least: float | None = None
    most: float | None = None

    def is_met(self, value: float, ratio: float | None) -> bool | None:
        """None if the target is a ratio and no other contestant was measured."""
        if self.ratio_min is not None or self.ratio_max is not None:
            if ratio is None:
                return None
            return (self.ratio_min or 0.0) <= ratio <= (self.ratio_max if self.ratio_max is not None else float("inf"))
        return (self.least is None or value >= self.least) and (self.most is None or value <= self.most)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One figure of one case, for every contestant. `against` names the contestants that the ratio compares with; None means all but ours."""

    case: str
    figure: str
    values: Mapping[str, Spread]
    more_is_better: bool
    target: Target | None = None
    against: tuple[str, ...] | None = None

    @property
    def rival(self) -> str | None:
        """The best of the others."""
        others = {name: s.median for name, s in self.values.items() if name != OURS and (self.against is None or name in self.against)}
        if not others:
            return None
        return (max if self.more_is_better else min)(others, key=lambda name: others[name])

    @property
    def ratio(self) -> float | None:
        """Our figure divided by the best of the others: above 1 is better for a rate, worse for a time or for memory."""
        if self.rival is None or OURS not in self.values or not self.values[self.rival].median:
            return None
        return self.values[OURS].median / self.values[self.rival].median

    @property
    def is_met(self) -> bool | None:
        return self.target.is_met(self.values[OURS].median, self.ratio) if self.target is not None and OURS in self.values else None


@dataclass(slots=True)
class Measurement:
    """What one command measured."""

    name: str
    title: str
    rows: list[Row] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    """What a reader must know about this run: what was cut short, and when the generator was too busy."""
    raw: dict[str, Any] = field(default_factory=dict)
    """Every figure of every round."""
    command: str = ""
    """The command that repeats the measurement."""
    where: str = ""
    """When it was measured, and on what machine."""

    def note(self, text: str) -> None:
        if text not in self.notes:
            self.notes.append(text)


def alternate(contestants: Mapping[str, Callable[[], T]], rounds: int) -> dict[str, list[T]]:
    """Let each contestant do its work once a round. Each round begins with another one, so that none always runs after the same one."""
    found: dict[str, list[T]] = {name: [] for name in contestants}
    names = list(contestants)
    for number in range(rounds):
        first = number % len(names)
        for name in names[first:] + names[:first]:
            found[name].append(contestants[name]())
    return found


def row(
    case: str,
    figure: str,
    results: Mapping[str, Sequence[Any]],
    pick: Callable[[Any], float | None],
    *,
    more_is_better: bool,
    target: Target | None = None,
    against: tuple[str, ...] | None = None,
) -> Row:
    """A row with one figure of all results; contestants without it are left out."""
    values = {name: [v for r in some if (v := pick(r)) is not None] for name, some in results.items()}
    spreads = {name: Spread.of(v) for name, v in values.items() if v}
    return Row(case=case, figure=figure, values=spreads, more_is_better=more_is_better, target=target, against=against)


def best_ways(results: Mapping[str, Sequence[Mapping[str, Any]]], key: str = "per_s") -> dict[str, Sequence[Mapping[str, Any]]]:
    """For a contestant that ran in several ways ("name", "name, way"), the best of its ways."""
    found: dict[str, Sequence[Mapping[str, Any]]] = {}
    for way, some in results.items():
        name = way.partition(",")[0]
        if name not in found or _median(some, key) > _median(found[name], key):
            found[name] = some
    return found


def _median(some: Sequence[Mapping[str, Any]], key: str) -> float:
    return statistics.median(float(r[key]) for r in some)
