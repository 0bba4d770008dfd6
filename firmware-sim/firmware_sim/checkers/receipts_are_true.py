"""Every acknowledged event was answered, and the answer that holds is the one that is stored and the one that the contract gives."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Final
from uuid import RFC_4122, UUID

from devices.protocol.topics import matches
from firmware_sim.checkers.model.events import Answer
from firmware_sim.checkers.view import BRIDGE, Broken, Plain, View, called
from firmware_sim.record import Row, Subscribed

TAKEN: Final = frozenset({"applied", "late", "noop"})
BY_SEQ: Final = frozenset({"scanner", "courier"})
"""Roles whose numbers count."""
QUIET_AFTER_MS: Final = 120_000
"""A verdict that changes later than this after its event does not beep."""
UNKNOWN: Final = Answer("unknown")
"""The contract has no word on it."""
REPEATED: Final = "repeated"
"""What a device says over and over is stored, and nothing more."""
JUDGED: Final = frozenset({"id_not_uuid7", "seq_too_high", "mono_ahead"})
"""Warnings that follow from the event alone."""
FOR_DEVELOPERS: Final = JUDGED | {"seq_reused", "unknown_field", "sent_back"}
BEST_FIRST: Final = ("taken", "parked", "blocked", "lost_claim", "rejected", "unknown")
"""One scan of several orders is told the best that it is in any of them."""


def check(view: View) -> Iterator[Broken]:
    yield from _answered(view)
    yield from _held(view)
    yield from _right(view)
    yield from _quiet(view)
    yield from _warned(view)
    yield from _refused(view)


def _answered(view: View) -> Iterator[Broken]:
    """A device got a receipt for everything that was acknowledged to it: by id, or by digest if it was not an event."""
    listening = _listening(view)
    told = {d: {r.plain.get("id") for r in came} | {r.plain.get("digest") for r in came} for d, came in view.receipts.items()}
    missed: set[tuple[str, bytes]] = set()
    for entry, published in view.acknowledged:
        device = published.device
        if device not in listening or not view.is_well(device) or view.event_type(published.topic) is None:
            continue
        event_id = (view.plain(published.payload) or {}).get("id")
        heard = told.get(device, set())
        if event_id is not None and event_id in heard:
            continue
        digest = hashlib.sha256(published.payload).digest()[:8]
        key = event_id if isinstance(event_id, bytes) else digest
        if digest not in heard and (device, key) not in missed:
            missed.add((device, key))
            yield Broken(f"{device} never got a receipt for {key.hex()[:12]}, which was acknowledged at {entry.at_ms}", entry.at_ms)


def _listening(view: View) -> set[str]:
    """Devices that subscribed to their receipts."""
    own = {device: view.topics.receipts(device) for device in view.record.cast}
    return {
        e.device
        for e in view.record.of(Subscribed)
        for topic_filter, granted in e.filters
        if granted < 128 and e.device in own and matches(topic_filter, own[e.device])
    }


def _held(view: View) -> Iterator[Broken]:
    """The receipt with the highest n that a device got is the stored one."""
    revs = {(r["order_id"], r["rev"]) for r in view.table("status_log")}
    for device, came in view.receipts.items():
        highest: dict[bytes, Plain] = {}
        for _, plain in came:
            event_id = plain.get("id")
            if isinstance(event_id, bytes) and plain.get("digest") is None and plain["n"] >= highest.get(event_id, plain)["n"]:
                highest[event_id] = plain
        for event_id, plain in highest.items():
            row = view.stored.get((device, event_id))
            stored = view.stored_receipts.get(row["pos"]) if row is not None else None
            if stored is None:
                yield Broken(f"{device} has a receipt ({plain['outcome']}) for {event_id.hex()[:12]}, and none is stored")
            else:
                yield from _same(view, (device, event_id), plain, stored[1])
                order, rev = plain.get("order"), plain.get("rev")
                if rev is not None and (order, rev) not in revs:
                    yield Broken(f"the receipt for {called((device, event_id))} names rev {rev} of order {order}, which the status log has not")


def _same(view: View, uid: tuple[str, bytes], came: Plain, stored: Plain) -> Iterator[Broken]:
    if came["n"] != stored["n"]:
        if came["n"] > stored["n"] or view.is_well(uid[0]):
            yield Broken(f"{called(uid)}: receipt {came['n']} ({came['outcome']}) came, and receipt {stored['n']} ({stored['outcome']}) is stored")
        return
    for name in ("outcome", "reason", "order", "state", "rev", "seq", "log"):
        if came.get(name) != stored.get(name):
            yield Broken(f"{called(uid)}: the receipt that came says {name} {came.get(name)}, the stored one {stored.get(name)}")


def _right(view: View) -> Iterator[Broken]:
    """What is stored is what the contract says of the event."""
    for row in view.table("events"):
        if row["device"] == BRIDGE:
            continue
        uid = (row["device"], row["id"])
        stored = view.stored_receipts.get(row["pos"])
        if stored is None:
            yield Broken(f"{called(uid)} ({row['type']}) is stored and has no receipt")
            continue
        receipt, plain = stored
        if (receipt["outcome"], receipt["reason"], receipt["n"]) != (plain.get("outcome"), plain.get("reason"), plain.get("n")):
            yield Broken(f"{called(uid)}: the row of its receipt says {receipt['outcome']} ({receipt['reason']}), the receipt {plain.get('outcome')}")
        if plain.get("type") != row["type"]:
            yield Broken(f"{called(uid)} is a {row['type']}, and its receipt is about a {plain.get('type')}")
        if row["pos"] in view.reused and plain["n"] == 1 and row["role"] in BY_SEQ and "seq_reused" not in plain.get("warn", []):
            yield Broken(f"{called(uid)} has number {row['seq']}, which another event of its log had before, and its receipt does not warn of it")
        expected = _expected(view, row)
        if expected.outcome != "unknown" and not _agrees(receipt, expected):
            order = " and ".join(sorted(view.belongs(row).orders)) or None
            wanted = "applied or late" if expected.moved else expected.outcome
            because = f" ({expected.reason})" if expected.reason else ""
            yield Broken(f"{called(uid)} ({row['type']} of order {order}) is {_worded(receipt)}; by its order's events it is {wanted}{because}")


def _quiet(view: View) -> Iterator[Broken]:
    """A changed verdict is quiet if it comes long after its event, or after a later change of shift of its device was known; a first verdict never is."""
    for row in view.table("events"):
        _, plain = view.stored_receipts.get(row["pos"], ({}, {}))
        if row["device"] == BRIDGE or "n" not in plain:
            continue
        later = [s["received_ms"] for s in view.shifts.get(row["device"], ()) if s["event_ms"] > row["event_ms"]]
        is_old = plain["at_ms"] - row["event_ms"] > QUIET_AFTER_MS
        is_known, is_perhaps_known = (any(ms < plain["at_ms"] + by for ms in later) for by in (0, 1))
        is_quiet = plain.get("quiet", False)
        if plain["n"] == 1 and is_quiet:
            yield Broken(f"{called((row['device'], row['id']))}: its first receipt is quiet")
        if plain["n"] > 1 and is_quiet not in (is_old or is_known, is_old or is_perhaps_known):
            how = "is quiet, soon after the event and in its shift" if is_quiet else "beeps, long after the event or in another shift"
            yield Broken(f"{called((row['device'], row['id']))}: receipt {plain['n']} {how}", plain["at_ms"])


def _warned(view: View) -> Iterator[Broken]:
    """A receipt warns a developer of what is wrong with the event, and of nothing else; a worker hears nothing of that."""
    for row in view.table("events"):
        _, plain = view.stored_receipts.get(row["pos"], ({}, {}))
        if row["device"] == BRIDGE or "n" not in plain:
            continue
        warned = set(plain.get("warn", ()))
        wrong = {word for word, is_wrong in _slips(view, row).items() if is_wrong}
        for word in sorted((wrong ^ warned) & JUDGED):
            how = "warns of" if word in warned else "does not warn of"
            yield Broken(f"{called((row['device'], row['id']))}: its receipt {how} {word}", row["received_ms"])
        if (
            warned
            and warned <= FOR_DEVELOPERS
            and row["fault"] is None
            and plain["outcome"] in TAKEN
            and plain["tone"] != ("stop" if "next" in plain else "ok")
        ):
            yield Broken(f"{called((row['device'], row['id']))}: its receipt says {plain['tone']}, for {', '.join(sorted(warned))}", row["received_ms"])


def _slips(view: View, row: Row) -> dict[str, bool]:
    """What may be wrong with a stored event, as it was sent first."""
    told, counts = view.plain(row["payload"]) or {}, row["role"] in BY_SEQ
    uuid = UUID(bytes=row["id"])
    return {
        "id_not_uuid7": (uuid.variant, uuid.version) != (RFC_4122, 7),
        "seq_too_high": counts and row["seq"] > 10**9,
        "mono_ahead": counts and told.get("boot") == told.get("sent_boot") and told.get("mono_ms", 0) - told.get("sent_mono_ms", 0) > 1_000,
    }


def _refused(view: View) -> Iterator[Broken]:
    """What never became an event is answered by the digest of its payload; by its id too, if that can be read and is not that of a stored event."""
    sent = {(p.device, hashlib.sha256(p.payload).digest()[:8]): p for _, p in view.acknowledged}
    for device, came in view.receipts.items():
        for at_ms, plain in came:
            published = sent.get((device, plain.get("digest", b"")))
            event_type = view.event_type(published.topic) if published is not None else None
            if published is None or event_type is None:
                continue
            ids = view.plain(published.payload) or {}
            if plain.get("type") != event_type[:64]:
                yield Broken(f"{device} sent a {event_type}, and was answered about a {plain.get('type')}", at_ms)
            if plain.get("reason") == "id_reused" and "id" in plain:
                yield Broken(f"{device} used an id again, and the receipt names the id of the good event", at_ms)
            if "id" in plain and plain["id"] != ids.get("id"):
                yield Broken(f"{device} was answered about another id than that of what it sent", at_ms)


def _expected(view: View, row: Row) -> Answer:
    """By its orders, whose best answer counts; in no order, by the law of codes."""
    where = view.belongs(row)
    said = [view.expected[o].answers.get((row["device"], row["id"]), UNKNOWN) for o in sorted(where.orders) if o in view.expected]
    if said:
        best = min(said, key=lambda a: BEST_FIRST.index(a.outcome))
        return best._replace(moved=any(a.moved for a in said))
    if row["fault"] is not None:
        return Answer("noop" if row["fault"] == REPEATED else "rejected", row["fault"])
    return UNKNOWN if where.outcome is None else Answer(where.outcome, where.reason)


def _agrees(receipt: Row, expected: Answer) -> bool:
    if expected.outcome == "taken":
        return receipt["outcome"] in TAKEN and not (expected.moved and receipt["outcome"] == "noop")
    return bool(receipt["outcome"] == expected.outcome and receipt["reason"] == expected.reason)


def _worded(receipt: Row) -> str:
    return f"{receipt['outcome']} ({receipt['reason']})" if receipt["reason"] else str(receipt["outcome"])
