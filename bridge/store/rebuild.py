"""Make everything that is derived anew from the event log, and prove that it is the same.

First what spans orders is read off the log in the order of arrival: labels, late placements, ledgers, jobs. Then each order's events are told once more in that
order. An order's `rev` goes on from where it was, and grows only where its hash turns out to be another.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Final

import cbor2
from sqlalchemy import Connection

from bridge.domain import jobs
from bridge.domain.facts import DECIDED, Decided, Fact, Verdict, same_answer
from bridge.domain.fold import OrderFold
from bridge.domain.jobs import Job
from bridge.domain.ledger import Ledger
from bridge.domain.view import SETTLED, OrderView, digest8, timed_flags
from bridge.ingest.placing import LABELS
from bridge.ingest.ports import EventRow, LedgerRow, OrderRow, ParcelRow, ParkedRow, QuarantineRow, ReceiptRow, StatusLogRow, Writes
from bridge.ingest.rows import receipt_cbor, stored_fact
from bridge.ingest.settle import BY_SEQ, Rules
from bridge.store import tables
from bridge.store.sql import EVENT_COLUMNS, SqlTransaction
from devices.protocol import bodies
from devices.protocol.vocabulary import EventType, JobState, Outcome, Reason

CHUNK: Final = 500
Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rebuilt:
    """What a rebuild found. `changed` names the orders whose hash was another before."""

    events: int
    orders: int
    changed: list[str]


@dataclass(frozen=True, slots=True)
class _Before:
    rev: int
    hash: bytes
    updated_ms: int
    due_ms: int | None


def rebuild(connection: Connection, rules: Rules, *, now_ms: int, on_progress: Progress | None = None) -> Rebuilt:
    """Rebuild inside an open transaction; the caller commits."""
    tx = SqlTransaction(connection)
    driver: Any = connection.connection.dbapi_connection
    last = "SELECT order_id, rev, hash, updated_ms, NULL FROM status_log WHERE no IN (SELECT max(no) FROM status_log GROUP BY order_id)"
    before = {r[0]: _Before(r[1], r[2], r[3], r[4]) for r in driver.execute(last)}
    before |= {r[0]: _Before(r[1], r[2], r[3], r[4]) for r in driver.execute("SELECT order_id, rev, hash, updated_ms, due_ms FROM orders")}
    told = dict(driver.execute("SELECT pos, n FROM receipts"))
    for table in (*tables.DERIVED, tables.ledger, tables.jobs):
        driver.execute(f"DELETE FROM {table.name}")
    driver.execute("DELETE FROM quarantine WHERE pos IS NOT NULL")
    (total,) = driver.execute("SELECT count(*) FROM events").fetchone()
    across = _AcrossOrders(rules)
    for row in _log(driver):
        across.take(row)
    tx.write(across.writes())
    changed: list[str] = []
    orders = [r[0] for r in driver.execute("SELECT order_id FROM events WHERE order_id IS NOT NULL UNION SELECT order_id FROM placed")]
    done = shown = 0
    for start in range(0, len(orders), CHUNK):
        writes = Writes()
        for order_id, facts in tx.facts(orders[start : start + CHUNK]).items():
            retold = _Retold(order_id, facts, told, rules, now_ms)
            shown += retold.write(writes, before.get(order_id))
            if retold.hash != (before[order_id].hash if order_id in before else b""):
                changed.append(order_id)
            across.note(retold)
            done += len(facts)
        tx.write(writes)
        if on_progress is not None:
            on_progress(done, total)
    tx.write(Writes(jobs=across.jobs_done(), labels=across.labels()))
    return Rebuilt(events=total, orders=shown, changed=sorted(changed))


def _log(driver: Any) -> Iterator[EventRow]:
    last = 0
    while rows := driver.execute(f"SELECT {EVENT_COLUMNS} FROM events e WHERE e.pos > ? ORDER BY e.pos LIMIT ?", (last, CHUNK)).fetchall():
        for row in rows:
            yield EventRow(*row)
        last = rows[-1][0]


class _AcrossOrders:
    """What spans orders, read off the log in the order of arrival."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self._labels: dict[str, list[tuple[str, int]]] = {}
        self._waiting: dict[str, list[EventRow]] = {}
        self._placed: list[tuple[int, str]] = []
        self._parked: dict[int, ParkedRow] = {}
        self._ledgers: dict[tuple[str, bytes], tuple[Ledger, int]] = {}
        self._jobs: dict[str, Job] = {}
        self._answered: set[tuple[str, bytes]] = set()
        self._alone: dict[int, tuple[EventRow, Verdict]] = {}
        self._carried_out: set[str] = set()
        self._not_counted: set[int] = set()

    def take(self, row: EventRow) -> None:
        if row.type == DECIDED:
            self._decided(stored_fact(row).body)
            return
        if row.role in BY_SEQ:
            ledger, _ = self._ledgers.get((row.device, row.log)) or (Ledger(), 0)
            ledger.add(row.seq)
            self._ledgers[(row.device, row.log)] = (ledger, row.received_ms)
        if row.order_id is None:
            self._without_order(row)
            return
        if row.type in LABELS and row.code is not None and row.fault is None:
            self._labels.setdefault(row.code, []).append((row.order_id, row.pos))
            self._place(f"code:{row.code}", row.order_id)
        if row.type == EventType.CREATED and row.fault is None:
            self._place(f"code:{row.order_id}", row.order_id)
        self._place(f"event:{row.id.hex()}", row.order_id)
        self._job(row)

    def _without_order(self, row: EventRow) -> None:
        fact = stored_fact(row)
        if row.fault is not None:
            self._alone[row.pos] = (row, Verdict(Outcome.REJECTED, Reason(row.fault)))
        elif isinstance(fact.body, bodies.Void):
            self._wait(row, f"event:{fact.body.ref.hex()}", Reason.UNKNOWN_REFERENCE)
        elif row.code is not None:
            self._wait(row, f"code:{row.code}", Reason.UNKNOWN_PARCEL)
        else:
            self._alone[row.pos] = (row, Verdict(Outcome.APPLIED))

    def _wait(self, row: EventRow, ref: str, reason: Reason) -> None:
        self._waiting.setdefault(ref, []).append(row)
        self._parked[row.pos] = ParkedRow(row.pos, ref, None, row.received_ms, row.received_ms + self._rules.parked_deadline_ms)
        self._alone[row.pos] = (row, Verdict(Outcome.PARKED, reason))

    def _place(self, ref: str, order_id: str) -> None:
        for row in self._waiting.pop(ref, ()):
            self._placed.append((row.pos, order_id))
            del self._parked[row.pos]
            self._place(f"event:{row.id.hex()}", order_id)
            del self._alone[row.pos]

    def _job(self, row: EventRow) -> None:
        if row.type not in (EventType.ASSIGNED, EventType.UNASSIGNED) or row.order_id is None:
            return
        body = stored_fact(row).body
        if isinstance(body, bodies.Assigned):
            job_id = body.job or jobs.derived_job_id(row.id)
            decision = jobs.assign(self._jobs.get(job_id), job_id=job_id, courier=body.courier, order=row.order_id)
            if decision.outcome is Outcome.APPLIED:
                for other in [j for j in self._jobs.values() if j.is_open and row.order_id in j.orders and j.id != job_id]:
                    self._jobs[other.id] = jobs.without(other, row.order_id)
        elif isinstance(body, bodies.Unassigned):
            decision = jobs.release(self._jobs.get(body.job))
        if decision.job is not None:
            self._jobs[decision.job.id] = decision.job

    def _decided(self, body: object) -> None:
        assert isinstance(body, Decided)
        job = self._jobs.get(body.job)
        if body.outcome is Outcome.APPLIED and job is not None and (body.device, body.ref) not in self._answered and body.answer != EventType.UNASSIGNED:
            state = JobState.ACCEPTED if body.answer == EventType.CLAIM else JobState.DECLINED
            self._jobs[job.id] = replace(job, rev=job.rev + 1, state=state)
        self._answered.add((body.device, body.ref))

    def note(self, retold: _Retold) -> None:
        """What an order tells about what spans orders: whether a courier has nothing more to do for it, and which labels did not count."""
        if jobs.carried_out(tuple(p.state for p in retold.fold.order.parcels.values())):
            self._carried_out.add(retold.fold.id)
        self._not_counted |= retold.uncounted_labels()

    def labels(self) -> list[tuple[str, str, int]]:
        """Each code's first holder whose label counted: one that was voided, rejected or blocked left the code to the next."""
        held = ((code, [h for h in holders if h[1] not in self._not_counted]) for code, holders in self._labels.items())
        return [(code, *holders[0]) for code, holders in held if holders]

    def jobs_done(self) -> dict[str, Job]:
        """Open jobs whose orders are all carried out: they are done."""
        return {j.id: jobs.done(j) for j in self._jobs.values() if j.is_open and self._carried_out.issuperset(j.orders)}

    def writes(self) -> Writes:
        writes = Writes()
        writes.placed = self._placed
        writes.parked = self._parked
        for (device, log), (ledger, heard_ms) in self._ledgers.items():
            writes.ledgers.append(LedgerRow(device, log, ledger.high, ledger.owed, ledger.forgotten, cbor2.dumps(ledger.ranges), heard_ms))
        writes.jobs = self._jobs
        for row, verdict in self._alone.values():
            receipt = receipt_cbor(n=1, event_id=row.id, log=row.log, seq=row.seq, verdict=verdict, at_ms=row.received_ms, order_id=None)
            writes.receipts[row.pos] = ReceiptRow(row.pos, row.device, 1, verdict.outcome, verdict.reason, receipt)
            if verdict.outcome is Outcome.REJECTED:
                writes.quarantine.append(_quarantined(row.device, row.type, row.received_ms, verdict, row.pos, row.payload))
        return writes


class _Retold:
    """One order, told once more in the order of arrival."""

    def __init__(self, order_id: str, facts: list[Fact], told: dict[int, int], rules: Rules, now_ms: int) -> None:
        self.fold = OrderFold(order_id)
        self.rules = rules
        self.now_ms = now_ms
        self.verdicts: dict[tuple[str, bytes], tuple[Fact, Verdict, int]] = {}
        decided: dict[tuple[str, bytes], list[Fact]] = {}
        for fact in facts:
            if isinstance(fact.body, Decided):
                decided.setdefault((fact.body.device, fact.body.ref), []).append(fact)
        for fact in facts:
            # A decision is written after the answer that it settles, and is told before it.
            for early in decided.pop(fact.uid, ()):
                self._tell(early)
            if fact.type != DECIDED:
                self._tell(fact)
        for rest in decided.values():
            for fact in rest:
                self._tell(fact)
        # The highest n that was given stays the highest.
        self.verdicts = {uid: (fact, verdict, max(n, told.get(fact.pos, 1))) for uid, (fact, verdict, n) in self.verdicts.items()}
        self.view = OrderView(self.fold.order) if self.fold.exists else None

    @property
    def hash(self) -> bytes:
        return self.view.hash if self.view is not None else b""

    def _tell(self, fact: Fact) -> None:
        folded = self.fold.add(fact)
        for uid, verdict in folded.changed.items():
            known = self.verdicts.get(uid)
            if known is not None and not same_answer(known[1].outcome, known[1].reason, verdict):
                self.verdicts[uid] = (known[0], verdict, known[2] + 1)
        if fact.type != DECIDED:
            self.verdicts[fact.uid] = (fact, folded.verdict, 1)

    def uncounted_labels(self) -> set[int]:
        """Places in the log of labels that did not count."""
        told = self.verdicts.values()
        return {f.pos for f, v, _ in told if f.code is not None and f.type in LABELS and v.outcome in (Outcome.REJECTED, Outcome.BLOCKED)}

    def write(self, writes: Writes, before: _Before | None) -> bool:
        """Collect the order's rows; whether it is shown."""
        rev = before.rev if before is not None else 0
        if self.hash != (before.hash if before is not None else b""):
            rev += 1
            writes.status_log.append(StatusLogRow(self.fold.id, rev, self.now_ms, self.fold.order.state_word if self.view else "", self.hash))
        if self.view is not None:
            self._write_order(writes, self.view, rev, before)
        elif before is not None:
            writes.orders.append(OrderRow(self.fold.id, rev, "", b"", "", 0, self.now_ms, None, b""))
        self._write_receipts(writes, rev)
        return self.view is not None

    def _write_order(self, writes: Writes, view: OrderView, rev: int, before: _Before | None) -> None:
        order = self.fold.order
        timed, due_ms = timed_flags(order, now_ms=self.now_ms, silent_after_ms=self.rules.silent_after_ms)
        same = before is not None and before.hash == view.hash
        updated_ms = before.updated_ms if before is not None and same else self.now_ms
        if order.state in SETTLED:
            due_ms = before.due_ms if before is not None and same else self.now_ms + self.rules.status_keep_ms
        status = view.status_cbor(rev=rev, updated_ms=updated_ms, timed=timed)
        writes.orders.append(OrderRow(order.id, rev, order.state_word, view.hash, ",".join(timed), order.changed_ms, updated_ms, due_ms, status))
        for parcel_id, digest in view.parcels.items():
            parcel = order.parcels[parcel_id]
            status = view.parcel_status_cbor(parcel_id, rev=rev)
            writes.parcels.append(ParcelRow(order.id, parcel_id, parcel.state.value, digest, parcel.code, status))

    def _write_receipts(self, writes: Writes, rev: int) -> None:
        for fact, verdict, n in self.verdicts.values():
            receipt = receipt_cbor(
                n=n,
                event_id=fact.id,
                log=fact.log,
                seq=fact.seq,
                verdict=verdict,
                at_ms=fact.received_ms,
                order_id=self.fold.id,
                rev=rev,
            )
            writes.receipts[fact.pos] = ReceiptRow(fact.pos, fact.device, n, verdict.outcome, verdict.reason, receipt)
            if verdict.outcome is Outcome.PARKED:
                ref = f"code:{fact.code}" if verdict.reason is Reason.UNKNOWN_PARCEL else f"order:{self.fold.id}"
                writes.parked[fact.pos] = ParkedRow(fact.pos, ref, self.fold.id, fact.received_ms, fact.received_ms + self.rules.parked_deadline_ms)
            elif verdict.outcome is Outcome.REJECTED and verdict.reason is not Reason.VOIDED:
                writes.quarantine.append(_quarantined(fact.device, fact.type, fact.received_ms, verdict, fact.pos, b""))


def _quarantined(device: str, event_type: str, received_ms: int, verdict: Verdict, pos: int, payload: bytes) -> QuarantineRow:
    reason = verdict.reason.value if verdict.reason else ""
    return QuarantineRow(device, event_type, received_ms, reason, "", digest8(payload), pos, payload)
