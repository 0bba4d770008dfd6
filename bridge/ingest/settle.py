"""One batch, one transaction: decode, skip what is known, fix the time, append, fold, and collect what is to be shown.

`settle` is the whole of it. It knows no clock and no database: time comes with each message, tables are reached through `ports.Transaction`.
The caller commits, then shows `Settled.messages`, then acknowledges.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import cbor2

from bridge.domain import event_time, jobs
from bridge.domain.access import Identity
from bridge.domain.event_time import EventTime
from bridge.domain.facts import DECIDED, Decided, Fact, Verdict, refusal, same_answer, tone_of
from bridge.domain.jobs import Decision, Job
from bridge.domain.ledger import Ledger
from bridge.domain.lifecycle import INSTRUCTIONS
from bridge.domain.order import Order
from bridge.domain.view import SETTLED, OrderView, digest8, timed_flags
from bridge.ingest.memory import DeviceEntry, Memory, OrderEntry
from bridge.ingest.placing import LABELS, Directory, Placement, place
from bridge.ingest.ports import (
    Alarm,
    AlertRow,
    Change,
    EventRow,
    Incoming,
    Item,
    LedgerRow,
    Message,
    OpenJobs,
    OrderRow,
    ParcelRow,
    ParkedRow,
    PositionRow,
    QuarantineRow,
    ReceiptRow,
    Settled,
    StatusLogRow,
    StoredReceipt,
    Transaction,
    Writes,
)
from bridge.ingest.rows import (
    BRIDGE_LOG,
    DETAIL_CHARS_MAX,
    alert_plain,
    decided_row,
    fact_of,
    once_more,
    receipt_cbor,
    same_content,
)
from bridge.words import counted
from devices.protocol import bodies, messages
from devices.protocol.messages import Event, LocationBatch, PayloadError, Presence
from devices.protocol.topics import Topics
from devices.protocol.vocabulary import AlertCode, EventType, Flag, OrderState, Outcome, ParcelState, Reason, Role, Severity, Warn

BY_SEQ: Final = frozenset({Role.SCANNER, Role.COURIER})
"""Roles whose seq is a promise, kept in a ledger. Systems and desks retry and reshuffle, and owe nothing by number.

A number of a log that is used again for another event is `id_reused` for these roles only. For a system, only the id says what is the same event: the
import of a shop's file has a log for each order, more than there can be ledgers, and the event log has no index by number.
"""
_CLOCK_SAVE_MS: Final = 600_000
NAME_CHARS_MAX: Final = 96
LOGS_MAX: Final = 64
"""Logs of one device that a ledger is kept for; each new outbox makes one."""
SWEEP_ORDERS_MAX: Final = 500
"""Orders that one sweep looks at; the rest waits for the next."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What a site decides about ingest; see `config/bridge.toml` for the sentences."""

    site: str
    order_events_max: int = 2_000
    parked_deadline_ms: int = 86_400_000
    silent_after_ms: int = 259_200_000
    status_keep_ms: int = 2_592_000_000
    gap_alert_after_ms: int = 600_000
    position_every_ms: int = 10_000
    positions_keep_ms: int = 2_592_000_000
    quarantine_entries_max: int = 10_000
    encode: Callable[[Any], bytes] = cbor2.dumps
    """How published payloads are encoded; maps come with their keys in deterministic order."""
    is_lab: bool = False
    """A laboratory publishes nothing of its own: who reads `#` there hears what its guests published."""


def settle(batch: Sequence[Item], tx: Transaction, memory: Memory, rules: Rules) -> Settled:
    """Settle a batch inside an open transaction.

    Raises:
        Exception: whatever a poisonous message or a failing store causes; nothing is committed then, and `memory` must be told to forget.
    """
    work = _Batch(tx, memory, rules, now_ms=max(i.received_ms for i in batch))
    work.take(batch)
    return work.finish()


def sweep(now_ms: int, tx: Transaction, memory: Memory, rules: Rules) -> Settled:
    """What changes only because time passes: timed flags, statuses that were kept long enough, and alerts about what is missing."""
    work = _Batch(tx, memory, rules, now_ms=now_ms)
    due = tx.due_orders(now_ms, SWEEP_ORDERS_MAX)
    memory.load_orders(set(due), tx)
    work.dirty = {o: memory.order(o, tx) for o in due}
    tx.trim(quarantine_entries_max=rules.quarantine_entries_max, positions_before_ms=now_ms - rules.positions_keep_ms)
    work.look_for_missing()
    return work.finish()


def show_jobs(now_ms: int, tx: Transaction, memory: Memory, rules: Rules) -> OpenJobs:
    """Every open job as it stands, to be retained at the start of the server. Nothing of it is new to anybody: nothing is written."""
    work = _Batch(tx, memory, rules, now_ms=now_ms)
    for job in memory.jobs.values():
        work.show_job(job)
    return OpenJobs(list(memory.jobs.values()), [m for m in work.shown if isinstance(m, Message)])


def everybody_is_away(now_ms: int, tx: Transaction, memory: Memory, rules: Rules) -> Settled:
    """At the start of the server nobody is connected, whatever presences said when the last one ended."""
    work = _Batch(tx, memory, rules, now_ms=now_ms)
    for topic, payload, _ in tx.retained():
        if topic.startswith(work.topics.base) and topic.endswith("/presence"):
            work.show_absence(topic, payload)
    work.forget_logins()
    return work.finish()


class _Answer:
    """The receipt of one event while its batch is not finished; `rev` and what is left are known only at the end."""

    __slots__ = ("detail", "device", "entry", "event_id", "left", "log", "n", "pos", "seq", "verdict")

    def __init__(
        self,
        *,
        device: str,
        pos: int,
        event_id: bytes,
        log: bytes,
        seq: int,
        n: int,
        verdict: Verdict,
        entry: OrderEntry | None,
        detail: str | None = None,
        left: bool = False,
    ) -> None:
        self.device = device
        self.pos = pos
        self.event_id = event_id
        self.log = log
        self.seq = seq
        self.n = n
        self.verdict = verdict
        self.entry = entry
        self.detail = detail
        self.left = left


class _Sent(NamedTuple):
    """A receipt that is sent and not stored: of a message that never becomes an event, and of one that came before."""

    device: str
    receipt: bytes


class _Seen(NamedTuple):
    """An event that came earlier in the same batch."""

    type: str
    payload: bytes
    answer: _Answer


class _Batch:
    """The work on one batch. `take` reads messages in their order, `finish` builds what is shown and writes every table."""

    def __init__(self, tx: Transaction, memory: Memory, rules: Rules, *, now_ms: int) -> None:
        self.tx = tx
        self.memory = memory
        self.rules = rules
        self.topics = Topics(rules.site)
        self.now_ms = now_ms
        self.writes = Writes()
        self.dirty: dict[str, OrderEntry] = {}
        self.devices: dict[str, DeviceEntry] = {}
        self.ledgers: dict[tuple[str, bytes], Ledger] = {}
        self.seen: dict[tuple[str, bytes], _Seen] = {}
        self.labels: dict[str, str] = {}
        self.freed: set[str] = set()
        self.events: dict[bytes, str] = {}
        self.changed_jobs: dict[str, Job] = {}
        self.couriers: dict[str, str | None] = {}
        self.receipt_topics: dict[str, str] = {}
        self.answers: list[_Answer | _Sent | None] = []
        self.second: dict[int, _Answer] = {}
        self.shown: list[Message | Change] = []
        memory.load(tx)

    # --- messages in ------------------------------------------------------------------------------------------------------

    def take(self, batch: Sequence[Item]) -> None:
        decoded = [self._decode(i) if isinstance(i, Incoming) else i for i in batch]
        events = [d for d in decoded if isinstance(d, Event)]
        self.known = self.tx.known([e.id for e in events]) if events else {}
        self.memory.load_orders({e.order for e in events if e.order is not None}, self.tx)
        for item, message in zip(batch, decoded, strict=True):
            if isinstance(item, Incoming):
                if item.sid and item.packet_id:
                    self.writes.incoming_ids.append((item.sid, item.packet_id))
                self.answers.append(self._message(item, message))
            else:
                self._change(item)
                self.answers.append(None)

    def _directory(self) -> Directory:
        # Made anew each time: a batch that held it would be a cycle, and its payloads would stay until the collector comes, which is rarely.
        return Directory(self._order_of_code, self._order_known, self._order_of_event, self._order_of_job)

    def _message(self, incoming: Incoming, message: object) -> _Answer | _Sent | None:
        match message:
            case Event():
                return self._event(incoming, message)
            case Presence():
                self._presence(incoming, message)
            case LocationBatch():
                self._location(incoming, message)
            case None:
                self._plain(incoming)
            case (Reason() as reason, str(detail)):
                self._count_refused(incoming)
                return self._refuse(incoming, reason, detail)
        return None

    def _plain(self, incoming: Incoming) -> None:
        """A message outside v1/: none of ours, and as durable as ours."""
        if incoming.retain:
            self.writes.retained[incoming.topic] = (incoming.payload, incoming.qos)
        self.shown.append(Message(incoming.topic, incoming.payload, incoming.qos, incoming.retain))

    def _change(self, change: Change) -> None:
        if isinstance(change, Alarm):
            if change.text:
                self._raise_alert(AlertCode(change.code), change.subject, Severity.WARNING, change.text, change.fix)
            else:
                self._clear_alert(AlertCode(change.code), change.subject)
        self.shown.append(change)

    def _decode(self, incoming: Incoming) -> Event[bodies.Body] | Presence | LocationBatch | tuple[Reason, str] | None:
        if incoming.kind == "plain":
            return None
        if incoming.kind == "poison":
            return Reason.POISON, incoming.detail or ""
        if incoming.kind == "denied":
            reason = Reason.UNKNOWN_TYPE if incoming.detail and incoming.detail.startswith("there is no event type") else Reason.FORBIDDEN
            return reason, incoming.detail or ""
        try:
            if incoming.kind == "events":
                return messages.decode_event(incoming.payload, _TYPES[incoming.event_type or ""])
            if incoming.kind == "presence":
                return messages.decode(incoming.payload, Presence)
            return messages.decode(incoming.payload, LocationBatch)
        except PayloadError as error:
            return Reason.MALFORMED, str(error)

    # --- one event --------------------------------------------------------------------------------------------------------

    def _event(self, incoming: Incoming, event: Event[bodies.Body]) -> _Answer | _Sent:
        device = incoming.identity.device
        uid = (device, event.id)
        if (twin := self.seen.get(uid)) is not None:
            if twin.type != incoming.event_type or not same_content(twin.payload, incoming.payload):
                return self._refuse(incoming, Reason.ID_REUSED, "this id was used for another event", event)
            return twin.answer
        if (stored := self.known.get(uid)) is not None:
            return self._again(incoming, event, stored)
        self.couriers[device] = incoming.identity.courier
        entry = self._device(device)
        ledger = self._ledger(entry, device, event.log) if incoming.identity.role in BY_SEQ else Ledger()
        if event.seq in ledger and not ledger.forgotten:
            return self._refuse(incoming, Reason.ID_REUSED, f"seq {event.seq} of this log was used for another event", event)
        event_type = _TYPES[incoming.event_type or ""]
        when = self._when(incoming, event, event_type, entry)
        ledger.add(event.seq)
        placement = self._bounded(place(event, event_type, self._directory()))
        if isinstance(event.body, bodies.Assigned) and placement.order_id is not None and self._job_is_full(event.body, placement.order_id):
            placement = Placement(None, fault=Reason.TOO_MANY_EVENTS, detail=f"job {event.body.job} has {jobs.ORDERS_MAX} orders")
        row = self._append(incoming, event, event_type, when, placement)
        answer = self._apply(row, event.body, placement, event.parcel)
        if when.jumped:
            answer.verdict = answer.verdict._replace(warn=(*answer.verdict.warn, Warn.CLOCK_JUMP))
        self.seen[uid] = _Seen(event_type, incoming.payload, answer)
        return answer

    def _bounded(self, placement: Placement) -> Placement:
        """An order takes so many events and no more: what comes beyond stands in the log alone, so that no fold ever meets it."""
        if placement.order_id is None or self.memory.order(placement.order_id, self.tx).fold.size < self.rules.order_events_max:
            return placement
        detail = f"order {placement.order_id} has {self.rules.order_events_max} events (orders.events_max)"
        return Placement(None, fault=Reason.TOO_MANY_EVENTS, detail=detail)

    def _when(self, incoming: Incoming, event: Event[bodies.Body], event_type: EventType, entry: DeviceEntry) -> EventTime:
        received_ms = incoming.received_ms
        if event_type in INSTRUCTIONS:
            return event_time.instruction_time(received_ms=received_ms)
        if incoming.identity.role not in BY_SEQ:
            return event_time.system_time(at_ms=event.at_ms, received_ms=received_ms)
        entry.clock.heard(boot=event.sent_boot, sent_mono_ms=event.sent_mono_ms, received_ms=received_ms)
        if event.sent_boot == event.boot:
            entry.clock.wall(at_ms=event.at_ms + event.sent_mono_ms - event.mono_ms, received_ms=received_ms)
        return entry.clock.time_of(boot=event.boot, mono_ms=event.mono_ms, at_ms=event.at_ms, received_ms=received_ms)

    def _append(self, incoming: Incoming, event: Event[bodies.Body], event_type: EventType, when: EventTime, placement: Placement) -> EventRow:
        identity = incoming.identity
        row = EventRow(
            self._next_pos(),
            event.id,
            identity.device,
            identity.role,
            event_type,
            event.log,
            event.seq,
            incoming.received_ms,
            when.event_ms,
            when.source,
            when.error_ms,
            placement.order_id,
            placement.code,
            event.at or identity.at,
            placement.fault.value if placement.fault else None,
            placement.misload,
            incoming.payload,
        )
        self.writes.events.append(row)
        return row

    def _next_pos(self) -> int:
        pos = self.memory.next_pos
        self.memory.next_pos = pos + 1
        return pos

    def _apply(self, row: EventRow, body: bodies.Body, placement: Placement, parcel: str | None) -> _Answer:
        """Take a stored event into its order; the answer is its receipt."""
        if placement.awaits is not None:
            return self._park(row, placement.awaits)
        if row.order_id is None:
            return self._without_order(row, placement)
        if placement.label and placement.code is not None:
            self._put_label(placement.code, row)
        if row.type in _JOB_EVENTS:
            self._job_event(row, body)
        answer = self._fold(row, body, parcel, row.order_id)
        answer.detail = placement.detail
        # Known from here on: what waited for this event may change its verdict before its receipt is written.
        self.seen[(row.device, row.id)] = _Seen(row.type, row.payload, answer)
        if placement.label and answer.verdict.outcome in (Outcome.REJECTED, Outcome.BLOCKED):
            self._take_label(row)
        self.events[row.id] = row.order_id
        if self.memory.awaited:
            self._place_waiting(f"event:{row.id.hex()}", row.order_id)
        return answer

    def _without_order(self, row: EventRow, placement: Placement) -> _Answer:
        if placement.fault is None:
            return self._answer(row, Verdict(Outcome.APPLIED), None)
        answer = self._answer(row, refusal(Outcome.REJECTED, placement.fault), None)
        answer.detail = placement.detail
        self._quarantine_row(row, placement.fault, placement.detail or "")
        return answer

    def _answer(self, row: EventRow, verdict: Verdict, entry: OrderEntry | None, n: int = 1) -> _Answer:
        return _Answer(
            device=row.device,
            pos=row.pos,
            event_id=row.id,
            log=row.log,
            seq=row.seq,
            n=n,
            verdict=verdict,
            entry=entry,
            left=row.type in _COUNTS,
        )

    # --- the fold ---------------------------------------------------------------------------------------------------------

    def _fold(self, row: EventRow, body: bodies.Body | Decided, parcel: str | None, order_id: str) -> _Answer:
        entry = self.memory.order(order_id, self.tx)
        fold = entry.fold
        fact = fact_of(row, body, parcel)
        existed = fold.exists
        folded = fold.add(fact)
        self.dirty[order_id] = entry
        if folded.changed:
            self._reconsider(entry, folded.changed)
        if fold.exists and not existed:
            self._place_waiting(f"code:{order_id}", order_id)
        verdict = folded.verdict
        if row.type == DECIDED:
            pass  # the bridge's own; nobody waits for it
        elif verdict.outcome is Outcome.PARKED:
            ref = f"code:{row.code}" if verdict.reason is Reason.UNKNOWN_PARCEL else f"order:{order_id}"
            self.writes.parked[row.pos] = self._parked_row(row, ref, order_id)
        elif verdict.outcome is Outcome.REJECTED and verdict.reason is not Reason.VOIDED:
            self._quarantine_row(row, verdict.reason or Reason.MALFORMED, "")
        return self._answer(row, verdict, entry)

    def _reconsider(self, entry: OrderEntry, changed: dict[tuple[str, bytes], Verdict]) -> None:
        """Other events of the order have another verdict now: those whose outcome differs get a second receipt."""
        facts = {f.uid: f for f in (*entry.fold.facts, *entry.fold.voids) if f.uid in changed and f.type != DECIDED}
        stored = self.tx.receipts_of([f.pos for f in facts.values() if f.pos not in self.second])
        for uid, fact in facts.items():
            verdict = changed[uid]
            fresh = self.seen.get(uid)
            earlier = self.second.get(fact.pos) or (fresh.answer if fresh else None)
            if earlier is not None:
                told: tuple[str, str | None, int] = (earlier.verdict.outcome, earlier.verdict.reason, earlier.n)
            elif fact.pos in stored:
                told = (stored[fact.pos].outcome, stored[fact.pos].reason, stored[fact.pos].n)
            else:
                continue
            if same_answer(told[0], told[1], verdict):
                continue
            if earlier is not None:
                # Not told yet: the one receipt that goes out says how it ends.
                earlier.verdict = verdict
            else:
                self.second[fact.pos] = _Answer(
                    device=fact.device,
                    pos=fact.pos,
                    event_id=fact.id,
                    log=fact.log,
                    seq=fact.seq,
                    n=told[2] + 1,
                    verdict=verdict,
                    entry=entry,
                )
            if told[0] == Outcome.PARKED:
                self.writes.parked.pop(fact.pos, None)
                self.writes.unparked.add(fact.pos)
            if verdict.outcome is Outcome.PARKED:
                deadline_ms = self.now_ms + self.rules.parked_deadline_ms
                self.writes.parked[fact.pos] = ParkedRow(fact.pos, f"order:{entry.fold.id}", entry.fold.id, self.now_ms, deadline_ms)
            if told[0] == Outcome.REJECTED:
                self.writes.unquarantined.add(fact.pos)
            if verdict.outcome in (Outcome.REJECTED, Outcome.BLOCKED):
                self._take_label(fact)
            if verdict.reason is Reason.VOIDED:
                pass  # it never happened, and is no trouble to anybody
            elif verdict.outcome is Outcome.REJECTED and verdict.reason is not None:
                row = QuarantineRow(fact.device, fact.type, fact.received_ms, verdict.reason, "", b"", fact.pos, b"")
                self.writes.quarantine.append(row)

    # --- waiting ----------------------------------------------------------------------------------------------------------

    def _parked_row(self, row: EventRow, ref: str, order_id: str | None) -> ParkedRow:
        return ParkedRow(row.pos, ref, order_id, row.received_ms, row.received_ms + self.rules.parked_deadline_ms)

    def _park(self, row: EventRow, ref: str) -> _Answer:
        self.writes.parked[row.pos] = self._parked_row(row, ref, None)
        self.memory.awaited.add(ref)
        reason = Reason.UNKNOWN_REFERENCE if ref.startswith("event:") else Reason.UNKNOWN_PARCEL
        return self._answer(row, refusal(Outcome.PARKED, reason), None)

    def _take_label(self, fact: Fact | EventRow) -> None:
        """The event that put a code on a parcel never happened, or did not count: the code is free again."""
        if fact.code is not None and fact.type in LABELS:
            self.writes.labels = [label for label in self.writes.labels if label[2] != fact.pos]
            self.writes.labels_gone.append((fact.pos,))
            self.labels.pop(fact.code, None)
            self.freed.add(fact.code)

    def _put_label(self, code: str, row: EventRow) -> None:
        assert row.order_id is not None
        self.labels[code] = row.order_id
        self.writes.labels.append((code, row.order_id, row.pos))
        self._place_waiting(f"code:{code}", row.order_id)

    def _place_waiting(self, ref: str, order_id: str) -> None:
        """What these events waited for has come: they take their places in the order, and so does what waited for them."""
        if ref not in self.memory.awaited:
            return
        self.memory.awaited.discard(ref)
        here = {r.pos: r for r in self.writes.events}
        rows = [here[p.pos] for p in self.writes.parked.values() if p.ref == ref and p.order_id is None and p.pos in here]
        for row in (*self.tx.waiting_for(ref), *rows):
            event = messages.decode_event(row.payload, EventType(row.type))
            self.writes.placed.append((row.pos, order_id))
            self.writes.parked.pop(row.pos, None)
            self.writes.unparked.add(row.pos)
            told = self.seen.get((row.device, row.id))
            answer = self._fold(row, event.body, event.parcel, order_id)
            self.events[row.id] = order_id
            if told is not None:
                told.answer.verdict, told.answer.entry = answer.verdict, answer.entry
            else:
                answer.n = self.tx.receipts_of([row.pos])[row.pos].n + 1
                self.second[row.pos] = answer
            self._place_waiting(f"event:{row.id.hex()}", order_id)

    # --- look-ups for placing ---------------------------------------------------------------------------------------------

    def _order_of_code(self, code: str) -> str | None:
        return self.labels.get(code) or (None if code in self.freed else self.tx.label_order(code))

    def _order_known(self, order_id: str) -> bool:
        return len(order_id) <= 96 and self.memory.order(order_id, self.tx).fold.exists

    def _order_of_event(self, event_id: bytes) -> str | None:
        return self.events.get(event_id) or self.tx.event_order(event_id)

    def _order_of_job(self, job_id: str) -> str | None:
        job = self._job(job_id)
        return job.orders[0] if job is not None and job.orders else None

    # --- jobs -------------------------------------------------------------------------------------------------------------

    def _job(self, job_id: str) -> Job | None:
        return self.changed_jobs.get(job_id) or self.memory.jobs.get(job_id) or self.tx.job(job_id)

    def _job_event(self, row: EventRow, body: bodies.Body) -> None:
        """A request about a job is decided once, here, and what was decided goes into the log."""
        match body:
            case bodies.Assigned(courier=courier, job=named):
                assert row.order_id is not None
                job_id = named or jobs.derived_job_id(row.id)
                decision = jobs.assign(self._job(job_id), job_id=job_id, courier=courier, order=row.order_id)
                if decision.outcome is Outcome.APPLIED:
                    self._leave_other_jobs(row.order_id, job_id)
                self._keep(decision)
            case bodies.Unassigned(job=job_id):
                decision = jobs.release(self._job(job_id))
                self._keep(decision)
                self._log_decision(row, EventType.UNASSIGNED, job_id, decision, decision.job.orders[1:] if decision.job else ())
            case bodies.Claim(job=job_id, rev=rev):
                self._decide(row, body, job_id, jobs.claim(self._job(job_id), courier=self.couriers.get(row.device), rev=rev))
            case bodies.Decline(job=job_id):
                self._decide(row, body, job_id, jobs.decline(self._job(job_id), courier=self.couriers.get(row.device)))
            case _:
                pass

    def _job_is_full(self, body: bodies.Assigned, order_id: str) -> bool:
        job = self._job(body.job) if body.job is not None else None
        return job is not None and job.is_open and order_id not in job.orders and len(job.orders) >= jobs.ORDERS_MAX

    def _keep(self, decision: Decision) -> None:
        if decision.job is not None and decision.outcome is Outcome.APPLIED:
            before = self._job(decision.job.id)
            if before is not None and before.courier != decision.job.courier:
                self._clear(self.topics.assignment(before.courier, before.id))
            self.changed_jobs[decision.job.id] = decision.job
            self.memory.keep_job(decision.job)

    def _leave_other_jobs(self, order_id: str, job_id: str) -> None:
        """An order is in one open job at a time: the last assignment holds."""
        for other in self.memory.open_jobs_of(order_id):
            if other.id != job_id:
                self._keep(Decision(jobs.without(other, order_id), Outcome.APPLIED))

    def _decide(self, row: EventRow, body: bodies.Claim | bodies.Decline, job_id: str, decision: Decision) -> None:
        self._keep(decision)
        answer = EventType.CLAIM if isinstance(body, bodies.Claim) else EventType.DECLINE
        self._log_decision(row, answer, job_id, decision, decision.job.orders if decision.job else ())

    def _log_decision(self, row: EventRow, answer: EventType, job_id: str, decision: Decision, orders: Sequence[str]) -> None:
        """Tell the orders of a job what was decided about it, as events of the bridge's own."""
        decided = Decided(device=row.device, ref=row.id, job=job_id, answer=answer, outcome=decision.outcome, reason=decision.reason)
        for nth, order_id in enumerate(orders):
            own = decided_row(self._next_pos(), row, decided, order_id, nth)
            self.writes.events.append(own)
            self._fold(own, decided, None, order_id)

    # --- presence and location --------------------------------------------------------------------------------------------

    def _presence(self, incoming: Incoming, presence: Presence) -> None:
        entry = self._device(incoming.identity.device)
        if presence.online and presence.mono_ms is not None and incoming.identity.role in BY_SEQ:
            entry.clock.heard(boot=presence.boot, sent_mono_ms=presence.mono_ms, received_ms=incoming.received_ms)
            if presence.at_ms is not None:
                entry.clock.wall(at_ms=presence.at_ms, received_ms=incoming.received_ms)
        topic = self.topics.presence(incoming.identity.device)
        self.writes.retained[topic] = (incoming.payload, 1)
        self.shown.append(Message(topic, incoming.payload, 1, True))

    def forget_logins(self) -> None:
        """Failed logins are counted in memory: what was said of them before the start is over."""
        for code, subject in sorted(self.memory.alerts):
            if code == AlertCode.LOGINS:
                self._clear_alert(AlertCode.LOGINS, subject)

    def show_absence(self, topic: str, payload: bytes) -> None:
        """Say of a device that it is away, where its presence says that it is there."""
        try:
            plain = messages.load(payload)
        except PayloadError:
            return
        if isinstance(plain, dict) and plain.get("online"):
            plain["online"] = False
            payload = messages.encode_json(plain) if payload[:1] == b"{" else messages.encode_cbor(plain)
            self.writes.retained[topic] = (payload, 1)
            self.shown.append(Message(topic, payload, 1, True))

    def _location(self, incoming: Incoming, batch: LocationBatch) -> None:
        identity = incoming.identity
        entry = self._device(identity.device)
        clock = entry.clock
        clock.heard(boot=batch.boot, sent_mono_ms=batch.sent_mono_ms, received_ms=incoming.received_ms)
        timed = [
            (clock.time_of(boot=batch.boot, mono_ms=p.mono_ms, at_ms=0, received_ms=incoming.received_ms).event_ms, p)
            for p in sorted(batch.points, key=_by_mono)
        ]
        for event_ms, point in timed:
            if abs(event_ms - entry.position_kept_ms) >= self.rules.position_every_ms:
                self.writes.positions.append(PositionRow(identity.device, event_ms, point.lat_e7, point.lon_e7, point.accuracy_m))
                entry.position_kept_ms = event_ms
        event_ms, point = timed[-1]
        self._show_position(identity, {"at_ms": event_ms, "lat_e7": point.lat_e7, "lon_e7": point.lon_e7, "accuracy_m": point.accuracy_m})

    def _show_position(self, identity: Identity, position: dict[str, int]) -> None:
        payload = self.rules.encode(position)
        for job in self.memory.open_jobs_with(identity.courier):
            for order_id in job.orders:
                entry = self.memory.order(order_id, self.tx)
                if entry.fold.order.state is OrderState.OUT_FOR_DELIVERY and position["at_ms"] > entry.position_ms:
                    entry.position_ms = position["at_ms"]
                    self.shown.append(Message(self.topics.position(order_id), payload, 0, True))

    # --- refusals and repeats ---------------------------------------------------------------------------------------------

    def _refuse(self, incoming: Incoming, reason: Reason, detail: str, event: Event[bodies.Body] | None = None) -> _Sent:
        """A message that never becomes an event: kept in quarantine, and answered by its digest."""
        device = incoming.identity.device
        digest = digest8(incoming.payload)
        again = any(q.device == device and q.digest == digest for q in self.writes.quarantine) or self.tx.quarantined(device, digest)
        if not again:
            self.writes.quarantine.append(
                QuarantineRow(device, incoming.event_type, incoming.received_ms, reason.value, detail, digest, None, incoming.payload),
            )
            if reason is Reason.FORBIDDEN:
                self._raise_alert(
                    AlertCode.FORBIDDEN,
                    device,
                    Severity.WARNING,
                    f"Device {device} tried to publish what it may not: {detail}.",
                    "See what it sent with `dockbridge quarantine list`, and `drop` it there: that ends this alert. A device keeps its role; where it needs "
                    "another, enrol it under a new name with `dockbridge device add`.",
                )
        verdict = refusal(Outcome.REJECTED, reason)
        plain = {
            "n": 1,
            **({"id": event.id, "log": event.log, "seq": event.seq} if event is not None else {}),
            **({"next": verdict.next.value} if verdict.next else {}),
            "tone": tone_of(verdict).value,
            **({"again": True} if again else {}),
            "at_ms": self.now_ms,
            "final": True,
            **({"detail": detail[:DETAIL_CHARS_MAX]} if detail else {}),
            "digest": digest,
            "reason": reason.value,
            "outcome": Outcome.REJECTED.value,
        }
        return _Sent(device, cbor2.dumps(plain))

    def _count_refused(self, incoming: Incoming) -> None:
        """A refused event came all the same: where its log and seq can be read, the device does not owe it."""
        if incoming.kind == "poison" or incoming.identity.role not in BY_SEQ:
            return
        try:
            plain = messages.load(incoming.payload)
        except PayloadError:
            return
        log, seq = (plain.get("log"), plain.get("seq")) if isinstance(plain, dict) else (None, None)
        if isinstance(log, bytes) and len(log) == len(BRIDGE_LOG) and type(seq) is int and 1 <= seq <= bodies.UINT_MAX:
            device = incoming.identity.device
            self._ledger(self._device(device), device, log).add(seq)

    def _again(self, incoming: Incoming, event: Event[bodies.Body], stored: StoredReceipt) -> _Sent:
        """A resent event gets its current outcome again."""
        if stored.type != incoming.event_type or not same_content(stored.event_payload, incoming.payload):
            return self._refuse(incoming, Reason.ID_REUSED, "this id was used for another event", event)
        if event.sent_boot == event.boot and incoming.identity.role in BY_SEQ:
            self._device(incoming.identity.device).clock.heard(boot=event.sent_boot, sent_mono_ms=event.sent_mono_ms, received_ms=incoming.received_ms)
        return _Sent(incoming.identity.device, once_more(stored.receipt))

    def _quarantine_row(self, row: EventRow, reason: Reason, detail: str) -> None:
        self.writes.quarantine.append(QuarantineRow(row.device, row.type, row.received_ms, reason.value, detail, digest8(row.payload), row.pos, b""))

    # --- devices ----------------------------------------------------------------------------------------------------------

    def _device(self, device: str) -> DeviceEntry:
        entry = self.devices.get(device)
        if entry is None:
            entry = self.devices[device] = self.memory.device(device, self.tx)
        return entry

    def _ledger(self, entry: DeviceEntry, device: str, log: bytes) -> Ledger:
        ledger = entry.ledgers.get(log)
        if ledger is None:
            if len(entry.ledgers) >= LOGS_MAX:
                oldest = next(iter(entry.ledgers))
                del entry.ledgers[oldest]
                self.ledgers.pop((device, oldest), None)
                self.writes.ledgers_gone.append((device, oldest))
            ledger = entry.ledgers[log] = Ledger()
        self.ledgers[(device, log)] = ledger
        return ledger

    # --- finishing --------------------------------------------------------------------------------------------------------

    def finish(self) -> Settled:
        for entry in list(self.dirty.values()):
            self._show_order(entry)
        for job in self.changed_jobs.values():
            self.show_job(job)
        receipts = self._receipts()
        self._save_devices()
        self.writes.jobs = self.changed_jobs
        shown = [s for s in self.shown if isinstance(s, Change) or not s.topic.startswith("v1/")] if self.rules.is_lab else self.shown
        effects = self.memory.subscribers.take(shown, self.writes, self.now_ms)
        self.tx.write(self.writes)
        self.memory.trim()
        return Settled(effects, list(self.changed_jobs.values()), receipts)

    def _show(self, topic: str, plain: dict[str, Any]) -> None:
        self.shown.append(Message(topic, self.rules.encode(plain), 1, True))

    def _encoded(self, cbor: bytes) -> bytes:
        """What is encoded as CBOR, in the site's format."""
        encode = self.rules.encode
        return cbor if encode is cbor2.dumps else encode(cbor2.loads(cbor))

    def _clear(self, topic: str) -> None:
        self.shown.append(Message(topic, b"", 1, True))

    def _show_order(self, entry: OrderEntry) -> None:
        """Publish what of an order differs from what was last shown of it; its rev grows by one with every visible change."""
        order = entry.fold.order
        if not entry.fold.exists:
            if entry.hash:
                self._hide_order(entry)
            return
        view = OrderView(order)
        timed, due_ms = timed_flags(order, now_ms=self.now_ms, silent_after_ms=self.rules.silent_after_ms)
        timed_text = ",".join(timed)
        if view.hash == entry.hash and timed_text == entry.timed:
            self._show_parcels(entry, view)
            if order.state in SETTLED:
                if entry.due_ms is not None and entry.due_ms <= self.now_ms:
                    self._retire(entry, view)
            elif due_ms != entry.due_ms:
                entry.due_ms = due_ms
                self.writes.due.append((due_ms, order.id))
            return
        entry.rev += 1
        entry.due_ms = due_ms if order.state not in SETTLED else self.now_ms + self.rules.status_keep_ms
        entry.hash = view.hash
        entry.timed = timed_text
        status = view.status_cbor(rev=entry.rev, updated_ms=self.now_ms, timed=timed)
        self.shown.append(Message(self.topics.status(order.id), self._encoded(status), 1, True))
        state = order.state_word
        self.writes.orders.append(OrderRow(order.id, entry.rev, state, view.hash, timed_text, order.changed_ms, self.now_ms, entry.due_ms, status))
        self.writes.status_log.append(StatusLogRow(order.id, entry.rev, self.now_ms, state, view.hash))
        self._show_parcels(entry, view)
        self._after(entry)

    def _show_parcels(self, entry: OrderEntry, view: OrderView) -> None:
        order = entry.fold.order
        known = entry.parcels
        collects = _collects(order)
        labelled = collects != entry.collects
        entry.collects = collects
        for parcel_id, digest in view.parcels.items():
            code = order.parcels[parcel_id].code
            before = known.get(parcel_id)
            if before != (digest, code):
                labelled = labelled or before is None or before[1] != code
                status = view.parcel_status_cbor(parcel_id, rev=entry.rev)
                self.writes.parcels.append(ParcelRow(order.id, parcel_id, order.parcels[parcel_id].state, digest, code, status))
                if before is None or before[0] != digest:
                    self.shown.append(Message(self.topics.parcel(order.id, parcel_id), self._encoded(status), 1, True))
        for parcel_id in known.keys() - view.parcels.keys():
            self.writes.parcels_gone.append((order.id, parcel_id))
            self._clear(self.topics.parcel(order.id, parcel_id))
        # A phone checks scans against the codes in its assignment, and asks for money by it: they follow labels and payments.
        if labelled or known.keys() != view.parcels.keys():
            for job in self.memory.open_jobs_of(order.id):
                self.changed_jobs.setdefault(job.id, job)
        entry.parcels = {p: (digest, order.parcels[p].code) for p, digest in view.parcels.items()}

    def _after(self, entry: OrderEntry) -> None:
        """What an order's new state brings with it: the position goes, jobs close, alerts come and go."""
        order = entry.fold.order
        if OrderState.OUT_FOR_DELIVERY in entry.state and order.state is not OrderState.OUT_FOR_DELIVERY:
            entry.position_ms = 0
            self._clear(self.topics.position(order.id))
        entry.state = order.state_word
        for job in self.memory.open_jobs_of(order.id):
            if all(self._carried_out(o) for o in job.orders):
                self._keep(Decision(jobs.done(job), Outcome.APPLIED))
        for code, flag, text, fix in _ORDER_ALERTS:
            if flag in order.flags and order.state not in SETTLED:
                self._raise_alert(code, order.id, Severity.CRITICAL, text.format(order=order.id), fix)
            else:
                self._clear_alert(code, order.id)

    def _carried_out(self, order_id: str) -> bool:
        order = self.memory.order(order_id, self.tx).fold.order
        return jobs.carried_out(tuple(p.state for p in order.parcels.values()))

    def _retire(self, entry: OrderEntry, view: OrderView) -> None:
        """An ended order was shown for long enough: its topics are cleared, its rows stay."""
        entry.due_ms = None
        entry.parcels = {}  # whatever happens next shows every parcel again
        status = view.status_cbor(rev=entry.rev, updated_ms=self.now_ms, timed=[])
        order = entry.fold.order
        row = OrderRow(order.id, entry.rev, order.state_word, view.hash, "", order.changed_ms, self.now_ms, None, status)
        self.writes.orders.append(row)
        self._clear(self.topics.status(order.id))
        for parcel_id in view.parcels:
            self._clear(self.topics.parcel(order.id, parcel_id))

    def _hide_order(self, entry: OrderEntry) -> None:
        """The order's creation was voided: nothing of it is shown any more."""
        self._clear(self.topics.status(entry.fold.id))
        for parcel_id in entry.parcels:
            self.writes.parcels_gone.append((entry.fold.id, parcel_id))
            self._clear(self.topics.parcel(entry.fold.id, parcel_id))
        entry.rev += 1
        entry.hash = b""
        entry.parcels = {}
        self.writes.orders.append(OrderRow(entry.fold.id, entry.rev, "", b"", "", 0, self.now_ms, None, b""))
        self.writes.status_log.append(StatusLogRow(entry.fold.id, entry.rev, self.now_ms, "", b""))

    def show_job(self, job: Job) -> None:
        topic = self.topics.assignment(job.courier, job.id)
        if not job.is_open:
            self._clear(topic)
            return
        self._show(topic, {"job": job.id, "rev": job.rev, "state": job.state.value, "stops": [self._stop(o) for o in job.orders]})

    def _stop(self, order_id: str) -> dict[str, Any]:
        order = self.memory.order(order_id, self.tx).fold.order
        live = [p for p in order.parcels.values() if p.state is not ParcelState.CANCELLED]
        return {
            "stop": order_id,
            "codes": [p.code for p in live if p.code is not None],
            "orders": [order_id],
            "parcels": [p.id for p in live],
            "handling": ["collect_payment"] if _collects(order) else [],
        }

    # --- alerts -----------------------------------------------------------------------------------------------------------

    def _raise_alert(self, code: AlertCode, subject: str, severity: Severity, text: str, fix: str) -> None:
        key = (code.value, subject)
        if key in self.memory.alerts:
            return
        self.memory.alerts.add(key)
        row = self.writes.alerts[key] = AlertRow(code.value, subject, severity.value, self.now_ms, text, fix)
        self._show(self.topics.alert(code, subject), alert_plain(row))

    def _clear_alert(self, code: AlertCode, subject: str) -> None:
        key = (code.value, subject)
        if key in self.memory.alerts:
            self.memory.alerts.discard(key)
            self.writes.alerts[key] = None
            self._clear(self.topics.alert(code, subject))

    def look_for_missing(self) -> None:
        """Alerts about events that wait beyond their deadline and scans that a device owes; cleared when they came."""
        overdue: dict[str, Any] = {_subject(ref): (ref, count) for ref, count in self.tx.overdue(self.now_ms).items()}
        for subject, (ref, count) in overdue.items():
            kind, _, name = ref.partition(":")
            name = name[:NAME_CHARS_MAX]
            what = {"order": f"order {name} to be created", "code": f"a parcel with the code {name}", "event": f"event {name}"}[kind]
            fix = "Import the order, or correct the scan; see them with `dockbridge events list --outcome parked`."
            self._raise_alert(AlertCode.PARKED, subject, Severity.WARNING, f"{counted(count, 'event')} waiting for {what}.", fix)
        owing = self.tx.owing(self.now_ms - self.rules.gap_alert_after_ms)
        for device, count in owing.items():
            fix = "Bring the device back into the network; it sends what it still has."
            self._raise_alert(AlertCode.GAP, device, Severity.WARNING, f"Device {device} still owes {counted(count, 'event')}.", fix)
        quarantined = self.tx.quarantine_counts()
        for device, count in quarantined.items():
            fix = "See them with `dockbridge quarantine list`; judge them again with `replay`, or `drop` them."
            self._raise_alert(AlertCode.QUARANTINE, device, Severity.WARNING, f"{counted(count, 'message')} of device {device} in quarantine.", fix)
        stands: dict[AlertCode, dict[str, Any]] = {
            AlertCode.PARKED: overdue,
            AlertCode.GAP: owing,
            AlertCode.QUARANTINE: quarantined,
            AlertCode.FORBIDDEN: quarantined,
        }
        for code, subject in sorted(self.memory.alerts):
            if code in stands and subject not in stands[AlertCode(code)]:
                self._clear_alert(AlertCode(code), subject)

    # --- receipts ---------------------------------------------------------------------------------------------------------

    def _receipts(self) -> list[bytes]:
        outcomes: list[bytes] = []
        written: dict[int, bytes] = {}
        for answer in self.answers:
            if answer is None:
                outcomes.append(b"")
                continue
            if isinstance(answer, _Answer):
                receipt = written.get(answer.pos)
                if receipt is None:
                    receipt = written[answer.pos] = self._tell(answer)
                else:
                    receipt = once_more(receipt)
                    self._send_receipt(answer.device, receipt)
            else:
                receipt = answer.receipt
                self._send_receipt(answer.device, receipt)
            outcomes.append(receipt)
        for answer in self.second.values():
            self._tell(answer)
        return outcomes

    def _tell(self, answer: _Answer) -> bytes:
        """Store a receipt and send it; it is encoded once for both."""
        entry, verdict = answer.entry, answer.verdict
        receipt = receipt_cbor(
            n=answer.n,
            event_id=answer.event_id,
            log=answer.log,
            seq=answer.seq,
            verdict=verdict,
            at_ms=self.now_ms,
            order_id=entry.fold.id if entry is not None else None,
            rev=entry.rev if entry is not None else 0,
            left=entry.fold.order.left_to_pick() if answer.left and entry is not None else (),
            detail=answer.detail,
        )
        self.writes.receipts[answer.pos] = ReceiptRow(answer.pos, answer.device, answer.n, verdict.outcome, verdict.reason, receipt)
        self._send_receipt(answer.device, receipt)
        return receipt

    def _send_receipt(self, device: str, cbor: bytes) -> None:
        topic = self.receipt_topics.get(device)
        if topic is None:
            topic = self.receipt_topics[device] = self.topics.receipts(device)
        self.shown.append(Message(topic, self._encoded(cbor), 1, False))

    def _save_devices(self) -> None:
        for (device, log), ledger in self.ledgers.items():
            ranges = cbor2.dumps(ledger.ranges)
            self.writes.ledgers.append(LedgerRow(device, log, ledger.high, ledger.owed, ledger.forgotten, ranges, self.now_ms))
        for device, entry in self.devices.items():
            offsets = {b: m.offset for b, m in entry.clock.boots.items()}
            saved = entry.saved
            now = (offsets, entry.clock.skew_ms is None, self.now_ms // _CLOCK_SAVE_MS)
            if offsets and saved != now:
                entry.saved = now
                self.writes.clocks.append((device, cbor2.dumps(entry.clock.dump())))


_TYPES: Final = {t.value: t for t in EventType}
_JOB_EVENTS: Final = frozenset({EventType.ASSIGNED, EventType.UNASSIGNED, EventType.CLAIM, EventType.DECLINE})
_COUNTS: Final = frozenset({EventType.PICK, EventType.PACK})

_ORDER_ALERTS: Final = (
    (
        AlertCode.MOVED_ON_HOLD,
        Flag.MOVED_ON_HOLD,
        "Order {order} was moved although it is on hold.",
        "Stop the parcel, or release the hold.",
    ),
    (
        AlertCode.MOVED_AFTER_CANCEL,
        Flag.CANCEL_REQUESTED,
        "Order {order} was cancelled, and a parcel of it is under way.",
        "Call the courier back, or start a return when it arrives.",
    ),
)


def _collects(order: Order) -> bool:
    """Whether the courier is to ask for payment."""
    return order.created is not None and order.created.payment == "on_delivery" and not order.paid


def _subject(ref: str) -> str:
    """The subject of an alert about a reference: the order itself, or a short form of a code or event."""
    kind, _, name = ref.partition(":")
    return name if kind == "order" else f"{kind}-{digest8(name.encode()).hex()}"


def _by_mono(point: messages.Point) -> int:
    return point.mono_ms
