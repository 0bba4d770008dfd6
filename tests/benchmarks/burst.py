"""Thirty times as many events for a minute: how many are lost, how late the others are, and how soon the backlog is gone.

An open loop: the latency of each event counts from when it was due.
"""

from __future__ import annotations

from functools import partial
from typing import Any, Final

from benchmarks.end_to_end import chosen, remarks
from benchmarks.load.pace import Phase, recovered_after_s
from benchmarks.load.story import ORDER_STORY, WATCHER, fleet_roles
from benchmarks.loading import load, served
from benchmarks.options import Options
from benchmarks.rounds import Measurement, Target, alternate, row
from benchmarks.servers.process import Start
from devices.protocol.vocabulary import Role

DEVICES: Final = 100
BASE_PER_S: Final = 100.0
BURST_PER_S: Final = 3_000.0
PHASES: Final = (Phase(BASE_PER_S, 10.0), Phase(BURST_PER_S, 60.0), Phase(BASE_PER_S, 20.0))
QUICK: Final = (Phase(BASE_PER_S, 2.0), Phase(BURST_PER_S, 2.0), Phase(BASE_PER_S, 2.0))
PATIENCE_S: Final = 120.0
"""After the last event was due."""
DURING_MS: Final = 1_000.0
AFTER_MS: Final = 600.0
AFTER_S: Final = 5.0
LEFT_OUT: Final = frozenset({"amqtt"})
"""amqtt handles hundreds of events a second and queues the rest; a burst of 180,000 would not end."""


def measure(options: Options) -> Measurement:
    found = Measurement("burst", "Burst: 100 events/s, then 3,000 events/s for 60 s, then 100 events/s")
    phases = QUICK if options.quick else PHASES
    contestants = {name: partial(_round, options, start, phases) for name, start in chosen(options).items() if name not in LEFT_OUT}
    options.say(f"burst: {', '.join(contestants)}")
    results = alternate(contestants, options.rounds)
    case = f"{DEVICES} devices, QoS 1"
    found.raw[case] = results
    none = Target(text="none lost", most=0.0)
    soon = Target(text=f"at most {AFTER_MS:.0f} ms within {AFTER_S:.0f} s", most=AFTER_S)
    during = Target(text="at most 1 s", most=DURING_MS)
    found.rows.append(row(case, "lost: not answered or not stored", results, lambda r: float(r["lost"]), more_is_better=False, target=none))
    for number, name in enumerate(("before", "during", "after")):
        for quantile in ("p50", "p99"):
            figure = f"{name}: receipt {quantile}, ms"
            target = during if (name, quantile) == ("during", "p99") else None
            pick = partial(_of_phase, number, "receipt_ms", quantile)
            found.rows.append(row(case, figure, results, pick, more_is_better=False, target=target))
    found.rows.append(row(case, "during: PUBACK p99, ms", results, partial(_of_phase, 1, "ack_ms", "p99"), more_is_better=False))
    found.rows.append(
        row(
            case, f"s after the burst until p99 stays at most {AFTER_MS:.0f} ms", results, lambda r: float(r["recovered_s"]), more_is_better=False, target=soon
        ),
    )
    remarks(found, case, results)
    found.note("amqtt is left out: it would not end.")
    return found


def _of_phase(number: int, kind: str, quantile: str, result: dict[str, Any]) -> float:
    return float(result["phases"][number][kind][quantile])


def _round(options: Options, start: Start, phases: tuple[Phase, ...]) -> dict[str, Any]:
    events = sum(p.events for p in phases)
    # The first orders are created before the measurement, and the last orders stay unfinished.
    orders = events // len(ORDER_STORY) + DEVICES
    with served(start, {**fleet_roles(DEVICES), WATCHER: Role.DESK}, options.cores) as server:
        deadline_s = sum(p.seconds for p in phases) + PATIENCE_S
        result = load("orders", server, options.cores, devices=DEVICES, orders=orders, phases=[list(p) for p in phases], deadline_s=deadline_s)
        server.stop()
        stored = server.stored()
    burst_ends_s = int(phases[0].seconds + phases[1].seconds)
    p99 = {int(second): value for second, value in result["receipt_p99_ms_by_second"].items()}
    recovered = recovered_after_s(p99, burst_ends_s, AFTER_MS)
    lost = max(result["events"] - result["answered"], result["events"] + result["prepared"] - stored)
    return {**result, "stored": stored, "lost": lost, "recovered_s": recovered if recovered is not None else phases[2].seconds}
