"""No badge of a worker is in the log: a pseudonym stands in its place, the same for each of its scans, and for no other badge."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from firmware_sim.checkers.view import Broken, Plain, View, called

PSEUDONYM: Final = re.compile(r"w-[a-z2-7]{10}")


def check(view: View) -> Iterator[Broken]:
    """No run takes as long as a pseudonym is used."""
    badges: dict[str, str] = {}
    pseudonyms: dict[str, str] = {}
    for entry, published in view.acknowledged:
        plain = view.plain(published.payload)
        row = view.stored.get((published.device, plain.get("id", b""))) if plain else None
        kept = view.plain(row["payload"]) if row is not None else None
        if plain is None or kept is None:
            continue
        uid = (published.device, plain["id"])
        for badge, stored in ((plain.get("by"), kept.get("by")), (_worker(plain), _worker(kept))):
            if not isinstance(badge, str) or stored is None:
                continue  # a resend need not say it
            if not isinstance(stored, str) or not PSEUDONYM.fullmatch(stored):
                yield Broken(f"{called(uid)} names {badge!r}, and the log has {stored!r} in its place", entry.at_ms)
            elif badges.setdefault(stored, badge) != badge or pseudonyms.setdefault(badge, stored) != stored:
                yield Broken(f"{called(uid)} names {badge!r}, and {stored} stands for another one, or not always for it", entry.at_ms)


def _worker(plain: Plain) -> object:
    body = plain.get("body")
    return body.get("worker") if isinstance(body, dict) else None
