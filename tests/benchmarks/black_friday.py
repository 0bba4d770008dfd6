"""How far the bridge falls behind when thirty times as many events arrive: the scenario `black-friday` over real sockets.

    python tests/benchmarks/black_friday.py [--load 1.0] [--profile FILE]

Devices, network and load run in this process, the server in another. An event's latency is counted from its PUBLISH, and from when it happened: an event that
waits in a belt's flash because the window is full is late too.
"""

from __future__ import annotations

import argparse
import cProfile
import os
import resource
import sys
import time
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

from devices.protocol.messages import load_cbor
from firmware_sim.checkers import judge
from firmware_sim.link.sockets import run_sockets
from firmware_sim.record import Acknowledged, Published, Record
from firmware_sim.scenario import Scenario
from firmware_sim.scenario_file import read_scenario


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scenario", default="black-friday")
    parser.add_argument("--load", type=float, default=1.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--folder", type=Path, default=None)
    parser.add_argument("--profile", type=Path, default=None)
    asked = parser.parse_args()
    scenario = read_scenario(asked.scenario)
    print(f"load average before: {os.getloadavg()[0]:.2f}", flush=True)
    cpu_s, began_s = cpu(), time.monotonic()
    profile = cProfile.Profile() if asked.profile is not None else None
    if profile is not None:
        profile.enable()
    record = run_sockets(scenario, asked.seed, load=asked.load, timeout_s=1_200, folder=asked.folder)
    if profile is not None:
        profile.disable()
        profile.dump_stats(asked.profile)
    print(f"ran {time.monotonic() - began_s:.0f} s; load average after: {os.getloadavg()[0]:.2f}")
    print(f"processor time: this process {cpu() - cpu_s:.0f} s, the server {cpu(resource.RUSAGE_CHILDREN):.0f} s")
    show(record, scenario)


def cpu(whose: int = resource.RUSAGE_SELF) -> float:
    used = resource.getrusage(whose)
    return used.ru_utime + used.ru_stime


def show(record: Record, scenario: Scenario) -> None:
    happened, published, acknowledged = times(record)
    belts = scenario.belts
    assert belts is not None
    began_ms = min(happened.values())
    burst = (belts.burst_from_s, belts.burst_from_s + belts.burst_for_s + 10)
    stored = Counter((row["device"], row["id"]) for row in record.end.tables["events"] if row["device"] != "bridge")
    print(f"events {len(happened)}, acknowledged {len(acknowledged)}, stored {len(stored)}, stored twice {sum(n > 1 for n in stored.values())}")
    print(f"without acknowledgement {sum(record.end.unsent.values())}, without receipt {sum(record.end.unanswered.values())}, {record.end.troubles[:5]}")
    by_second: dict[int, list[tuple[int, int]]] = defaultdict(list)
    for event, at_ms in acknowledged.items():
        by_second[(happened[event] - began_ms) // 1000].append((at_ms - published[event], at_ms - happened[event]))
    for second in sorted(by_second):
        if second % 10 == 5 or burst[1] - 12 <= second <= burst[1] + 12:
            of = by_second[second]
            print(f"{second:4} s  {len(of):5} events  PUBLISH to PUBACK {quantiles([p for p, _ in of])}  event to PUBACK {quantiles([e for _, e in of])}")
    in_burst = [x for second, of in by_second.items() if burst[0] <= second < burst[1] - 10 for x in of]
    print(f"burst: {len(in_burst)} events, PUBLISH to PUBACK {quantiles([p for p, _ in in_burst])}, event to PUBACK {quantiles([e for _, e in in_burst])}")
    calm_ms = [p for second, of in by_second.items() if second >= burst[1] for p, _ in of]
    print(f"from 10 s after the burst: PUBLISH to PUBACK {quantiles(calm_ms)}")
    held = [size for _, size in record.memory]
    print(f"server's memory: first {held[0] / 1e6:.0f} MB, most {max(held) / 1e6:.0f} MB, last {held[-1] / 1e6:.0f} MB")
    findings = judge(record)
    print(f"checkers: {len(findings)} findings")
    for finding in findings[:20]:
        print(f"  {finding}")


def times(record: Record) -> tuple[dict[bytes, int], dict[bytes, int], dict[bytes, int]]:
    """By event id: when each event happened, was first published, and was first acknowledged."""
    happened: dict[bytes, int] = {}
    published: dict[bytes, int] = {}
    acknowledged: dict[bytes, int] = {}
    event_of: dict[int, bytes] = {}
    for entry in record.entries:
        if isinstance(entry, Published) and "/events/" in entry.topic:
            plain: dict[str, Any] = load_cbor(entry.payload)
            event = event_of[entry.no] = plain["id"]
            happened.setdefault(event, plain["at_ms"])
            published.setdefault(event, entry.at_ms)
        elif isinstance(entry, Acknowledged) and entry.no in event_of:
            acknowledged.setdefault(event_of[entry.no], entry.at_ms)
    return happened, published, acknowledged


def quantiles(values_ms: list[int]) -> str:
    ordered = sorted(values_ms) or [0]
    return ", ".join(f"p{p:g} {ordered[min(len(ordered) - 1, int(len(ordered) * p / 100))]:5} ms" for p in (50, 99, 100))


if __name__ == "__main__":
    sys.exit(main())
