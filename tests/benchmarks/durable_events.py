"""Durable events per second: through MQTT, and the same handler in process without it. `python tests/benchmarks/durable_events.py`.

Server and load are processes of their own, each on one core where there are two. Every table of the contract is written, every receipt is delivered, orders
have 25 events, commits are `synchronous=FULL`. In process and through MQTT alternate, because machines are noisy and shared; medians are printed.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

from load import EVENTS_PER_ORDER, plan

from bridge.bounds import rules_of
from bridge.config import IngestSettings, ListenSettings, Settings
from bridge.domain.access import Identity
from bridge.ingest.memory import Memory
from bridge.ingest.pipeline import Settler
from bridge.ingest.ports import Incoming
from bridge.site_folder import make_site
from bridge.store.migrate import migrate
from bridge.store.registry import Registry
from bridge.store.sql import SqlStore, open_engine
from devices.protocol.vocabulary import Role

BATCH = IngestSettings().batch_messages_max


def _names(devices: int) -> dict[str, Role]:
    half = max(1, devices // 2)
    return {**{f"shop-{n}": Role.SYSTEM for n in range(half)}, **{f"scan-{n}": Role.SCANNER for n in range(devices - half)}, "watcher": Role.DESK}


def in_process(folder: Path, devices: int, orders: int) -> float:
    """Events per second of the handler alone: the same events in the same order as `devices` senders would give them, in full batches."""
    database = folder / "handler.db"
    engine = open_engine(database)
    migrate(engine, database)
    store = SqlStore(engine)
    settler = Settler(store, Memory(orders_max=20_000, devices_max=20_000), rules_of(Settings()))
    roles = _names(devices)
    fleet = plan(devices, orders, dict.fromkeys(roles, ""))
    identities = {d.name: Identity(site="main", device=d.name, role=roles[d.name]) for d in fleet}
    queue = []
    while any(d.todo for d in fleet):
        for device in fleet:
            for _ in range(min(20, len(device.todo))):
                _, topic, payload = device.todo.popleft()
                queue.append(Incoming(identities[device.name], "events", topic.decode().rsplit("/", 1)[1], payload, time.time_ns() // 1_000_000))
    gc.collect()
    gc.set_threshold(50_000, 20, 50)  # as the server does
    start = time.perf_counter()
    for place in range(0, len(queue), BATCH):
        settler.commit(queue[place : place + BATCH])
    took = time.perf_counter() - start
    store.close()
    gc.set_threshold(700, 10, 10)
    return len(queue) / took


def end_to_end(folder: Path, devices: int, orders: int, window: int, cores: list[int]) -> dict[str, Any]:
    """One run of a fresh server under load."""
    site = folder / "site"
    make_site(site, Settings(listen=ListenSettings(mqtt="127.0.0.1:0")))
    engine = open_engine(site / "dockbridge.db")
    registry = Registry(engine, engine, "main")
    passwords = {name: registry.add(name, role, now_ms=0) or "" for name, role in _names(devices).items()}
    command = [sys.executable, "-m", "bridge.cli.main", "serve", str(site), "--json"]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, preexec_fn=lambda: os.sched_setaffinity(0, {cores[0]}))
    try:
        assert server.stdout is not None
        host, port = json.loads(server.stdout.readline())["addresses"]["mqtt"].removeprefix("mqtt://").rsplit(":", 1)
        job = {"host": host, "port": int(port), "devices": devices, "orders": orders, "window": window, "passwords": passwords, "cpu": cores[-1]}
        load = subprocess.run([sys.executable, str(Path(__file__).with_name("load.py"))], input=json.dumps(job), capture_output=True, text=True, check=True)
        result: dict[str, Any] = json.loads(load.stdout)
        result["server_peak_mb"] = _peak_mb(server.pid)
        return result
    finally:
        server.terminate()
        server.wait()


def _peak_mb(pid: int) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) // 1024
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--orders", type=int, default=1000)
    parser.add_argument("--window", type=int, default=20, help="unacknowledged events of one device")
    parser.add_argument("--devices", type=int, nargs="+", default=[10, 100])
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    cores = sorted(os.sched_getaffinity(0))
    rows = []
    for devices in options.devices:
        inside, through = [], []
        for _ in range(options.rounds):
            with tempfile.TemporaryDirectory(dir=os.environ.get("BENCH_DIR")) as folder:
                inside.append(in_process(Path(folder), devices, options.orders))
                through.append(end_to_end(Path(folder), devices, options.orders, options.window, cores))
        middle = sorted(through, key=lambda r: r["shown_per_s"])[len(through) // 2]
        rows.append({**middle, "in_process_per_s": round(statistics.median(inside)), "rounds": options.rounds})
        rows[-1]["ratio"] = round(middle["shown_per_s"] / rows[-1]["in_process_per_s"], 2)
    if options.json:
        print(json.dumps(rows, indent=2))
        return
    events = options.orders * EVENTS_PER_ORDER
    print(f"{platform.machine()}, {len(cores)} cores, Python {platform.python_version()}; {events} events a round, median of {options.rounds}")
    print("devices  in process/s  acknowledged/s  shown/s  ratio  PUBACK p50/p99 ms  status p50/p99 ms  server peak MB")
    for r in rows:
        ack, shown = r["puback_ms"], r["status_ms"]
        print(
            f"{r['devices']:7}  {r['in_process_per_s']:12}  {r['acknowledged_per_s']:14}  {r['shown_per_s']:7}  {r['ratio']:5}"
            f"  {ack['p50']:8}/{ack['p99']:<8}  {shown['p50']:8}/{shown['p99']:<8}  {r['server_peak_mb']:14}",
        )


if __name__ == "__main__":
    main()
