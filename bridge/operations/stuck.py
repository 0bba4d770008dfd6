"""Which orders wait for a person, why, since when, and the command that moves each on. What there is to wait for is in `waits.py`."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from msgspec import Struct

from bridge.domain.fold import OrderFold, fold
from bridge.domain.order import Order, Parcel
from bridge.domain.order.contents import Contents
from bridge.domain.order.courier import duties
from bridge.domain.order.flags import FLAG_LIFE
from bridge.domain.order.loading import goes_with_carriers
from bridge.domain.order.promise import ship_by
from bridge.domain.order.sending import NOTHING, sending_of
from bridge.domain.view import flags_of
from bridge.errors import NotFound
from bridge.operations.console import CONSOLE
from bridge.operations.order_ports import OrderQueries, Row, Seeking
from bridge.operations.ports import SiteReader
from bridge.operations.waits import ENDED, FLAGS, PARCELS, STATES, WITH_CARRIER, Wait
from bridge.words import counted
from devices.protocol.reasons import GUARDED_HOLDS, HoldReason
from devices.protocol.vocabulary import ORDER_STATE_WORDS, TIMED_FLAGS, Flag, OrderState, Outcome

_COUNTED: Final = frozenset({Outcome.APPLIED, Outcome.LATE})
_PARTIALLY: Final = "partially_"
PORTION_ORDERS: Final = 200
"""Orders that are read at once."""


class Waiting(Struct, frozen=True, kw_only=True):
    """One thing that waits. `order` is None for events that are in no order, and `state` for what is no order; `what` is the flag or state that says it.

    `who` says who does what; `command` is None if no command of ours can move it on.
    """

    order: str | None
    state: str | None
    what: str
    why: str
    since_ms: int
    who: str
    command: str | None


class Stuck(Struct, frozen=True, kw_only=True):
    """What waits: orders, the longest in their state first, and events. `after` is the last order looked at if there are more."""

    orders: list[Waiting]
    events: list[Waiting]
    after: str | None


async def list_stuck(site: SiteReader, *, now_ms: int, limit: int, older_than_ms: int = 0, after: str | None = None) -> Stuck:
    """Every order that waits for a person, at most `limit` of them after the order `after`; and, on the first page, events that wait.

    Args:
        older_than_ms: only what has waited for at least so long.

    Raises:
        NotFound: if the order `after` does not wait any more.
    """
    candidates = site.queries.waiting_orders(seeking(now_ms))
    if after is not None:
        if after not in candidates:
            raise NotFound(f"order {after} does not wait any more", fix="begin again, without --after")
        candidates = candidates[candidates.index(after) + 1 :]
    found: list[Waiting] = []
    orders, last = 0, None
    for order_id, waits in _look(site, candidates, portion=min(limit, PORTION_ORDERS), now_ms=now_ms):
        if orders == limit:
            return Stuck(orders=found, events=_events(site, limit) if after is None else [], after=last)
        waits = [w for w in waits if w.since_ms <= now_ms - older_than_ms]
        found += waits
        orders += bool(waits)
        last = order_id
    return Stuck(orders=found, events=_events(site, limit) if after is None else [], after=None)


def _look(site: SiteReader, candidates: list[str], *, portion: int, now_ms: int) -> Iterator[tuple[str, list[Waiting]]]:
    """What each order waits for; it may be nothing."""
    for start in range(0, len(candidates), portion):
        some = candidates[start : start + portion]
        stories = site.queries.stories(some)
        for order_id in some:
            if order_id in stories:
                status, facts = stories[order_id]
                yield order_id, waits_of(fold(order_id, facts), status, now_ms=now_ms)


def count_stuck(queries: OrderQueries, *, now_ms: int) -> int:
    """How many orders have a flag or a state that waits for a person."""
    return len(queries.waiting_orders(seeking(now_ms)))


def seeking(now_ms: int) -> Seeking:
    """What orders that may wait for a person are found by."""
    flags: dict[tuple[str, ...], list[str]] = {}
    for flag, wait in FLAGS.items():
        if wait is not None:
            flags.setdefault(tuple(sorted(ENDED - wait.also_in)), []).append(flag)
    states = {word: now_ms - wait.after_ms for word in ORDER_STATE_WORDS if (wait := STATES[OrderState(word.removeprefix(_PARTIALLY))]) is not None}
    parcels = {state.value: now_ms - wait.after_ms for state, wait in PARCELS.items() if wait is not None}
    return Seeking(flags=[(tuple(names), ended) for ended, names in flags.items()], states=states, parcels=parcels)


def waits_of(whole: OrderFold, status: Row, *, now_ms: int | None = None) -> list[Waiting]:
    """What an order waits for. Without `now_ms` also what it has just begun to wait for."""
    return [w for wait, w in _all_waits(whole, status) if now_ms is None or w.since_ms <= now_ms - wait.after_ms]


def _all_waits(whole: OrderFold, status: Row) -> Iterator[tuple[Wait, Waiting]]:
    order = whole.order
    timed = {Flag(f) for f in status["flags"] if f in TIMED_FLAGS}
    instead = WITH_CARRIER if goes_with_carriers(order) else {}
    for flag in sorted(flags_of(order) | timed):
        wait = instead.get(flag, FLAGS[flag])
        if wait is None or (order.state in ENDED and order.state not in wait.also_in):
            continue
        if flag is Flag.HELD:
            yield from ((wait, _hold(whole, wait, reason)) for reason in sorted(order.holds))
            continue
        bearers: list[Parcel | None] = [p for p in order.parcels.values() if flag in p.flags]
        for parcel in bearers or [None]:
            if flag is Flag.LOST and (order.cancelled if parcel is None else order.is_cancelled(parcel)):
                continue  # given up
            yield wait, _waiting(order, wait, flag, _since_ms(whole, flag), parcel)
    for parcel in order.parcels.values():
        if (wait := instead.get(parcel.state, PARCELS[parcel.state])) is not None:
            yield wait, _waiting(order, wait, parcel.state, parcel.at_ms, parcel)
    wait = instead.get(order.state, STATES[order.state])
    if wait is not None and not order.cancelled:
        yield wait, _waiting(order, wait, order.state, order.changed_ms)


def _hold(whole: OrderFold, wait: Wait, reason: str) -> Waiting:
    order = whole.order
    device = order.holds[reason]
    since = [f.event_ms for f in whole.facts if f.type == "held" and getattr(f.body, "reason", None) == reason]
    waiting = _waiting(order, wait, Flag.HELD, max(since, default=order.changed_ms), hold=reason)
    if reason in GUARDED_HOLDS and device != CONSOLE:
        return _replaced(waiting, f"Only {device}, which set it, lifts it (released).", None)
    if reason not in [*HoldReason]:
        return _replaced(waiting, waiting.who, f"dockbridge orders release {shlex.quote(order.id)} --all")
    return waiting


def _replaced(waiting: Waiting, who: str, command: str | None) -> Waiting:
    return Waiting(order=waiting.order, state=waiting.state, what=waiting.what, why=waiting.why, since_ms=waiting.since_ms, who=who, command=command)


def _waiting(order: Order, wait: Wait, what: str, since_ms: int, parcel: Parcel | None = None, *, hold: str | None = None) -> Waiting:
    words = _words(order, parcel, hold)
    quoted = {name: word if name in _COMMANDS else shlex.quote(word) for name, word in words.items()}
    known = {"courier": "the courier or carrier", "hold": "", "tracking": "it", "given_to": "another carrier", **words}
    command = wait.command.format_map(quoted) if _names(wait.command) <= quoted.keys() else ""
    return Waiting(
        order=order.id,
        state=order.state_word,
        what=what,
        why=wait.why.format_map(known),
        since_ms=since_ms,
        who=_sentence(wait.who.format_map(known)),
        command=command or None,
    )


_COMMANDS: Final = frozenset({"take_off", "let_go", "of_parcel"})
"""Words that are parts of commands, quoted already."""


def _words(order: Order, parcel: Parcel | None, hold: str | None) -> dict[str, str]:
    jobs = duties(order)
    mine = [job for job, parcels in jobs.items() if parcel is None or parcel in parcels] or list(jobs)
    contents = order.contents()
    missing = {sku: _missing(order, contents, sku) for sku in order.lines if (sku in order.short or sku in contents.gone) and contents.is_missing(sku)}
    words = {
        "order": order.id,
        "missing": _listed(missing) or "goods",
        "left": _listed(dict(order.left_to_pick())) or "nothing",
        "take_off": _take_off(order, missing, gone=bool(contents.gone)),
        "let_go": _let_go(order),
        "of_parcel": f" --parcel {shlex.quote(parcel.id)}" if parcel is not None and len(order.parcels) > 1 else "",
    }
    words |= _words_of_carrier(order, parcel)
    courier = parcel.courier if parcel is not None else next((p.courier for p in order.parcels.values() if p.courier is not None), None)
    if courier is not None or mine:
        words["courier"] = courier or mine[0].courier
    if mine:
        words["job"] = mine[0].job
    if parcel is not None:
        words |= {"parcel": parcel.id, "attempts": counted(parcel.attempts, "delivery", "deliveries"), "where": parcel.where or "the pickup point"}
    return words if hold is None else words | {"hold": hold}


def _words_of_carrier(order: Order, parcel: Parcel | None) -> dict[str, str]:
    """The carrier of a parcel, or of the first one that has one; the number under which it follows it, and the carrier for which it was loaded."""
    parcels = [parcel] if parcel is not None else list(order.parcels.values())
    sent = next((s for s in (sending_of(order, p) for p in parcels) if s.carrier is not None), NOTHING)
    carrier = sent.carrier or (order.created.carrier if order.created is not None else None)
    given_to = next((p.load.carrier for p in parcels if p.load is not None and p.load.carrier is not None), None)
    return {name: word for name, word in (("carrier", carrier), ("tracking", sent.tracking), ("given_to", given_to)) if word is not None}


def _missing(order: Order, contents: Contents, sku: str) -> int:
    packed = 0 if contents.is_unlisted else contents.packed.get(sku, 0)
    return order.lines[sku] - max(order.picked.get(sku, 0) - contents.gone.get(sku, 0), packed)


def _take_off(order: Order, missing: Mapping[str, int], *, gone: bool) -> str:
    """The command that takes what is missing off an order: all lines that remain have to be named."""
    remain = {sku: qty - missing.get(sku, 0) for sku, qty in order.lines.items() if qty > missing.get(sku, 0)}
    if not remain:
        return f"dockbridge orders cancel {shlex.quote(order.id)} --reason {'undeliverable' if gone else 'stock'}"
    return f"dockbridge orders amend {shlex.quote(order.id)}" + "".join(f" --line {shlex.quote(f'{sku}={qty}')}" for sku, qty in remain.items())


def _let_go(order: Order) -> str:
    verb = "confirm" if not order.holds else "release"
    return f"dockbridge orders {verb} {shlex.quote(order.id)}" + (" --all" if len(order.holds) > 1 else "")


def _listed(amounts: Mapping[str, int]) -> str:
    return ", ".join(f"{qty} x {sku}" for sku, qty in amounts.items())


def _names(template: str) -> set[str]:
    return {part.partition("}")[0] for part in template.split("{")[1:]}


def _sentence(text: str) -> str:
    return text if not text.startswith("the courier") else "T" + text[1:]


def _since_ms(whole: OrderFold, flag: Flag) -> int:
    """When a flag was last raised; of a flag that time raises, what it is counted from."""
    order = whole.order
    if flag is Flag.LATE_RISK and order.created is not None:
        promised = [ms for ms in (order.created.promise_ms, ship_by(order)) if ms is not None]
        return min([order.changed_ms, *promised])
    if flag in TIMED_FLAGS:
        return order.last[1]
    raised_by = FLAG_LIFE[flag].raised_by
    return max((f.event_ms for f in whole.facts if f.type in raised_by and whole.verdicts[f.uid].outcome in _COUNTED), default=order.changed_ms)


_WAITS_FOR: Final = {
    "order": ("{events} of it came before it was created", "The shop's import creates it.", "dockbridge orders import FILE --map MAP"),
    "code": ("{events} wait for the parcel with the label {ref}", "The desk says whose label it is.", "dockbridge parcels relabel ORDER {ref}"),
    "event": ("a void waits for event {ref}", "The device sends the event that it takes back.", ""),
}


def _events(site: SiteReader, limit: int) -> list[Waiting]:
    return [*_parked(site.queries.parked(limit=limit)), *_quarantined(site.queries.quarantine_groups(limit=limit))]


def _parked(rows: Iterable[Row]) -> Iterator[Waiting]:
    for row in rows:
        why, who, command = _WAITS_FOR[row["ref_kind"]]
        words = {"events": counted(row["events"], "event"), "ref": row["ref"]}
        order = row["ref"] if row["ref_kind"] == "order" else row["order_id"]
        filled = command.format(ref=shlex.quote(row["ref"])) or None
        yield Waiting(order=order, state=None, what="parked", why=why.format_map(words), since_ms=row["since_ms"], who=who, command=filled)


def _quarantined(rows: Iterable[Row]) -> Iterator[Waiting]:
    for row in rows:
        why = f"{counted(row['messages'], 'message')} of {row['device']} refused: {row['reason']}"
        who = "The desk looks at each, and replays it once its cause is gone, or drops it."
        command = f"dockbridge quarantine show {row['no']}"
        yield Waiting(order=None, state=None, what="quarantine", why=why, since_ms=row["since_ms"], who=who, command=command)
