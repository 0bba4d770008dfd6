"""Messages that could not be applied: look at them, judge them again, correct or drop them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from msgspec import Struct

from bridge.domain.access import Kind, may_send
from bridge.domain.view import digest8
from bridge.errors import NotFound, Refused
from bridge.ingest.items import Incoming
from bridge.ingest.sealing import about_message
from bridge.operations.names import check_device
from bridge.operations.ports import Row, SiteContext, SiteReader, Sought
from devices.protocol import messages
from devices.protocol.messages import Receipt
from devices.protocol.vocabulary import EventType, Outcome, Reason

PORTION_MAX: Final = 20
"""Entries of one act: so many numbers are kept in its entry of the audit log."""
_TYPES: Final[frozenset[str]] = frozenset(EventType)
_LATEST: Final = 50
"""How many of a device's entries are searched for the one that a failed correction leaves."""


class Entry(Struct, frozen=True, kw_only=True):
    """One entry, whole. `decoded` is its payload as a plain value; None if it can't be decoded.

    `path` is the field that breaks the contract (`body.lines[0].qty`), and `fault` what was expected there; None if it keeps to the contract as it is now.
    """

    row: Row
    payload: bytes
    decoded: Any
    path: str | None
    fault: str | None


class Replayed(NamedTuple):
    """What became of an entry that was judged again. `outcome` is None if it could not be judged; `is_gone`: it has left the quarantine."""

    no: int
    outcome: Outcome | None
    reason: Reason | None
    detail: str | None
    is_gone: bool


async def list_entries(site: SiteReader, sought: Sought, *, limit: int) -> list[Row]:
    """Entries without their payloads, the latest first.

    Raises:
        NotFound: if none is found, and the device is unknown.
    """
    found = site.queries.quarantine(sought, limit=limit)
    if not found and sought.device is not None:
        check_device(site, sought.device)
    return found


async def find(site: SiteReader, nos: Sequence[int], sought: Sought) -> list[int]:
    """The numbers of entries: those that are named, or those that are sought.

    Raises:
        NotFound: if one that is named does not exist, or none is found and the device is unknown.
    """
    found = site.queries.quarantine_numbers(sought)
    if not found and sought.device is not None:
        check_device(site, sought.device)
    if not nos:
        return found
    if missing := sorted(set(nos) - set(found)):
        raise _not_found(*missing)
    return list(dict.fromkeys(nos))


async def look(site: SiteContext, no: int) -> None:
    """Someone looks at what is in an entry. It may hold personal data, so that this is an act.

    Raises:
        NotFound: if there is no such entry.
    """
    _entry(site, no)


async def show_entry(site: SiteReader, no: int) -> Entry:
    """One entry.

    Raises:
        NotFound: if there is no such entry.
    """
    row = _entry(site, no)
    try:
        decoded = messages.load(row["payload"])
    except messages.PayloadError as error:
        return Entry(row=row, payload=row["payload"], decoded=None, path=None, fault=str(error).removeprefix("payload: "))
    fault = fault_of(row["payload"], row["event_type"])
    path, _, what = fault.partition(": ") if fault is not None else ("", "", None)
    return Entry(row=row, payload=row["payload"], decoded=decoded, path=path or None, fault=what)


def fault_of(payload: bytes, event_type: str | None) -> str | None:
    """What of a payload breaks the contract: `body.qty: expected integer, got text`; None if nothing does, or there is no such event type."""
    if event_type not in _TYPES:
        return None
    try:
        messages.decode_event(payload, EventType(event_type))
    except messages.PayloadError as error:
        return str(error)
    return None


async def replay(site: SiteContext, nos: list[int]) -> list[Replayed]:
    """Judge entries again, `PORTION_MAX` at most.

    An entry leaves the quarantine if it is no longer rejected; so does a message that has become an event, whatever its verdict. One that can't be judged,
    because its device is not enrolled any more, stays.
    """
    done = []
    for no in nos:
        row = _quarantined(site, no)
        if row is None:
            continue  # it left the quarantine since it was found
        try:
            receipt = await _judge(site, row, row["event_type"], row["payload"])
        except NotFound as error:
            done.append(Replayed(no, None, None, str(error), is_gone=False))
            continue
        is_event_now = row["pos"] is None and receipt.digest is None
        is_gone = is_event_now or receipt.outcome is not Outcome.REJECTED
        if is_gone:
            await drop(site, [no])
        done.append(Replayed(no, receipt.outcome, receipt.reason, receipt.detail, is_gone))
    return done


async def drop(site: SiteContext, nos: list[int]) -> int:
    """Delete entries, `PORTION_MAX` at most. Returns how many were still there."""
    there = [no for no in nos if site.queries.quarantined(no) is not None]
    await site.on_writer(lambda: site.upkeep.drop_quarantined(there))
    return len(there)


async def fix(site: SiteContext, no: int, digest: str, payload: bytes, event_type: str, fields: list[str], reason: str = "") -> Receipt:
    """Judge an entry with another payload, or as another event type. It leaves the quarantine if it is not rejected, and stays as it was if it is.

    Args:
        digest: that of the entry (hex), for the audit log.
        fields: the paths of what was changed, for the audit log; never what it was changed to.

    Raises:
        NotFound: if there is no such entry, or its device is not enrolled.
        Refused: if it is an event already, is another entry than the one that was read, or the payload breaks the contract, or is rejected.
    """
    row = _entry(site, no)
    check_fixable(row)
    if row["digest"].hex() != digest:
        raise Refused(f"entry {no} is not the one that was read", fix=f"look at it again with `dockbridge quarantine show {no}`")
    if event_type not in _TYPES:
        raise Refused(f"there is no event type {event_type!r}", fix="name one with --type; `dockbridge contract show events` lists them")
    if (fault := fault_of(payload, event_type)) is not None:
        raise Refused(f"entry {no} would still break the contract: {fault}", fix=f"correct that field as well; `dockbridge quarantine show {no}` shows it")
    receipt = await _judge(site, row, event_type, payload)
    if receipt.outcome is Outcome.REJECTED:
        if receipt.digest is not None:
            await _drop_attempt(site, row, payload)
        raise Refused(f"entry {no} is still rejected: {receipt.detail or receipt.reason}", fix="it is as it was; drop it if it can't be mended")
    await drop(site, [no])
    return receipt


def check_fixable(row: Row) -> None:
    """Raises:
    Refused: if an entry is an event already, or no message of a device's own events.
    """
    if row["pos"] is not None:
        fix = f"an event can't be edited: send another one, or drop the entry with `dockbridge quarantine drop {row['no']}`"
        raise Refused(f"entry {row['no']} is in the event log, and was rejected there: {row['reason']}", fix=fix)
    if row["event_type"] is None:
        raise Refused(f"entry {row['no']} was sent to a topic that its device may not use", fix="correct the device: the message itself can't be mended")


async def _drop_attempt(site: SiteContext, row: Row, payload: bytes) -> None:
    """A correction that is rejected leaves no entry of its own beside the one that it was to correct."""
    digest = digest8(payload)
    latest = site.queries.quarantine(Sought(device=row["device"]), limit=_LATEST)
    await drop(site, [r["no"] for r in latest if r["digest"] == digest and r["no"] != row["no"]])


async def _judge(site: SiteContext, row: Row, event_type: str | None, payload: bytes) -> Receipt:
    """Send a message again, as its device.

    Raises:
        NotFound: if its device is not enrolled.
    """
    identity = site.registry.identity(row["device"])
    kind, detail = Kind.EVENTS, None
    if event_type is None:
        kind, detail = Kind.DENIED, "its topic is still not allowed"
    elif not (answer := may_send(identity.role, event_type)).allowed:
        kind, detail = Kind.DENIED, answer.rule
    return messages.convert(await site.offer(Incoming(identity, kind, event_type, payload, site.clock.now_ms(), detail)), Receipt)


def _entry(site: SiteReader, no: int) -> Row:
    row = _quarantined(site, no)
    if row is None:
        raise _not_found(no)
    return row


def _quarantined(site: SiteReader, no: int) -> Row | None:
    """An entry with its payload as it came."""
    row = site.queries.quarantined(no)
    if row is None or not row["is_sealed"]:
        return row
    return {**row, "payload": site.vault.open(row["payload"], about_message(row["device"], row["digest"]))}


def _not_found(*nos: int) -> NotFound:
    named = f"there is no entry {nos[0]}" if len(nos) == 1 else f"there are no entries {', '.join(map(str, nos[:PORTION_MAX]))}"
    return NotFound(f"{named} in quarantine", fix="list the entries with `dockbridge quarantine list`")
