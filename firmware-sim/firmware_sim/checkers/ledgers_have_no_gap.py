"""Nobody owes a scan at the end: each log of a device came whole, and its ledger says so."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from devices.protocol.vocabulary import Role
from firmware_sim.checkers.view import Broken, View


def check(view: View) -> Iterator[Broken]:
    came = _numbers(view)
    rows = {(r["device"], r["log"]): r for r in view.table("ledger")}
    for (device, log), row in rows.items():
        if not view.is_well(device):
            continue
        if row["owed"] or row["forgotten"]:
            yield Broken(f"{device} still owes {row['owed']} events of log {log.hex()} ({row['forgotten']} were given up), of {row['high']}")
        if row["high"] != len(came[(device, log)]):
            yield Broken(f"the ledger of {device} has {row['high']} numbers of log {log.hex()}, and {len(came[(device, log)])} of them came")
    for device, log in came:
        if (device, log) not in rows and view.is_well(device) and view.record.cast[device].role in (Role.SCANNER, Role.COURIER):
            yield Broken(f"events of log {log.hex()} of {device} are stored, and there is no ledger for it")


def _numbers(view: View) -> dict[tuple[str, bytes], set[int]]:
    """By log: the numbers that are stored, or were refused and could be read."""
    came: dict[tuple[str, bytes], set[int]] = defaultdict(set)
    for row in view.table("events"):
        came[(row["device"], row["log"])].add(row["seq"])
    for row in view.table("quarantine"):
        plain = view.plain(row["payload"]) if row["pos"] is None else None
        if plain is not None and isinstance(plain.get("log"), bytes) and isinstance(plain.get("seq"), int):
            came[(row["device"], plain["log"])].add(plain["seq"])
    return came
