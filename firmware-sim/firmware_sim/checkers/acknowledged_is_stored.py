"""PUBACK means stored: what was acknowledged is in the log at every later start of the server, and at the end."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

from firmware_sim.checkers.view import Broken, View, as_frozen, called
from firmware_sim.record import Acknowledged, Published, ServerStarted


def check(view: View) -> Iterator[Broken]:
    """A message that never became an event, because it was malformed, forbidden or used an id again, must be in quarantine under its digest."""
    kept = dict(_kept_otherwise(view))
    acknowledged: dict[tuple[str, bytes], int] = {}
    missed: set[tuple[str, bytes]] = set()
    for entry in view.record.entries:
        if type(entry) is Acknowledged and (published := _event(view, entry)) is not None and entry.no not in kept:
            plain = view.plain(published.payload)
            uid = (published.device, plain.get("id") if plain else None)
            if not isinstance(uid[1], bytes):
                text = f"{published.device} was acknowledged a message on {published.topic} that is no event, and it is not in quarantine"
                yield Broken(text, entry.at_ms)
                continue
            acknowledged.setdefault((uid[0], uid[1]), entry.at_ms)
        elif type(entry) is ServerStarted:
            for uid in sorted(acknowledged.keys() - missed - set(entry.stored)):
                missed.add(uid)
                yield Broken(f"{called(uid)} was acknowledged at {acknowledged[uid]} and is not in the log when the server starts", entry.at_ms)
    for uid in sorted(acknowledged.keys() - view.stored.keys() - missed):
        yield Broken(f"{called(uid)} was acknowledged at {acknowledged[uid]} and is not in the log at the end")
    yield from _changed(view, kept)


def _event(view: View, entry: Acknowledged) -> Published | None:
    published = view.published.get(entry.no)
    return published if published is not None and entry.no not in view.mangled and view.event_type(published.topic) is not None else None


def _kept_otherwise(view: View) -> Iterator[tuple[int, str]]:
    """Numbers of messages that are in quarantine as they came."""
    if view.refused:
        for _, published in view.acknowledged:
            if (published.device, hashlib.sha256(published.payload).digest()[:8]) in view.refused:
                yield published.no, published.topic


def _changed(view: View, kept: dict[int, str]) -> Iterator[Broken]:
    """What is stored under an id is what was acknowledged under it."""
    for entry, published in view.acknowledged:
        event_type = view.event_type(published.topic)
        plain = view.plain(published.payload)
        row = view.stored.get((published.device, plain.get("id", b""))) if plain and event_type is not None else None
        if plain is None or row is None or event_type is None or published.no in kept:
            continue
        same = row["payload"] == published.payload or as_frozen(view.plain(row["payload"]), row["type"]) == as_frozen(plain, event_type)
        if not same or row["type"] != event_type:
            uid = (published.device, plain["id"])
            yield Broken(f"{called(uid)} was acknowledged as {event_type}, and the log has another {row['type']} under its id", entry.at_ms)
