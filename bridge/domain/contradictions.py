"""Where a carrier's statuses and our own scans can't both be true. They change nothing: each fact takes its place in time, and people find out what happened.

| kind | the carrier says | we say |
|---|---|---|
| `on_our_dock` | it has the parcel, or has delivered it | a later scan of ours in the warehouse |
| `before_packed` | it had the parcel at that time | we packed it only later |
| `not_loaded` | it delivers it, and it has not reported to have taken it over | it stands at our dock: we have not loaded it |
| `delivered_twice` | delivered | delivered at another time, by it or by us, and nothing between the two |
| `never_received` | it does not have the parcel | we loaded it before |
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from enum import StrEnum
from typing import Final, NamedTuple

from bridge.domain.facts import COUNTED, Fact
from bridge.domain.fold import OrderFold
from bridge.domain.members import E
from devices.protocol.vocabulary import Role

CLOCKS_DIFFER_MS: Final = 600_000
"""Two clocks may differ by this much: what lies closer together contradicts nothing."""
TWICE_AFTER_MS: Final = 3_600_000
"""Deliveries that lie closer together are one: a carrier reports it at the door, and again in the evening."""


class Kind(StrEnum):
    """What contradicts what."""

    ON_OUR_DOCK = "on_our_dock"
    BEFORE_PACKED = "before_packed"
    NOT_LOADED = "not_loaded"
    DELIVERED_TWICE = "delivered_twice"
    NEVER_RECEIVED = "never_received"


class Contradiction(NamedTuple):
    """A status of a carrier, and what contradicts it: event types and times, and the devices that sent them.

    `said` is the carrier's own word if its status is no event. `theirs` and `ours` are the ids of the events, to void the wrong one; empty if there is none.
    """

    kind: Kind
    parcel: str | None
    carrier: str
    said: str
    said_ms: int
    device: str
    scan: str
    scan_ms: int
    theirs: bytes = b""
    ours: bytes = b""


class Denial(NamedTuple):
    """A carrier says that it does not have a parcel of an order: with its own word, at a time. `parcel` is None if the order is meant."""

    carrier: str
    parcel: str | None
    status: str
    at_ms: int


_HAS: Final = frozenset({E.PICKUP, E.DEPART, E.ARRIVE, E.OUT_FOR_DELIVERY, E.ATTEMPT_FAILED, E.AVAILABLE_FOR_PICKUP, E.DELIVERY, E.REFUSED})
"""A carrier that reports one of these has, or had, the parcel."""
_BRINGS: Final = frozenset({E.OUT_FOR_DELIVERY, E.ATTEMPT_FAILED, E.AVAILABLE_FOR_PICKUP, E.DELIVERY, E.REFUSED})
_TAKES: Final = frozenset({E.PICKUP, E.DEPART, E.ARRIVE})
_IN_HOUSE: Final = frozenset({E.PACK, E.UNPACK, E.STAGE, E.UNLOAD})
_AT_DOCK: Final = frozenset({E.STAGE, E.UNLOAD})
_LEFT: Final = frozenset({E.LOAD, E.DEPART, E.PICKUP})
_COMES_BACK: Final = frozenset({E.REFUSED, E.RETURN_STARTED, E.RETURNED, E.UNLOAD})
"""After one of these, a parcel may be at our dock, and may be delivered again."""
_CARRIER: Final = Role.CARRIER.value
_OURS: Final = frozenset({Role.SCANNER, Role.COURIER})


def contradictions_of(whole: OrderFold, denials: Sequence[Denial] = ()) -> list[Contradiction]:
    """Every contradiction in an order, by parcel and time. An order without a fact of a carrier has none, unless a carrier denies to have it."""
    if not denials and not concerns_carrier(whole):
        return []
    found: list[Contradiction] = []
    for parcel, facts in _by_parcel(whole).items():
        mine = [d for d in denials if d.parcel in (None, parcel)]
        found += [*_against_our_scans(parcel, facts), *_delivered_twice(parcel, facts), *_never_received(parcel, facts, mine)]
    return sorted(found, key=lambda c: (c.parcel or "", c.said_ms, c.kind))


def concerns_carrier(whole: OrderFold) -> bool:
    """Whether a carrier has said anything of an order."""
    return _CARRIER in [fact.role for fact in whole.facts]  # asked for every order of a batch: a list takes half as long as a generator


def _by_parcel(whole: OrderFold) -> dict[str, list[Fact]]:
    """The facts about each parcel, by their place in time. A fact about no parcel in particular is about all."""
    found: dict[str, list[Fact]] = {parcel: [] for parcel in whole.order.parcels}
    for fact in whole.facts:
        verdict = whole.verdicts[fact.uid]
        if fact.uid not in whole.voided and verdict.outcome in COUNTED:
            for parcel in [verdict.parcel] if verdict.parcel is not None else list(found):
                found.setdefault(parcel, []).append(fact)
    return found


def _against_our_scans(parcel: str, facts: list[Fact]) -> Iterator[Contradiction]:
    """The first scan of ours that can't be after what the carrier says; or that none of ours says that it left."""
    has = next((f for f in facts if f.role == Role.CARRIER and f.type in _HAS), None)
    if has is None:
        return
    ours = [f for f in facts if f.role in _OURS]
    later = _first_later(has, facts)
    if later is not None:
        is_first = later.type == E.PACK and not any(f.type == E.PACK and f.event_ms < later.event_ms for f in ours)
        said = _last_before(facts, later)
        yield _against(Kind.BEFORE_PACKED if is_first else Kind.ON_OUR_DOCK, parcel, has if is_first else said, later)
        return
    brings = next((f for f in facts if f.role == Role.CARRIER and f.type in _BRINGS), None)
    took = any(f.role == Role.CARRIER and f.type in _TAKES for f in facts)
    where = next((f for f in reversed(ours) if f.type in _IN_HOUSE | _LEFT), None)
    if brings is not None and not took and where is not None and where.type in _AT_DOCK:
        yield _against(Kind.NOT_LOADED, parcel, brings, where)


def _first_later(has: Fact, facts: list[Fact]) -> Fact | None:
    """The first scan in our house after a carrier had the parcel, unless it came back before."""
    for fact in facts:
        if fact.event_ms <= has.event_ms + CLOCKS_DIFFER_MS or fact is has:
            continue
        if fact.role in _OURS and fact.type in _IN_HOUSE:
            return fact
        if fact.type in _COMES_BACK:
            return None
    return None


def _last_before(facts: list[Fact], later: Fact) -> Fact:
    return next(f for f in reversed(facts) if f.role == Role.CARRIER and f.type in _HAS and f.event_ms < later.event_ms)


def _delivered_twice(parcel: str, facts: list[Fact]) -> Iterator[Contradiction]:
    before: Fact | None = None
    for fact in facts:
        if fact.type in _COMES_BACK:
            before = None
        elif fact.type == E.DELIVERY:
            if before is not None and Role.CARRIER in (before.role, fact.role) and fact.event_ms - before.event_ms > TWICE_AFTER_MS:
                theirs, other = (fact, before) if fact.role == Role.CARRIER else (before, fact)
                yield _against(Kind.DELIVERED_TWICE, parcel, theirs, other)
                return
            before = before or fact


def _never_received(parcel: str, facts: list[Fact], denials: Iterable[Denial]) -> Iterator[Contradiction]:
    """We loaded it, and later the carrier says that it does not have it; and nothing that it says after that takes it back."""
    for denial in denials:
        loaded = [f for f in facts if f.role in _OURS and f.type in _LEFT and f.event_ms + CLOCKS_DIFFER_MS < denial.at_ms]
        since = [f for f in facts if f.event_ms > denial.at_ms and (f.type in _COMES_BACK or (f.role == Role.CARRIER and f.type in _HAS))]
        if loaded and not since:
            last = loaded[-1]
            yield Contradiction(Kind.NEVER_RECEIVED, parcel, denial.carrier, denial.status, denial.at_ms, last.device, last.type, last.event_ms, ours=last.id)
            return


def _against(kind: Kind, parcel: str, theirs: Fact, ours: Fact) -> Contradiction:
    return Contradiction(kind, parcel, theirs.device, theirs.type, theirs.event_ms, ours.device, ours.type, ours.event_ms, theirs.id, ours.id)
