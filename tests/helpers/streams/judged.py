"""What the judge's model of the law says of a stream, in the words of the product.

The two differ on purpose in a few words: the product says `unknown_parcel` with another next step where the model has three reasons, a filled or emptied
container is in no order of the product, and a faulty message never becomes an event.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from firmware_sim.checkers.model.codes.placing import places
from firmware_sim.checkers.model.codes.told import FILLING, Placing, Told, Verdict
from helpers.streams.settled import Answer, Comes, Uid
from helpers.streams.writing import CONTAINERS

_REASONS: Final = {**dict.fromkeys(("unknown_code", "scan_parcel", "container_empty"), "unknown_parcel"), "is_container": "container"}
_WARNS: Final = frozenset({"misload", "old_label", "label_moved", "article_scanned", "some_unknown"})


class Expected(NamedTuple):
    """Where an event must be. `verdict` is (outcome, reason), None if the order decides; `warns` is None if the event counts in no order."""

    orders: frozenset[str]
    verdict: tuple[str, str | None] | None = None
    warns: frozenset[str] | None = None

    def is_met_by(self, answer: Answer) -> bool:
        if self.orders != answer.order_ids or self.verdict not in (None, (answer.outcome, answer.reason)):
            return False
        return self.warns is None or (answer.refusal is None and self.warns == answer.warns & _WARNS)


def disagreements(comes: Comes, events: Sequence[Told]) -> dict[Uid, tuple[str, Expected, Answer]]:
    """The events that the product does not place or answer as the model does."""
    stored = [e for e in events if e.fault is None]
    assert comes.answers.keys() == {(e.device, e.id) for e in stored}
    found = {}
    for e, expected in _expected(stored):
        answer = comes.answers[e.device, e.id]
        if not expected.is_met_by(answer):
            found[e.device, e.id] = (e.type, expected, answer)
    return found


def _expected(stored: Sequence[Told]) -> list[tuple[Told, Expected]]:
    placings = places(stored, CONTAINERS)
    created = {e.order for e in stored if e.type == "created" and placings[e.device, e.id].verdict is not Verdict.VOIDED}
    return [(e, _void(e, stored, placings) if e.type == "void" else _event(e, placings[e.device, e.id], created)) for e in stored]


def _void(void: Told, stored: Sequence[Told], placings: Mapping[Uid, Placing]) -> Expected:
    """A void stands beside every event with the id that it names, even beside those that it may not void."""
    placing = placings[void.device, void.id]
    if placing.reason == "void_of_void":
        return Expected(frozenset(), ("rejected", placing.reason))
    named = [e for e in stored if e.id == void.body["ref"]]
    orders = frozenset().union(*(placings[e.device, e.id].orders for e in named if e.type not in FILLING))
    if len(named) > 1 and placing.verdict is Verdict.PLACED:
        return Expected(orders)  # two devices use the id: each order answers for its own event only
    outcome = {Verdict.PLACED: "applied", Verdict.PARKED: "parked", Verdict.REJECTED: "rejected"}[placing.verdict]
    return Expected(orders, (outcome, placing.reason))


def _event(e: Told, placing: Placing, created: set[str | None]) -> Expected:
    if placing.verdict is Verdict.VOIDED:
        return Expected(frozenset() if e.type in FILLING else placing.orders, ("rejected", "voided"))
    if e.type in FILLING:
        return Expected(frozenset())
    reason = _REASONS.get(placing.reason or "", placing.reason)
    if placing.verdict is Verdict.REJECTED:
        # Everything about an order waits until it is created.
        return Expected(placing.orders, ("rejected", reason) if placing.orders <= created else ("parked", "unknown_order"))
    if placing.verdict is Verdict.PARKED:
        return Expected(placing.orders, ("parked", reason))
    return Expected(placing.orders, warns=placing.warnings & _WARNS)
