"""Facts for the tests of the fold: one order with events made by hand (`Story`), and sets of facts for Hypothesis (`facts_of_an_order`)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

from hypothesis import strategies as st

from bridge.domain.access import MAY_SEND
from bridge.domain.facts import BRIDGE, DECIDED, Decided, Fact, Verdict, tone_of
from bridge.domain.fold import Added, OrderFold, fold
from bridge.domain.lifecycle import INSTRUCTIONS
from bridge.domain.order import Order, Parcel
from bridge.domain.order.promise import ship_by
from bridge.domain.view import OrderView, flags_of
from bridge.projections.consignments import consignment_of
from devices.protocol import bodies
from devices.protocol.bodies import Body, Line
from devices.protocol.vocabulary import EventType as E
from devices.protocol.vocabulary import Flag, Outcome, ParcelState, Reason, Role, Tone, Warn

T0: Final = 1_790_000_000_000
"""When every story begins, in ms since 1970."""
MINUTE: Final = 60_000
ORDER: Final = "PO 17/3"
MUG, LAMP = "04006381333931", "lamp"
LOG: Final = b"\x01" * 8

ROLE_OF: Final[dict[str, Role]] = {
    "shop": Role.SYSTEM,
    "carrier": Role.CARRIER,
    "desk": Role.DESK,
    "pack-1": Role.SCANNER,
    "dock-2": Role.SCANNER,
    "counter": Role.SCANNER,
    "phone-1": Role.COURIER,
    "phone-2": Role.COURIER,
}
"""All devices of these tests."""

COURIER_OF: Final = {"phone-1": "kim", "phone-2": "bo"}
"""The couriers to whom phones are bound."""
TERMS: Final = (None, "warn", "block_pick")
"""Rules for unpaid orders; None for an order of the first edition."""

SHIFT: Final = (E.SHIFT_STARTED, E.SHIFT_ENDED, E.BREAK_STARTED, E.BREAK_ENDED)

USUAL: Final[dict[E, str]] = (
    dict.fromkeys((E.CREATED, E.PAID, E.REFUNDED, E.APPROVED, E.COMPLETED, E.NOTE_ADDED), "shop")
    | dict.fromkeys((E.AMENDED, E.HELD, E.RELEASED, E.CANCELLED, E.ASSIGNED, E.UNASSIGNED, E.CASH_COUNTED), "desk")
    | dict.fromkeys((*SHIFT, E.PICK, E.PACK, E.UNPACK, E.LABELLED, E.AGGREGATED, E.DISAGGREGATED, E.DAMAGED, E.LOST, E.FOUND, E.VOID), "pack-1")
    | dict.fromkeys((E.STAGE, E.LOAD, E.UNLOAD, E.DEPART, E.ARRIVE, E.RETURNED, E.DESTROYED), "dock-2")
    | dict.fromkeys((E.CUSTOMS_ENTERED, E.CUSTOMS_HELD, E.CUSTOMS_CLEARED, E.BORDER_ENTERED), "carrier")
    | dict.fromkeys((E.CLAIM, E.DECLINE, E.PICKUP, E.OUT_FOR_DELIVERY, E.STOP_ARRIVED, E.ATTEMPT_FAILED, E.AVAILABLE_FOR_PICKUP), "phone-1")
    | dict.fromkeys((E.DELIVERY, E.REFUSED, E.RETURN_STARTED), "phone-1")
)
"""The device that usually sends an event type."""


def line(sku: str, qty: int = 1) -> Line:
    return Line(sku=sku, qty=qty)


def created(*lines: Line, **fields: Any) -> bodies.Created:
    """An order as a shop creates it. By default: one mug, prepaid, shipped all at once."""
    asked: dict[str, Any] = {"channel": "shop", "allow_partial": False, "payment": "prepaid", **fields}
    return bodies.Created(lines=list(lines) or [line(MUG)], **asked)


def because(reason: str = "asked") -> bodies.Because:
    return bodies.Because(reason=reason)


PLAIN_BODY: Final[dict[E, Body]] = {
    E.CREATED: created(),
    E.PAID: bodies.Paid(amount_minor=1999, currency="EUR"),
    E.REFUNDED: bodies.Refunded(amount_minor=1999, currency="EUR", reason="asked"),
    E.APPROVED: bodies.Nothing(),
    E.AMENDED: bodies.Amended(changed=["address"]),
    E.HELD: because("fraud"),
    E.RELEASED: bodies.Released(reason="fraud"),
    E.CANCELLED: bodies.Cancelled(reason="asked"),
    E.COMPLETED: bodies.Nothing(),
    E.NOTE_ADDED: bodies.NoteAdded(text="", audience="desk"),
    E.SHIFT_STARTED: bodies.ShiftStarted(worker="w-7"),
    E.SHIFT_ENDED: bodies.Nothing(),
    E.BREAK_STARTED: bodies.Nothing(),
    E.BREAK_ENDED: bodies.Nothing(),
    E.PICK: bodies.Pick(sku=MUG, qty=1),
    E.PACK: bodies.Pack(),
    E.UNPACK: because("wrong box"),
    E.LABELLED: bodies.Labelled(code="C1", kind="plain"),
    E.AGGREGATED: bodies.Aggregated(parent="CAGE-1", children=["C1"]),
    E.DISAGGREGATED: bodies.Disaggregated(parent="CAGE-1", all=True),
    E.STAGE: bodies.Stage(dock="D4"),
    E.LOAD: bodies.Load(vehicle="van-3"),
    E.UNLOAD: bodies.Unload(),
    E.DEPART: bodies.AtHub(hub="SHA"),
    E.ARRIVE: bodies.AtHub(hub="AMS"),
    E.CUSTOMS_ENTERED: bodies.CustomsEntered(country="NL", direction="import"),
    E.CUSTOMS_HELD: bodies.CustomsHeld(country="NL", reason="papers"),
    E.CUSTOMS_CLEARED: bodies.AtBorder(country="NL"),
    E.BORDER_ENTERED: bodies.AtBorder(country="NL"),
    E.ASSIGNED: bodies.Assigned(courier="kim", job="j1"),
    E.UNASSIGNED: bodies.Unassigned(job="j1", reason="ill"),
    E.CASH_COUNTED: bodies.CashCounted(courier="kim", amount_minor=1999, currency="EUR"),
    E.CLAIM: bodies.Claim(job="j1", rev=1),
    E.DECLINE: bodies.Decline(job="j1", reason="full"),
    E.PICKUP: bodies.Pickup(),
    E.OUT_FOR_DELIVERY: bodies.OutForDelivery(),
    E.STOP_ARRIVED: bodies.StopArrived(stop="s1"),
    E.ATTEMPT_FAILED: because("nobody home"),
    E.AVAILABLE_FOR_PICKUP: bodies.AvailableForPickup(point="kiosk"),
    E.DELIVERY: bodies.Delivery(pod=bodies.ProofOfDelivery(method="scan")),
    E.REFUSED: because("not ordered"),
    E.RETURN_STARTED: because("too small"),
    E.RETURNED: bodies.Returned(dock="R1"),
    E.DAMAGED: bodies.Damaged(severity="minor"),
    E.LOST: bodies.Nothing(),
    E.FOUND: bodies.Nothing(),
    E.DESTROYED: because("mould"),
}
"""A body for every type but `void`, which needs its reference."""


class Story:
    """One order, event by event. A minute passes between two events, unless `at_ms` says when an event happened.

    `tell` applies an event and returns the device's verdict. The events are kept in `facts`, so that a test can void one or apply all of them again.
    """

    def __init__(self, begins: bodies.Created | None = None, *, order: str = ORDER) -> None:
        self.fold = OrderFold(order)
        self.facts: list[Fact] = []
        self.now_ms = T0
        self.changed: dict[tuple[str, bytes], Verdict] = {}
        self._seqs: dict[str, int] = {}
        if begins is not None:
            self.tell(E.CREATED, begins)

    def tell(self, event: E, body: Body | None = None, *, by: str | None = None, at_ms: int | None = None, **named: Any) -> Verdict:
        return self.take(self.made(event, body, by=by, at_ms=at_ms, **named)).verdict

    def tell_all(self, *events: E) -> None:
        """Tells events with their plain bodies; each must be applied."""
        for event in events:
            verdict = self.tell(event)
            assert verdict.outcome is Outcome.APPLIED, (event, verdict)

    def made(self, event: E, body: Body | None = None, *, by: str | None = None, at_ms: int | None = None, **named: Any) -> Fact:
        """A fact that is not applied yet: a test may apply it later, or never."""
        self.now_ms += MINUTE
        device = by or USUAL[event]
        seq = self._seqs[device] = self._seqs.get(device, 0) + 1
        if event in INSTRUCTIONS:
            assert at_ms is None, "an instruction binds from when it is known"
        is_misload = named.pop("misload", False)
        fact = Fact(
            id=(len(self.facts) + 1).to_bytes(16, "big"),
            device=device,
            role=ROLE_OF[device],
            type=event,
            log=named.pop("log", LOG),
            seq=seq,
            event_ms=self.now_ms if at_ms is None else at_ms,
            received_ms=self.now_ms,
            body=PLAIN_BODY[event] if body is None else body,
            **named,
        )
        fact.warn = (Warn.MISLOAD,) if is_misload else ()
        self.facts.append(fact)
        return fact

    def take(self, fact: Fact) -> Added:
        folded = self.fold.add(fact)
        self.changed = folded.changed
        return folded

    def void(self, fact: Fact, *, by: str | None = None) -> Verdict:
        return self.tell(E.VOID, bodies.Void(ref=fact.id, reason="did_not_occur"), by=by or fact.device)

    def decide(self, claim: Fact, outcome: Outcome, reason: Reason | None = None) -> Verdict:
        """The bridge's decision about a courier's answer."""
        fact = decided(claim, outcome, reason)
        self.facts.append(fact)
        return self.take(fact).verdict

    @property
    def last(self) -> Fact:
        return self.facts[-1]

    @property
    def order(self) -> Order:
        return self.fold.order

    @property
    def state(self) -> str:
        return self.order.state_word

    @property
    def flags(self) -> set[Flag]:
        return flags_of(self.order)

    @property
    def parcels(self) -> dict[str, ParcelState]:
        return {p.id: p.state for p in self.order.parcels.values()}

    @property
    def parcel(self) -> Parcel:
        """The one parcel of this order."""
        (only,) = self.order.parcels.values()
        return only

    @property
    def milestones(self) -> dict[str, bool]:
        """Milestones of the order, in their sequence; True if a milestone was only inferred."""
        return {m["state"]: m.get("inferred", False) for m in OrderView(self.order).core["milestones"]}


def decided(answer: Fact, outcome: Outcome, reason: Reason | None = None) -> Fact:
    """The bridge's own event about a claim or a refusal."""
    assert isinstance(answer.body, bodies.Claim | bodies.Decline)
    body = Decided(device=answer.device, ref=answer.id, job=answer.body.job, answer=answer.type, outcome=outcome, reason=reason)
    return Fact(
        id=b"decided" + answer.id[7:],
        device=BRIDGE,
        role=BRIDGE,
        type=DECIDED,
        log=bytes(8),
        seq=answer.seq,
        event_ms=answer.received_ms,
        received_ms=answer.received_ms,
        body=body,
    )


def outcome_and_tone(verdict: Verdict) -> tuple[Outcome, Tone, tuple[Warn, ...]]:
    return verdict.outcome, tone_of(verdict), verdict.warn


def fresh(facts: Iterable[Fact]) -> list[Fact]:
    """The same facts as if they were read from the event log again: not yet placed by any fold."""
    twins = [f.copy() for f in facts]
    for twin in twins:
        twin.place(twin.event_ms)
    return twins


Seen = tuple[tuple[object, ...], str, dict[tuple[str, bytes], Verdict]]


def seen(whole: OrderFold) -> Seen:
    """Everything that must not depend on arrival: hash and what carriers are asked about, state, and verdicts."""
    order = whole.order
    consignments = [consignment_of(order, p) for p in sorted(order.parcels.values(), key=lambda p: p.id)]
    return (OrderView(order).hash, ship_by(order), *consignments), order.state_word, dict(whole.verdicts)


def seen_at_once(facts: Iterable[Fact]) -> Seen:
    return seen(fold(ORDER, fresh(facts)))


# --- sets of facts --------------------------------------------------------------------------------------------------------

PARCELS: Final = (None, None, "p1", "p2")
CODES: Final = (None, None, None, "C1", "C2")
LOGS: Final = (b"\x01" * 8, b"\x02" * 8)
STEP_MS: Final = 700
"""Times are multiples of this, so that some scans are within the debounce time of each other."""

_SENDERS: Final = {e: tuple(d for d, role in ROLE_OF.items() if e in MAY_SEND[role]) for e in E}

_BODIES: Final[dict[E, tuple[Body, ...]]] = {e: (b,) for e, b in PLAIN_BODY.items()} | {
    E.CREATED: (
        created(line(MUG, 2), line(LAMP), dest_country="NL", carrier="DHL", service="express"),
        created(line(MUG), allow_partial=True, payment="on_delivery", promise_ms=T0 + 9_000),
        created(line(MUG, 2), line(LAMP), payment="on_delivery", amount_minor=1999, currency="EUR"),
    ),
    E.AMENDED: (
        bodies.Amended(changed=["address"]),
        bodies.Amended(changed=["lines"], lines=[line(MUG), line(LAMP)]),
        bodies.Amended(changed=["carrier"], carrier="GLS", tracking="T-1"),
        bodies.Amended(changed=["carrier"], carrier="DHL"),
    ),
    E.LABELLED: (
        bodies.Labelled(code="C1", kind="sscc"),
        bodies.Labelled(code="C1", kind="waybill", carrier="GLS", service="eco"),
        bodies.Labelled(code="C1", kind="waybill"),
    ),
    E.LOAD: (bodies.Load(vehicle="V1"), bodies.Load(vehicle="V1", carrier="dhl"), bodies.Load(vehicle="V1", carrier="GLS")),
    E.PICKUP: (bodies.Pickup(), bodies.Pickup(carrier="DHL")),
    E.HELD: (because("fraud"), because("stock")),
    E.RELEASED: (bodies.Released(reason="fraud"), bodies.Released(reason="stock"), bodies.Released(), bodies.Released(all=True)),
    E.CANCELLED: (bodies.Cancelled(reason="asked"), bodies.Cancelled(reason="asked", since_ms=T0 + 3_000)),
    E.PAID: (bodies.Paid(amount_minor=1999, currency="EUR"), bodies.Paid(amount_minor=1, currency="EUR")),
    E.ASSIGNED: (bodies.Assigned(courier="kim", job="j1"), bodies.Assigned(courier="bo", job="j2"), bodies.Assigned(courier="kim")),
    E.RETURNED: (bodies.Returned(dock="R1"), bodies.Returned(dock="R1", items=[line(MUG)]), bodies.Returned(dock="R1", items=[line(LAMP)])),
    E.PICK: (bodies.Pick(sku=MUG, qty=1), bodies.Pick(sku=LAMP, qty=1), bodies.Pick(sku=LAMP, qty=1, short=True), bodies.Pick(sku="hat", qty=1)),
    E.PACK: (bodies.Pack(), bodies.Pack(items=[line(MUG, 2)]), bodies.Pack(items=[line(LAMP)]), bodies.Pack(items=[line(MUG, 2), line(LAMP)])),
    E.ARRIVE: (bodies.AtHub(hub="AMS"), bodies.AtHub(hub="RTM")),
    E.CUSTOMS_ENTERED: (bodies.CustomsEntered(country="CN", direction="export"), bodies.CustomsEntered(country="NL", direction="import")),
    E.CUSTOMS_CLEARED: (bodies.AtBorder(country="CN"), bodies.AtBorder(country="NL")),
    E.DELIVERY: (
        bodies.Delivery(pod=bodies.ProofOfDelivery(method="pin")),
        bodies.Delivery(pod=bodies.ProofOfDelivery(method="none"), collected=bodies.Collected(amount_minor=1, currency="EUR", tender="cash")),
    ),
    E.DAMAGED: (bodies.Damaged(severity="minor"), bodies.Damaged(severity="total")),
}

_WAY: Final = (
    *(E.PAID, E.APPROVED, E.PICK, E.PICK, E.PACK, E.LABELLED, E.STAGE, E.LOAD, E.DEPART, E.CUSTOMS_ENTERED, E.CUSTOMS_CLEARED, E.ARRIVE),
    *(E.CUSTOMS_ENTERED, E.CUSTOMS_HELD, E.CUSTOMS_CLEARED, E.BORDER_ENTERED, E.ASSIGNED, E.CLAIM, E.PICKUP, E.OUT_FOR_DELIVERY, E.STOP_ARRIVED),
    *(E.ATTEMPT_FAILED, E.ARRIVE, E.OUT_FOR_DELIVERY, E.DELIVERY, E.COMPLETED, E.RETURN_STARTED, E.RETURNED),
)
"""The whole life of an order. Real histories are parts of it, with unusual events in between."""

_NEVER_IN_AN_ORDER: Final = (*SHIFT, E.AGGREGATED, E.DISAGGREGATED, E.CASH_COUNTED)
_ODD: Final = tuple(e for e in E if e not in (E.CREATED, E.VOID, *_NEVER_IN_AN_ORDER))
_ANSWERS: Final = ((Outcome.APPLIED, None), (Outcome.NOOP, None), (Outcome.LOST_CLAIM, Reason.STALE_REV), (Outcome.REJECTED, Reason.JOB_CLOSED))
_NUMBER: Final = st.integers(0, 11)


@st.composite
def _plan(draw: st.DrawFn, most: int) -> list[tuple[E, int]]:
    """Event types, each with its place in time: parts of the usual way in sequence, and unusual ones anywhere."""
    kept = draw(st.sets(st.integers(0, len(_WAY) - 1), max_size=most))
    way = [(_WAY[place], 2 * (nth + 1)) for nth, place in enumerate(sorted(kept))]
    odd = draw(st.lists(st.tuples(st.sampled_from(_ODD), st.integers(0, 2 * most)), max_size=6))
    return draw(st.permutations(way + odd))


@st.composite
def facts_of_an_order(draw: st.DrawFn, *, most: int = 12, creations: int = 2, voids: bool = True) -> list[Fact]:
    """The events of several devices about one order, in the sequence in which the devices recorded them.

    Every device log is numbered without a gap, and some numbers are used again. Clocks differ by seconds and sometimes run backwards; some events are faulty,
    some are voided, claims may have been decided. With `creations=0` the order stays unknown.
    """
    plan = draw(_plan(most)) + [(E.CREATED, 0)] * draw(st.integers(min(1, creations), creations))
    skews = [draw(st.integers(-3, 3)) for _ in ROLE_OF]
    seqs: dict[tuple[str, bytes], int] = {}
    facts: list[Fact] = []
    for event, place in plan:
        who, which, parcel, code, oddity = draw(st.tuples(_NUMBER, _NUMBER, st.sampled_from(PARCELS), st.sampled_from(CODES), _NUMBER))
        device = _SENDERS[event][who % len(_SENDERS[event])]
        log = LOGS[oddity == 1]
        last = seqs.get((device, log), 0)
        restored = oddity == 5 and last > 0  # its outbox was restored from a backup: it gives its first number out again
        seq = 1 if restored else last + 1
        seqs[(device, log)] = max(last, seq)
        event_ms = T0 + STEP_MS * (10 + place + skews[list(ROLE_OF).index(device)])
        facts.append(
            Fact(
                id=(len(facts) + 1).to_bytes(16, "big"),
                device=device,
                role=ROLE_OF[device],
                type=event,
                log=log,
                seq=seq,
                event_ms=event_ms,
                received_ms=event_ms,
                body=_BODIES[event][which % len(_BODIES[event])],
                parcel=parcel,
                code=None if event is E.PICK else code,
                at="hall" if oddity == 2 else None,
                courier=COURIER_OF.get(device),
                terms=TERMS[which % len(TERMS)] if event is E.CREATED else None,
                fault=Reason.UNREADABLE_CODE.value if oddity == 3 else None,
                carrier="GLS" if event is E.LOAD and oddity == 6 else None,
                pickups=f"DHL={T0 + place}\nGLS={T0 + 2 * place}" if event in (E.CREATED, E.PAID, E.AMENDED) and oddity != 7 else None,
                seq_reused=restored,
            ),
        )
        facts[-1].warn = (Warn.MISLOAD,) if oddity == 4 else ()
        if event in (E.CLAIM, E.DECLINE) and which < 8:
            facts.append(decided(facts[-1], *_ANSWERS[which % 4]))
    return facts + draw(_voids(facts)) if voids else facts


@st.composite
def _voids(draw: st.DrawFn, facts: Sequence[Fact]) -> list[Fact]:
    """Voids of some of the facts, of unknown events and of other voids, sent by any device."""
    made: list[Fact] = []
    refs = [f.id for f in facts if f.type != DECIDED] + [b"nobody knows me!"]
    for nth in range(draw(st.integers(0, 2))):
        ref = draw(st.sampled_from([*refs, *(v.id for v in made)]))
        device = draw(st.sampled_from(list(ROLE_OF)))
        made.append(void(ref, device, nth))
    return made


def void(ref: bytes, device: str, nth: int = 0) -> Fact:
    """A void from a separate device log."""
    return Fact(
        id=b"void" + nth.to_bytes(12, "big"),
        device=device,
        role=ROLE_OF[device],
        type=E.VOID,
        log=b"\x09" * 8,
        seq=nth + 1,
        event_ms=T0,
        received_ms=T0,
        body=bodies.Void(ref=ref, reason="incorrect_data"),
    )
