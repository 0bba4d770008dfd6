"""The broker without a store behind it: ours as a laboratory, and Mosquitto. Nothing is stored: publishes without a subscriber, no persistent session."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

from benchmarks.end_to_end import cpu_us
from benchmarks.loading import held, load, served, too_busy
from benchmarks.machine import Cores
from benchmarks.options import Options
from benchmarks.rounds import OURS, Measurement, Target, alternate, best_ways, row
from benchmarks.servers.mosquitto import Mosquitto
from benchmarks.servers.ours import PASSWORD, OurLab, Ours, certify
from benchmarks.servers.process import Start
from bridge.store.registry import HASHER
from devices.protocol.vocabulary import Role

PUBLISHERS: Final = (10, 100)
WINDOWS: Final = (20, 100)
"""Unacknowledged publishes of one client. Each broker is compared with the window that suits it better."""
SUBSCRIBERS: Final = 1_000
TOPICS: Final = 50_000
CONNECTIONS: Final = 5_000
DEVICES: Final = 1_000
IDLE_MB: Final = 100.0
CONNECTED_MB: Final = 250.0
ALONE: Final[dict[str, Start]] = {OURS: OurLab, "mosquitto": Mosquitto}
ROOMY: Final = {"broker": {"connections_per_address_max": 20_000, "connections_max": 20_000}}
"""All connections of this measurement come from one address; a site's come from many."""


def measure(options: Options) -> Measurement:
    found = Measurement("broker-alone", "The broker alone, nothing stored")
    _acknowledged(found, options)
    _fan_out(found, options)
    _retained(found, options)
    _connections(found, options)
    _storm(found, options)
    return found


def _alone(options: Options, kind: str, **job: Any) -> dict[str, list[dict[str, Any]]]:
    return alternate({name: partial(_one, options, kind, job, start) for name, start in ALONE.items()}, options.rounds)


def _one(options: Options, kind: str, job: dict[str, Any], start: Start) -> dict[str, Any]:
    with served(start, {}, options.cores) as server:
        return load(kind, server, options.cores, **job)


def _acknowledged(found: Measurement, options: Options) -> None:
    for clients in PUBLISHERS:
        case = f"QoS 1 publish to PUBACK, {clients} clients"
        options.say(f"broker alone: {case}")
        ran: dict[str, Callable[[], dict[str, Any]]] = {}
        for window in WINDOWS:
            for name, start in ALONE.items():
                job = {"clients": clients, "window": window, "seconds": options.seconds}
                ran[f"{name}, window {window}"] = partial(_one, options, "acknowledged", job, start)
        found.raw[case] = all_ways = alternate(ran, options.rounds)
        results = best_ways(all_ways)
        target = Target(text="at least 2.0 x Mosquitto", ratio_min=2.0)
        found.rows.append(row(case, "acknowledged/s", results, lambda r: float(r["per_s"]), more_is_better=True, target=target))
        found.rows.append(row(case, "server CPU, µs/message", results, cpu_us, more_is_better=False))
        found.rows.append(row(case, "PUBACK p50, ms", results, lambda r: float(r["ack_ms"]["p50"]), more_is_better=False))
        found.rows.append(row(case, "PUBACK p99, ms", results, lambda r: float(r["ack_ms"]["p99"]), more_is_better=False))
        _remarks(found, case, results)
    windows = " or ".join(map(str, WINDOWS))
    found.note(f"Publishes have 100 bytes; each client has {windows} unacknowledged, whichever suits a broker better. Nobody is subscribed to them.")


def _fan_out(found: Measurement, options: Options) -> None:
    case = f"fan-out, 1 to {SUBSCRIBERS:,} subscribers"
    options.say(f"broker alone: {case}")
    messages = max(10, round(options.seconds * 20))
    results = _alone(options, "fan_out", subscribers=SUBSCRIBERS, messages=messages)
    found.raw[case] = results
    found.rows.append(row(case, "deliveries/s", results, lambda r: float(r["per_s"]), more_is_better=True))
    found.rows.append(row(case, "last subscriber p50, ms", results, lambda r: float(r["last_ms"]["p50"]), more_is_better=False))
    found.rows.append(row(case, "last subscriber p99, ms", results, lambda r: float(r["last_ms"]["p99"]), more_is_better=False))
    _remarks(found, case, results)


def _retained(found: Measurement, options: Options) -> None:
    topics = 2_000 if options.quick else TOPICS
    case = f"{topics:,} retained topics to a wildcard subscriber"
    options.say(f"broker alone: {case}")
    results = _alone(options, "retained", topics=topics)
    found.raw[case] = results
    found.rows.append(row(case, "seconds", results, lambda r: float(r["seconds"]), more_is_better=False))
    _remarks(found, case, results)


def _connections(found: Measurement, options: Options) -> None:
    """Memory before and after a fleet has connected. Here ours is a site with enrolled devices, each logged in and subscribed to its receipts."""
    count = 200 if options.quick else CONNECTIONS
    names = [f"scan-{n}" for n in range(count)]
    case = f"{count:,} idle connections"
    options.say(f"broker alone: {case}")

    def one(start: Start, ours: bool) -> dict[str, Any]:
        with served(start, dict.fromkeys(names, Role.SCANNER), options.cores) as server:
            idle_mb = server.usage().memory_mb
            with held(server, options.cores, names=names, ours=ours):
                connected_mb = server.usage().memory_mb
            return {"idle_mb": idle_mb, "connected_mb": connected_mb, "each_kb": (connected_mb - idle_mb) * 1024 / count}

    contestants = {OURS: partial(one, partial(Ours, settings=ROOMY), True), "mosquitto": partial(one, Mosquitto, False)}
    results = alternate(contestants, options.rounds)
    found.raw[case] = results
    idle = Target(text=f"below {IDLE_MB:.0f} MB", most=IDLE_MB)
    connected = Target(text=f"below {CONNECTED_MB:.0f} MB", most=CONNECTED_MB)
    found.rows.append(row("nobody connected", "memory, MB", results, lambda r: float(r["idle_mb"]), more_is_better=False, target=idle))
    found.rows.append(row(case, "memory, MB", results, lambda r: float(r["connected_mb"]), more_is_better=False, target=connected))
    found.rows.append(row(case, "memory each, kB", results, lambda r: float(r["each_kb"]), more_is_better=False))


def _storm(found: Measurement, options: Options) -> None:
    """A whole fleet reconnects at once to a server that was just restarted, so that it remembers no password."""
    count = 30 if options.quick else DEVICES
    names = [f"scan-{n}" for n in range(count)]
    case = f"{count:,} devices connect at once, TLS and password"
    options.say(f"broker alone: {case}")

    def one(start: Start, ours: bool) -> dict[str, Any]:
        with served(start, dict.fromkeys(names, Role.SCANNER), options.cores) as server:
            return load("storm", server, options.cores, names=names, ours=ours, tls=True)

    contestants = {OURS: partial(one, partial(Ours, tls=True, hasher=HASHER, settings=ROOMY), True), "mosquitto": partial(one, SecretMosquitto, False)}
    results = alternate(contestants, options.rounds)
    found.raw[case] = results
    found.rows.append(row(case, "half work after, s", results, lambda r: float(r["half_s"]), more_is_better=False))
    found.rows.append(row(case, "all work after, s", results, lambda r: float(r["seconds"]), more_is_better=False))
    found.note("Passwords: ours are hashed with argon2id (19 MiB, two passes; about 20 ms each), Mosquitto 2.0's with PBKDF2-SHA512 of 101 rounds.")
    _remarks(found, case, results)


class SecretMosquitto(Mosquitto):
    """Mosquitto with a password file and TLS; the certificate is of the same kind as ours."""

    password: str | None = PASSWORD

    def __init__(self, folder: Path, roles: Mapping[str, Role], cores: Cores) -> None:
        certify(folder)
        passwords = folder / "passwords"
        passwords.write_text("".join(f"{name}:{PASSWORD}\n" for name in roles))
        program = shutil.which("mosquitto_passwd") or "/usr/bin/mosquitto_passwd"
        subprocess.run([program, "-U", str(passwords)], check=True, capture_output=True)
        extra = f"certfile {folder}/tls/server.pem\nkeyfile {folder}/tls/server.key\npassword_file {passwords}\nallow_anonymous false\n"
        super().__init__(folder, roles, cores, extra=extra)

    def stored(self) -> int:
        return 0


def _remarks(found: Measurement, case: str, results: Mapping[str, Sequence[Mapping[str, Any]]]) -> None:
    for name, some in results.items():
        if any(too_busy(r) for r in some):
            found.note(f"{case}: the generator was busy for over 80 % of its core beside {name}, and may be what was measured.")
