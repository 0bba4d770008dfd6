"""Measure one checkout against another, in one run: `python tests/benchmarks/paired.py A B`.

The settler of each checkout takes the same events in full batches, in a process of its own, without MQTT. The two take turns (A B, B A, A B, …), so that other
load on the machine affects both alike. Of each pair this prints the ratio B / A of events per second and of processor time per event, and at the end
the median ratio with its 95 % interval. It exits with 1 if a whole interval is beyond its bound: B is slower, and not by chance. Exit code 2 is wrong usage.

This file has no imports of the project: in the process that measures, every module comes from the checkout that is measured.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

PAIRS: Final = 15
EVENTS: Final = 50_000
DEVICES: Final = 100
CONFIDENCE: Final = 0.95
RATE_MIN: Final = 0.98
CPU_MAX: Final = 1.02


# --- statistics -------------------------------------------------------------------------------------------------------------


class Interval(NamedTuple):
    """A median, and between which two of the values the true one lies with this probability."""

    median: float
    low: float
    high: float
    confidence: float

    def __str__(self) -> str:
        return f"{self.median:.4f} ({self.low:.4f} to {self.high:.4f}, {self.confidence:.1%})"


def interval(values: Sequence[float], confidence: float = CONFIDENCE) -> Interval:
    """The median of some values, with the narrowest interval of two of them that is symmetric in rank and has at least this confidence.

    Each value is below the true median with probability 1/2, whatever the distribution, so that the number of values below it is binomial. With few values
    (under six for 95 %) there is no such interval: then it reaches from the lowest to the highest, and has a lower confidence.
    """
    ordered = sorted(values)
    n = len(ordered)
    rank, outside = 0, 2 / 2**n
    while rank + 1 < (n + 1) // 2 and (wider := outside + 2 * math.comb(n, rank + 1) / 2**n) <= 1 - confidence:
        rank, outside = rank + 1, wider
    return Interval(statistics.median(ordered), ordered[rank], ordered[n - 1 - rank], 1 - outside)


def verdict(rate: Interval, cpu: Interval, *, rate_min: float, cpu_max: float) -> list[str]:
    """What is wrong with B: each interval that lies wholly beyond its bound."""
    found = []
    if rate.high < rate_min:
        found.append(f"B has fewer events per second: even {rate.high:.4f} is below {rate_min}")
    if cpu.low > cpu_max:
        found.append(f"B takes more processor time per event: even {cpu.low:.4f} is above {cpu_max}")
    return found


# --- the process that measures ----------------------------------------------------------------------------------------------


class Taken(NamedTuple):
    """The resources that a checkout's settler used for some events. `cpu_s` is user and system time of the whole process."""

    events: int
    seconds: float
    cpu_s: float

    @property
    def per_s(self) -> float:
        return self.events / self.seconds

    @property
    def cpu_us(self) -> float:
        """Processor time for an event, µs."""
        return self.cpu_s / self.events * 1e6


def _settler_on(database: Path) -> Any:
    """A settler of a checkout on a new database: any object with `commit(batch)`, whose result has one outcome for each message that it committed.

    This is the only place that knows how to build one: it calls the benchmarks of the checkout. A checkout in which that function has
    another name gets its line here.
    """
    from benchmarks.consumers.settling import make_settler

    return make_settler(database)[0]


def _measure(checkout: Path, events: int) -> Taken:
    """Settle events with the modules of a checkout, which this process finds before all others."""
    import benchmarks
    import bridge
    from benchmarks.consumers.settling import BATCH
    from benchmarks.in_process import made
    from benchmarks.load.story import ORDER_STORY
    from bridge.interpreter import tune_garbage_collection

    for package in (bridge, benchmarks):
        assert Path(package.__file__ or "").is_relative_to(checkout), f"{package.__file__} is not of {checkout}"
    queue = made(DEVICES, max(DEVICES, round(events / len(ORDER_STORY))))
    with tempfile.TemporaryDirectory(prefix="dockbridge-paired-", dir=os.environ.get("DOCKBRIDGE_BENCH_DIR")) as folder:
        settler = _settler_on(Path(folder) / "settled.db")
        tune_garbage_collection()
        begun_s, begun_cpu_s = time.perf_counter(), time.process_time()
        at = 0
        while at < len(queue):
            at += len(settler.commit(queue[at : at + BATCH]).outcomes)
        return Taken(len(queue), time.perf_counter() - begun_s, time.process_time() - begun_cpu_s)


def measured(checkout: Path, events: int) -> Taken:
    """One measurement, in a new process.

    Raises:
        RuntimeError: if the checkout can't be measured.
    """
    paths = [checkout, checkout / "firmware-sim", checkout / "tests"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, paths))}
    # -P: not the folder of this file, whose modules are those of one checkout only.
    command = [sys.executable, "-P", str(Path(__file__).absolute()), "--child", str(checkout), "--events", str(events)]
    done = subprocess.run(command, env=environment, cwd=checkout, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{checkout} can't be measured: {done.stderr[-2_000:]}")
    return Taken(*json.loads(done.stdout))


# --- the pairs --------------------------------------------------------------------------------------------------------------


def pair(number: int, a: Path, b: Path, events: int) -> tuple[Taken, Taken]:
    """A and B, one after the other. Which is first changes from pair to pair."""
    if number % 2:
        of_b = measured(b, events)
        return measured(a, events), of_b
    return measured(a, events), measured(b, events)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("a", type=Path, nargs="?", help="the checkout to compare with")
    parser.add_argument("b", type=Path, nargs="?", help="the checkout that is judged")
    parser.add_argument("--pairs", type=int, default=PAIRS)
    parser.add_argument("--events", type=int, default=EVENTS, help="how many each measurement settles")
    parser.add_argument("--rate-min", type=float, default=RATE_MIN, help="the least ratio of events per second")
    parser.add_argument("--cpu-max", type=float, default=CPU_MAX, help="the greatest ratio of processor time per event")
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.child is not None:
        print(json.dumps(_measure(asked.child, asked.events)))
        return 0
    if asked.a is None or asked.b is None or asked.pairs < 1:
        parser.error("give two checkouts, and at least one pair")
    a, b = asked.a.resolve(), asked.b.resolve()
    rates: list[float] = []
    cpus: list[float] = []
    for number in range(asked.pairs):
        of_a, of_b = pair(number, a, b, asked.events)
        rates.append(of_b.per_s / of_a.per_s)
        cpus.append(of_b.cpu_us / of_a.cpu_us)
        print(
            f"{number + 1:3}  A {of_a.per_s:7,.0f} events/s {of_a.cpu_us:6.1f} µs  B {of_b.per_s:7,.0f} events/s {of_b.cpu_us:6.1f} µs"
            f"  B / A: rate {rates[-1]:.4f}, processor time {cpus[-1]:.4f}",
            flush=True,
        )
    rate, cpu = interval(rates), interval(cpus)
    print(f"rate, B / A: {rate}; at least {asked.rate_min}")
    print(f"processor time per event, B / A: {cpu}; at most {asked.cpu_max}")
    wrong = verdict(rate, cpu, rate_min=asked.rate_min, cpu_max=asked.cpu_max)
    print("\n".join(wrong) if wrong else "B is not shown to be slower")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
