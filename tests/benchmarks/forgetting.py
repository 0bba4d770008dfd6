"""Scans while the server forgets: 100,000 orders whose time is over, beside a site in which nothing is due."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any, Final

from benchmarks.end_to_end import DEADLINE_S, WINDOW
from benchmarks.load.story import ORDER_STORY, WATCHER, contact_of, fleet_roles
from benchmarks.loading import load, served
from benchmarks.machine import Cores
from benchmarks.options import Options
from benchmarks.rounds import OURS, Measurement, Target, alternate, row
from benchmarks.servers.ours import Ours
from bridge.app import Application
from bridge.config import DATABASE_NAME
from bridge.config_file import parse
from bridge.shop.events import derived_event_id
from bridge.site_folder import make_site
from devices.protocol.messages import encode_cbor
from devices.protocol.vocabulary import Role

DUE: Final = 100_000
DEVICES: Final = 100
EVENTS_PER_S: Final = 200.0
SECONDS_MIN: Final = 30.0
OLD_MS: Final = 100 * 86_400_000
PORTION: Final = 5_000
CREATED: Final = {"channel": "shop", "lines": [{"sku": "a", "qty": 1}], "allow_partial": False, "payment": "on_delivery"}
NOTHING_DUE: Final = "nothing due"
SETTINGS: Final = {"listen": {"mqtt": "127.0.0.1:0"}, "orders": {"sweep_every_s": 1.0}}
"""The server looks every second; by default it does every 30, and forgets as much each time."""


def measure(options: Options) -> Measurement:
    orders = 1_000 if options.quick else DUE
    found = Measurement("forgetting", f"Forgetting: {orders:,} orders whose time is over, beside none")
    case = f"{DEVICES} devices, open loop {EVENTS_PER_S:.0f} events/s"
    options.say(f"forgetting: {case}")
    results = alternate({OURS: partial(_round, options, orders), NOTHING_DUE: partial(_round, options, 0)}, options.rounds)
    found.raw[case] = results
    for quantile in ("p50", "p99", "max"):
        found.rows.append(row(case, f"PUBACK {quantile}, ms", results, lambda r, q=quantile: float(r["ack_ms"][q]), more_is_better=False))  # type: ignore[misc]
    done = Target(text="all of them", least=float(orders))
    found.rows.append(row(case, "forgotten meanwhile", {OURS: results[OURS]}, lambda r: float(r["forgotten"]), more_is_better=True, target=done))
    found.rows.append(row(case, "server CPU, s", results, lambda r: float(r["server"]["cpu_s"]), more_is_better=False))
    return found


def _round(options: Options, due: int) -> dict[str, Any]:
    seconds = options.seconds if options.quick else max(options.seconds, SECONDS_MIN)
    orders = round(EVENTS_PER_S * seconds / len(ORDER_STORY)) + 2 * DEVICES // 5 + 2
    with served(partial(_site, due), {**fleet_roles(DEVICES), WATCHER: Role.DESK}, options.cores) as server:
        assert isinstance(server, Ours)
        job = {"devices": DEVICES, "orders": orders, "qos": 1, "window": WINDOW, "phases": [[EVENTS_PER_S, seconds]], "deadline_s": DEADLINE_S}
        figures = load("orders", server, options.cores, **job)
        with closing(sqlite3.connect(server.site / DATABASE_NAME)) as connection:
            (left,) = connection.execute("SELECT count(*) FROM sealed").fetchone()
        return {**figures, "forgotten": due - left}


def _site(due: int, folder: Path, roles: Mapping[str, Role], cores: Cores) -> Ours:
    site = folder / "site"
    make_site(site, parse(SETTINGS))
    if due:
        asyncio.run(_fill(site, due))
        with closing(sqlite3.connect(site / DATABASE_NAME)) as connection:
            connection.execute("UPDATE sealed SET received_ms = received_ms - ?", (OLD_MS,))
            connection.execute("UPDATE orders SET at_ms = at_ms - ?", (OLD_MS,))
            connection.commit()
    return Ours(folder, roles, cores, site=site)


async def _fill(site: Path, orders: int) -> None:
    """Orders that each say who gets them, and were cancelled."""
    async with await Application.open(site) as app:
        shop = await app.on_writer(
            lambda: (app.registry.add("shop-x", Role.SYSTEM, now_ms=app.clock.now_ms(), with_secret=False), app.registry.identity("shop-x"))[1]
        )
        for first in range(0, orders, PORTION):
            events = []
            for n in range(first, min(first + PORTION, orders)):
                created = {**CREATED, "contact": contact_of(n)}
                events += [("created", _event(n, 1, created)), ("cancelled", _event(n, 2, {"reason": "customer_request"}))]
            await app.submit(shop, events)


def _event(order: int, step: int, body: dict[str, Any]) -> bytes:
    number = 2 * order + step
    clock = {"boot": bytes(8), "mono_ms": number, "at_ms": 1_760_000_000_000, "sent_boot": bytes(8), "sent_mono_ms": number}
    return encode_cbor({"id": derived_event_id(number, "old"), "log": bytes(8), "seq": number, "order": f"old-{order}", "body": body, **clock})
