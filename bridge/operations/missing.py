"""What devices still owe: events that they have counted and the server lacks. After a restore they are asked for; what is gone for good can be given up."""

from __future__ import annotations

from typing import Final

from msgspec import Struct

from bridge.domain.ledger import Ledger
from bridge.errors import Refused
from bridge.ingest.items import GiveUp
from bridge.operations.ports import Row, SiteContext, SiteReader

GIVEN_UP_MAX: Final = 100_000
"""Events of one device that are given up at a time: each is a row of the log."""


class Missing(Struct, frozen=True, kw_only=True):
    """What is missing of one log of a device. `ranges` are numbers, first and last; `on_its_way` of them the device has, as it said last."""

    device: str
    log: bytes
    events: int
    ranges: list[list[int]]
    on_its_way: int
    last_seq: int
    heard_ms: int


async def missing(site: SiteReader, device: str | None = None) -> list[Missing]:
    """What is missing, by device and log.

    Raises:
        NotFound: if the named device is not enrolled.
    """
    if device is not None:
        site.registry.get(device)
    ledgers = site.queries.ledgers(device)
    presences = site.queries.presences({row["device"] for row in ledgers})
    found = [_missing(row, presences.get(row["device"]) or {}) for row in ledgers]
    return [one for one in found if one.events]


async def give_up(site: SiteContext, device: str, reason: str) -> list[Missing]:
    """Give up what is missing of a device: it is not owed any more, and the alert ends. If it comes after all, it counts. Returns what was given up.

    Raises:
        NotFound: if the device is not enrolled.
        Refused: if nothing is missing, or too much, or it is still on its way.
    """
    lost = await missing(site, device)
    if not lost:
        raise Refused(f"nothing of {device} is missing", fix="`dockbridge db missing` lists what is")
    if not reason.strip():
        raise Refused("it is not said why", fix="say it with --reason, for the audit log")
    waiting = sum(one.on_its_way for one in lost)
    if waiting and device in site.connected:
        raise Refused(f"{device} is connected and still has {waiting} of them to send", fix="wait until it has sent them")
    if (events := sum(one.events for one in lost)) > GIVEN_UP_MAX:
        raise Refused(f"{events} events of {device} are missing, more than {GIVEN_UP_MAX} at a time", fix="enrol it anew under another name")
    for one in lost:
        await site.change(GiveUp(received_ms=site.clock.now_ms(), device=device, log=one.log, last_seq=one.last_seq))
    return lost


def _missing(row: Row, presence: Row) -> Missing:
    is_present = presence.get("log") == row["log"]
    last_seq = max(row["high"], presence.get("last_seq") or 0) if is_present else row["high"]
    ranges = [list(missing) for missing in Ledger(row["ranges"]).missing(last_seq)]
    events = sum(last - first + 1 for first, last in ranges)
    on_its_way = min(events, presence.get("backlog") or 0) if is_present else 0
    return Missing(device=row["device"], log=row["log"], events=events, ranges=ranges, on_its_way=on_its_way, last_seq=last_seq, heard_ms=row["updated_ms"])
