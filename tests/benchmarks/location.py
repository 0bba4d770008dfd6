"""2,000 phones that send their location, beside the order events of a site at the usual and at thirty times the rate: how much they delay the scanners."""

from __future__ import annotations

from functools import partial
from typing import Any, Final

from benchmarks.burst import BASE_PER_S, BURST_PER_S, DEVICES, LEFT_OUT, PATIENCE_S
from benchmarks.end_to_end import chosen, remarks
from benchmarks.load.pace import Phase
from benchmarks.load.phones import EVERY_S, POINTS, phone_name
from benchmarks.load.story import ORDER_STORY, WATCHER, fleet_roles
from benchmarks.loading import load, served
from benchmarks.options import Options
from benchmarks.rounds import Measurement, alternate, row
from benchmarks.servers.process import Start
from devices.protocol.vocabulary import Role

PHONES: Final = 2_000


def measure(options: Options) -> Measurement:
    phones = 100 if options.quick else PHONES
    found = Measurement("location", f"Location: order events beside {phones:,} phones")
    phases = (Phase(BASE_PER_S, options.seconds), Phase(BURST_PER_S, options.seconds), Phase(BASE_PER_S, options.seconds))
    for beside in (0, phones):
        contestants = {name: partial(_round, options, start, phases, beside) for name, start in chosen(options).items() if name not in LEFT_OUT}
        case = f"{beside:,} phones" if beside else "no phones"
        options.say(f"location: {case}")
        results = alternate(contestants, options.rounds)
        found.raw[case] = results
        for number, name in enumerate((f"{BASE_PER_S:.0f} events/s", f"burst of {BURST_PER_S:,.0f} events/s", "after the burst")):
            for quantile in ("p50", "p99"):
                pick = partial(_of_phase, number, quantile)
                found.rows.append(row(case, f"{name}: receipt {quantile}, ms", results, pick, more_is_better=False))
        remarks(found, case, results)
    found.note(f"Each phone sends a batch of {POINTS} points at QoS 0 every {EVERY_S:.0f} s.")
    return found


def _of_phase(number: int, quantile: str, result: dict[str, Any]) -> float:
    return float(result["phases"][number]["receipt_ms"][quantile])


def _round(options: Options, start: Start, phases: tuple[Phase, ...], phones: int) -> dict[str, Any]:
    orders = sum(p.events for p in phases) // len(ORDER_STORY) + DEVICES
    roles = {**fleet_roles(DEVICES), **{phone_name(n): Role.COURIER for n in range(phones)}, WATCHER: Role.DESK}
    with served(start, roles, options.cores) as server:
        job = {"phases": [list(p) for p in phases], "phones": phones, "deadline_s": sum(p.seconds for p in phases) + PATIENCE_S}
        return load("orders", server, options.cores, devices=DEVICES, orders=orders, **job)
