"""A day in half a minute: plan it, live through it over MQTT, and say how it went. Nothing here prints; `show.py` does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from firmware_sim.link.mqtt import Record, run
from firmware_sim.link.progress import Progress
from firmware_sim.workload import Workload

DEMO_SPEED: Final = 20.0
DEMO_TIMEOUT_S: Final = 120.0


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoRow:
    """One order: the state that the plan says, and the one that its status shows (None: no status was seen)."""

    order: str
    fate: str
    expected: str
    state: str | None
    parcels: int
    events: int

    @property
    def ok(self) -> bool:
        return self.state == self.expected


@dataclass(frozen=True, slots=True, kw_only=True)
class Latency:
    """Milliseconds; 0 where nothing was measured."""

    p50: float
    p99: float
    most: float


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoResult:
    """How a day went."""

    seed: int
    rows: tuple[DemoRow, ...]
    events: dict[str, int]
    outcomes: dict[str, int]
    acknowledged: int
    again: int
    puback_ms: Latency
    receipt_ms: Latency
    errors: tuple[str, ...]
    seconds: float

    @property
    def ok(self) -> bool:
        """Whether every order ended as planned and nothing went wrong on the way."""
        return not self.errors and all(row.ok for row in self.rows)


def plan_demo(seed: int = 1, *, site: str = "main") -> Workload:
    """The demo's day: 20 orders, three scanners, two couriers. `devices` says whom to enrol."""
    return Workload.from_seed(seed, site=site)


def run_demo(
    workload: Workload,
    host: str,
    port: int,
    passwords: dict[str, str],
    on_progress: Callable[[Progress], None] | None = None,
    *,
    speed: float = DEMO_SPEED,
    timeout_s: float = DEMO_TIMEOUT_S,
) -> DemoResult:
    """Live through a planned day.

    Raises:
        SimError: the bridge cannot be reached, or does not admit a device.
    """
    return summary(workload, run(workload, host, port, passwords, speed, on_progress, timeout_s))


def summary(workload: Workload, record: Record) -> DemoResult:
    """A run's record, held against its plan."""
    statuses = record.statuses
    rows = tuple(
        DemoRow(
            order=p.order,
            fate=p.fate.value,
            expected=p.expected,
            state=statuses[p.order].state if p.order in statuses else None,
            parcels=statuses[p.order].progress.parcels if p.order in statuses else 0,
            events=record.events_of.get(p.order, 0),
        )
        for p in workload.orders
    )
    return DemoResult(
        seed=workload.seed,
        rows=rows,
        events=record.sent,
        outcomes=record.outcomes,
        acknowledged=record.acknowledged,
        again=record.again,
        puback_ms=latency(record.puback_ms),
        receipt_ms=latency(record.answered_ms),
        errors=tuple(record.errors),
        seconds=record.seconds,
    )


def latency(samples_ms: list[float]) -> Latency:
    """Nearest-rank percentiles."""
    if not samples_ms:
        return Latency(p50=0.0, p99=0.0, most=0.0)
    ordered = sorted(samples_ms)
    last = len(ordered) - 1
    return Latency(p50=ordered[round(last * 0.50)], p99=ordered[round(last * 0.99)], most=ordered[-1])


def to_json(result: DemoResult) -> dict[str, Any]:
    """A result as plain data."""
    return {
        "ok": result.ok,
        "seed": result.seed,
        "orders": [
            {"order": r.order, "fate": r.fate, "expected": r.expected, "state": r.state, "parcels": r.parcels, "events": r.events, "ok": r.ok}
            for r in result.rows
        ],
        "events": result.events,
        "outcomes": result.outcomes,
        "acknowledged": result.acknowledged,
        "again": result.again,
        "puback_ms": _latency_plain(result.puback_ms),
        "receipt_ms": _latency_plain(result.receipt_ms),
        "errors": list(result.errors),
        "seconds": round(result.seconds, 3),
    }


def _latency_plain(found: Latency) -> dict[str, float]:
    return {"p50": round(found.p50, 2), "p99": round(found.p99, 2), "max": round(found.most, 2)}
