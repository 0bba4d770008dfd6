"""How much could be gained: the same events end to end, through the handler alone, the database alone, the codec alone, and as bytes that are only copied."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from typing import Any, Final

from benchmarks.end_to_end import DEADLINE_S, EVENTS_PER_S, WINDOW
from benchmarks.load.story import ORDER_STORY, WATCHER, fleet_roles
from benchmarks.loading import load, served
from benchmarks.options import Options
from benchmarks.rounds import OURS, Measurement, Target, alternate, row
from benchmarks.servers.ours import Ours
from benchmarks.servers.process import CHECKOUT, environment
from devices.protocol.vocabulary import Role

DEVICES: Final = 100
ALONE: Final = {"in process": "handler", "database alone": "database", "codec alone": "codec", "copying alone": "copy"}


def measure(options: Options) -> Measurement:
    found = Measurement("ceiling", "The ceiling: end to end beside its parts alone")
    options.say("ceiling: 100 devices, QoS 1, closed loop")
    orders = max(DEVICES, round(EVENTS_PER_S * options.seconds / len(ORDER_STORY)))
    contestants: dict[str, Callable[[], dict[str, Any]]] = {OURS: partial(_end_to_end, options, orders)}
    for name, kind in ALONE.items():
        contestants[name] = partial(_alone, options, kind, orders)
    results = alternate(contestants, options.rounds)
    found.raw["ceiling"] = results
    target = Target(text="at least 0.7 x the handler in process", ratio_min=0.7)
    case = f"{DEVICES} devices, QoS 1"
    found.rows.append(row(case, "events/s", results, lambda r: float(r["per_s"]), more_is_better=True, target=target, against=("in process",)))
    found.rows.append(row(case, "µs/event", results, lambda r: 1e6 / float(r["per_s"]), more_is_better=False, against=("in process",)))
    found.note("In process, batches are always full and nothing is received or sent; the ratio is to that.")
    return found


def _end_to_end(options: Options, orders: int) -> dict[str, Any]:
    with served(Ours, {**fleet_roles(DEVICES), WATCHER: Role.DESK}, options.cores) as server:
        return load("orders", server, options.cores, devices=DEVICES, orders=orders, window=WINDOW, deadline_s=DEADLINE_S)


def _alone(options: Options, kind: str, orders: int) -> dict[str, Any]:
    job = json.dumps({"kind": kind, "core": options.cores.server, "devices": DEVICES, "orders": orders})
    command = [sys.executable, "-m", "benchmarks.in_process"]
    done = subprocess.run(command, input=job + "\n", capture_output=True, text=True, check=False, cwd=CHECKOUT, env=environment())
    if done.returncode:
        raise RuntimeError(f"the {kind} alone failed: {done.stderr[-2_000:]}")
    found: dict[str, Any] = json.loads(done.stdout)
    return found
