"""A database of 10 million events beside an empty one: ingest, the start, memory and `orders explain`; and a day of a million orders in compressed time."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final

from helpers.mqtt import MqttWire

from benchmarks.building import DEVICES
from benchmarks.end_to_end import DEADLINE_S, EVENTS_PER_S, WINDOW
from benchmarks.load.story import ORDER_STORY, SHORT_STORY, WATCHER, fleet_roles
from benchmarks.loading import load, served
from benchmarks.options import Options
from benchmarks.rounds import OURS, Measurement, Spread, Target, alternate, row
from benchmarks.rounds import Row as ReportRow
from benchmarks.servers.ours import PASSWORD, Ours, count_events
from benchmarks.servers.process import CHECKOUT, Server, environment
from bridge.config import DATABASE_NAME
from bridge.config_file import parse
from bridge.site_folder import make_site
from devices.protocol.vocabulary import Role

EMPTY: Final = "empty database"
LARGE: Final = OURS
DAY_ORDERS: Final = 1_000_000
TENTHS: Final = 10
CONNACK_S: Final = 60.0
ROLES: Final = {**fleet_roles(DEVICES), WATCHER: Role.DESK}


def measure(options: Options) -> Measurement:
    found = Measurement("growth", "Growth: a large database beside an empty one")
    orders = options.events // len(SHORT_STORY)
    site = _built(options, "short", orders)
    stored = count_events(site / DATABASE_NAME)
    case = f"{stored:,} events stored before"
    options.say(f"growth: {case}")
    numbers = iter(range(1_000_000))
    run = str(time.time_ns())
    contestants = {
        LARGE: lambda: _round(options, site, f"r{run}-{next(numbers)}"),
        EMPTY: lambda: _round(options, None, f"e{next(numbers)}"),
    }
    results = alternate(contestants, options.rounds)
    found.raw[case] = results
    rate = Target(text="at least 0.8 x the empty database", ratio_min=0.8)
    started = Target(text="first CONNECT answered within 5 s", most=5.0)
    found.rows.append(row(case, "events/s", results, lambda r: float(r["per_s"]), more_is_better=True, target=rate))
    found.rows.append(row(case, "status p99, ms", results, lambda r: float(r["status_ms"]["p99"]), more_is_better=False))
    found.rows.append(row(case, "start to the first CONNACK, s", results, lambda r: float(r["start_s"]), more_is_better=False, target=started))
    found.rows.append(row(case, "memory after the start, MB", results, lambda r: float(r["idle_mb"]), more_is_better=False))
    found.rows.append(row(case, "memory at its highest, MB", results, lambda r: float(r["server"]["peak_mb"]), more_is_better=False))
    found.rows.append(row(case, "orders explain, s", results, lambda r: float(r["explain_s"]), more_is_better=False))
    empty = {OURS: results[EMPTY]}
    within = Target(text="within 1 s", most=1.0)
    found.rows.append(row("an empty site", "start to the first CONNACK, s", empty, lambda r: float(r["start_s"]), more_is_better=False, target=within))
    found.note(f"Dockbridge's column is the large database, whose watcher first gets {orders:,} retained statuses. `orders explain` counts Python's start.")
    return found


def measure_day(options: Options) -> Measurement:
    """The rate of each tenth of a day, through the settler, in a new database."""
    orders = 400 if options.quick else min(DAY_ORDERS, options.events // 10)
    found = Measurement("day", f"A day of {orders:,} orders of 25 events in compressed time")
    steps: list[dict[str, Any]] = []
    _built(options, "whole", orders, steps)
    size = max(1, len(steps) // TENTHS)
    tenths = [steps[n : n + size] for n in range(0, len(steps), size)]
    for number, some in enumerate(tenths, 1):
        rates = [float(s["per_s"]) for s in some]
        found.rows.append(ReportRow(case=f"part {number} of {len(tenths)}", figure="events/s", values={OURS: Spread.of(rates)}, more_is_better=True))
    memory = [float(s["memory_mb"]) for s in steps]
    found.rows.append(ReportRow(case="the day", figure="memory, MB", values={OURS: Spread.of(memory)}, more_is_better=False))
    found.raw["day"] = steps
    found.note(
        f"Through the settler in one process, batches always full; {orders * len(ORDER_STORY):,} events. Measured {steps[0]['at']} to {steps[-1]['at']}."
    )
    return found


def _built(options: Options, story: str, orders: int, steps: list[dict[str, Any]] | None = None) -> Path:
    """A site with this many orders; it is built once and then reused."""
    site = options.large / f"site-{story}-{orders}"
    if not site.exists():
        site.parent.mkdir(parents=True, exist_ok=True)
        make_site(site, parse({"listen": {"mqtt": "127.0.0.1:0"}}))
    options.say(f"growth: building {site} where it is not built yet")
    job = json.dumps({"database": str((site / DATABASE_NAME).absolute()), "story": story, "orders": orders})
    command = [sys.executable, "-m", "benchmarks.building"]
    done = subprocess.run(command, input=job + "\n", stdout=subprocess.PIPE, text=True, check=True, cwd=CHECKOUT, env=environment())
    if steps is not None:
        steps += json.loads(done.stdout)
    return site


def _round(options: Options, site: Path | None, prefix: str) -> dict[str, Any]:
    """New orders for a site; makes the site if it does not exist."""
    orders = max(DEVICES, round(EVENTS_PER_S * options.seconds / len(ORDER_STORY)))
    with served(partial(Ours, site=site) if site is not None else Ours, ROLES, options.cores) as server:
        assert isinstance(server, Ours)
        with _connected(server):
            start_s = time.perf_counter() - server.spawned_s
        idle_mb = server.usage().memory_mb
        result = load("orders", server, options.cores, devices=DEVICES, orders=orders, window=WINDOW, deadline_s=DEADLINE_S, prefix=prefix)
        explain_s = _explained(server.site, f"{prefix}-0")
    return {**result, "start_s": round(start_s, 3), "idle_mb": idle_mb, "explain_s": round(explain_s, 3)}


@contextmanager
def _connected(server: Server) -> Iterator[None]:
    """A bare client that has received its CONNACK."""
    with MqttWire((server.host, server.port), deadline_s=CONNACK_S) as wire:
        answer = wire.connect(WATCHER, WATCHER, PASSWORD, keep_alive_s=0)
        if answer != (False, 0):
            raise RuntimeError(f"CONNECT was answered with {answer}")
        yield


def _explained(site: Path, order: str) -> float:
    """Seconds that the command takes, including the start of Python."""
    command = [sys.executable, "-m", "bridge.entrypoints.cli.main", "orders", "explain", order, "--site", str(site.absolute()), "--json"]
    started_s = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd=CHECKOUT, env=environment())
    return time.perf_counter() - started_s
