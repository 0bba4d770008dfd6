"""From a device's publish to PUBACK, to its receipt and to the retained status at a subscriber: ours, and what a user would run instead."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Final

from benchmarks.load.story import ORDER_STORY, WATCHER, fleet_roles
from benchmarks.loading import load, served, too_busy
from benchmarks.options import Options
from benchmarks.rounds import OURS, Measurement, Target, alternate, best_ways, row
from benchmarks.servers.amqtt_plain import PlainAmqtt
from benchmarks.servers.mosquitto import Mosquitto
from benchmarks.servers.ours import Ours
from benchmarks.servers.process import Start
from devices.protocol.vocabulary import Role

CONTESTANTS: Final[dict[str, Start]] = {
    OURS: Ours,
    "mosquitto+asyncio": partial(Mosquitto, consumer="with_asyncio"),
    "mosquitto+paho": partial(Mosquitto, consumer="with_paho"),
    "amqtt": PlainAmqtt,
}
FLEETS: Final = (1, 10, 100, 1_000)
TARGET_FLEET: Final = 100
ROUNDS_BESIDE: Final = 3
"""Rounds of the other fleets by default."""
WINDOW: Final = 20
EVENTS_PER_S: Final = 10_000
"""A round has as many events as this rate gives in its seconds: the same number, and so the same work, for every contestant."""
FEWER: Final = {"amqtt": 0.1}
"""amqtt's broadcast slows down with every message that waits; it gets fewer events, so that a round ends."""
FEW_DEVICES: Final = {1: 0.2, 10: 0.6}
"""With few devices in a closed loop, the commit's latency bounds the rate: fewer events take as long."""
DEADLINE_S: Final = 90.0
"""A round that has not ended by then counts the events that were answered."""
CALM_PER_S: Final = 200.0
CALM_S: Final = 20.0
"""The least duration: the p99 of 4,000 events rests on forty of them."""
WITHOUT: Final = f"{OURS}, without contacts"
BY_PUBACK: Final = "window by PUBACK"


def measure(options: Options) -> Measurement:
    found = Measurement("end-to-end", "End to end: every table written, receipts and statuses delivered")
    fleets = options.devices or ((10,) if options.quick else FLEETS)
    for qos in (1,) if options.quick else (1, 2):
        for devices in fleets:
            _closed(found, options, devices, qos)
    for devices in fleets if options.quick or options.devices else (TARGET_FLEET,):
        _open(found, options, devices)
        _contacts(found, options, devices)
    return found


def _contacts(found: Measurement, options: Options, devices: int) -> None:
    """What it costs to seal who gets an order: each order of one contestant says it, none of the other."""
    case = f"{devices:,} devices, QoS 1, a contact on each order"
    options.say(f"end to end: {case}")
    results = alternate({OURS: partial(_round, Ours, options, devices, 1, contacts=True), WITHOUT: partial(_round, Ours, options, devices, 1)}, options.rounds)
    found.raw[case] = results
    target = Target(text="at least 0.95 x without contacts", ratio_min=0.95)
    found.rows.append(row(case, "events/s", results, lambda r: float(r["per_s"]), more_is_better=True, target=target))
    found.rows.append(row(case, "server CPU, µs/event", results, cpu_us, more_is_better=False))
    remarks(found, case, results)


def _closed(found: Measurement, options: Options, devices: int, qos: int) -> None:
    """As fast as the windows allow. What a rival's broker acknowledges is not stored yet, so a rival runs with windows by receipt and by PUBACK."""
    contestants: dict[str, Callable[[], dict[str, Any]]] = {}
    for name, start in chosen(options).items():
        contestants[name] = partial(_round, start, options, devices, qos, share=FEWER.get(name, 1.0))
        if name.startswith("mosquitto"):
            contestants[f"{name}, {BY_PUBACK}"] = partial(_round, start, options, devices, qos, window_by="ack")
    case = f"{devices:,} {'device' if devices == 1 else 'devices'}, QoS {qos}"
    options.say(f"end to end: {case}, closed loop")
    ran = alternate(contestants, options.rounds if devices == TARGET_FLEET or options.devices else min(options.rounds, ROUNDS_BESIDE))
    found.raw[f"{case}, closed loop"] = ran
    results = best_ways(ran)
    target = Target(text="at least 2.0 x the best rival", ratio_min=2.0) if (devices, qos) == (TARGET_FLEET, 1) else None
    found.rows.append(row(case, "events/s", results, lambda r: float(r["per_s"]), more_is_better=True, target=target))
    for figure, key in (("PUBACK" if qos == 1 else "PUBREC", "ack_ms"), ("status", "status_ms")):
        for quantile in ("p50", "p99", "p99_9"):
            name = f"{figure} {quantile.replace('_', '.')}, ms"
            found.rows.append(row(case, name, results, lambda r, k=key, q=quantile: float(r[k][q]), more_is_better=False))  # type: ignore[misc]
    found.rows.append(row(case, "server CPU, µs/event", results, cpu_us, more_is_better=False))
    remarks(found, case, results)


def _open(found: Measurement, options: Options, devices: int) -> None:
    """At a site's pace: 200 events/s, whatever the server does."""
    case = f"{devices:,} devices, QoS 1, open loop {CALM_PER_S:.0f} events/s"
    options.say(f"end to end: {case}")
    seconds = options.seconds if options.quick else max(options.seconds, CALM_S)
    phases = [[CALM_PER_S, seconds]]
    contestants = {name: partial(_round, start, options, devices, 1, phases=phases) for name, start in chosen(options).items()}
    results = alternate(contestants, options.rounds)
    found.raw[case] = results
    target = Target(text="p99 not above the best rival's", ratio_max=1.0)
    for figure, key in (("PUBACK", "ack_ms"), ("receipt", "receipt_ms"), ("status", "status_ms")):
        for quantile in ("p50", "p99", "p99_9"):
            name = f"{figure} {quantile.replace('_', '.')}, ms"
            wanted = target if (key, quantile) == ("status_ms", "p99") else None
            found.rows.append(row(case, name, results, lambda r, k=key, q=quantile: float(r[k][q]), more_is_better=False, target=wanted))  # type: ignore[misc]
    found.note("Open loop: latencies count from when an event was due. A rival's PUBACK says received, ours says stored: the target compares the status.")
    remarks(found, case, results)


def chosen(options: Options) -> dict[str, Start]:
    return {name: start for name, start in CONTESTANTS.items() if name == OURS or options.wants(name)}


def _round(
    start: Start,
    options: Options,
    devices: int,
    qos: int,
    *,
    window_by: str = "receipt",
    phases: list[list[float]] | None = None,
    share: float = 1.0,
    contacts: bool = False,
) -> dict[str, Any]:
    """One contestant, started anew on an empty database."""
    wanted = sum(per_s * seconds for per_s, seconds in phases) if phases else EVENTS_PER_S * options.seconds * share * FEW_DEVICES.get(devices, 1.0)
    # The first orders are created before the measurement; in an open loop there must be enough events for the whole time.
    least = devices if share == 1.0 and not phases else 2
    orders = max(least, round(wanted / len(ORDER_STORY))) + (2 * devices // 5 + 2 if phases else 0)
    with served(start, {**fleet_roles(devices), WATCHER: Role.DESK}, options.cores) as server:
        job = {"devices": devices, "orders": orders, "qos": qos, "window": WINDOW, "window_by": window_by, "phases": phases or [], "deadline_s": DEADLINE_S}
        return load("orders", server, options.cores, **job, contacts=contacts)


def cpu_us(result: Mapping[str, Any]) -> float | None:
    """Processor time of the whole server side per event; None if the system does not report it."""
    return result["server"]["cpu_s"] / result["answered"] * 1e6 if result["server"]["cpu_s"] and result["answered"] else None


def remarks(found: Measurement, case: str, results: Mapping[str, Sequence[Mapping[str, Any]]]) -> None:
    """What a reader must know about these rounds."""
    for name, some in results.items():
        if any(not r["complete"] for r in some):
            found.note(f"{case}: {name} did not end within {DEADLINE_S:.0f} s; its figures are of what was answered.")
        if any(too_busy(r) for r in some):
            found.note(f"{case}: the generator was busy for over 80 % of its core beside {name}, and may be what was measured.")
