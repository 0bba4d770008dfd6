"""Couriers: stores what is told of their shifts and money, and alerts if a shift was not ended, or its cash was not counted."""

from __future__ import annotations

from typing import Final

from bridge.domain.cash import CashState, EntryKind
from bridge.domain.facts import COUNTED
from bridge.domain.shifts import SHIFT_EVENTS, EndedBy
from bridge.ingest.batch import Batch, Ruled
from bridge.ingest.couriers import CASH, CASH_GONE, TOLD, TOLD_GONE, CashRow, ToldRow, standing_of, told_and_cash
from bridge.ingest.items import Alarm
from bridge.ingest.log import EventRow
from bridge.ingest.ports import AtLeast, Transaction
from bridge.ingest.relation import Deletion, Relation
from bridge.ingest.seam import Quiet
from devices.protocol import bodies
from devices.protocol.choices import Tender
from devices.protocol.vocabulary import AlertCode, EventType, Outcome, Role

HOUR_MS: Final = 3_600_000
JUDGED_MS: Final = 14 * 24 * HOUR_MS
"""Alerts are about shifts and cash of so long."""
JUDGED_AT_ONCE: Final = 200
"""Couriers that one sweep looks at; the others follow with the next ones."""


class Couriers(Quiet):
    """See the module's docstring."""

    relations = (TOLD, CASH)
    hears = SHIFT_EVENTS | {EventType.DELIVERY, EventType.CASH_COUNTED}

    def __init__(self) -> None:
        self._due_ms: dict[str, int] = {}
        """When a courier has to be looked at again, because an alert may begin."""
        self._changed: set[str] = set()
        self._is_loaded = False

    def load(self, tx: Transaction) -> None:
        self._is_loaded = False

    def forget(self) -> None:
        self._due_ms.clear()
        self._changed.clear()

    def rule(self, heard: Ruled, batch: Batch) -> None:
        row, counts = heard.row, heard.verdict.outcome in COUNTED
        is_shift = row.type in SHIFT_EVENTS
        if is_shift:
            courier = courier_of(heard)
            told = ToldRow(row.pos, courier, row.event_ms, row.id, row.type, row.role == Role.DESK) if courier is not None and counts else None
            is_put = _put(batch, TOLD, TOLD_GONE, row, told, heard.was)
        else:
            # A delivery that changed nothing is the same one again, and so is its money.
            cash = cash_row(heard) if counts and heard.verdict.outcome is not Outcome.NOOP else None
            courier = cash.courier if cash is not None else row.courier
            is_put = _put(batch, CASH, CASH_GONE, row, cash, heard.was)
        if courier is None or not is_put:
            return
        self._changed.add(courier)
        if is_shift:
            batch.memory.duties.pop(courier, None)

    # --- alerts -----------------------------------------------------------------------------------------------------------

    def sweep(self, batch: Batch) -> None:
        before_ms = batch.now_ms - batch.rules.worker_keep_ms
        batch.tx.drop_before(TOLD, "at_ms", before_ms)
        batch.tx.drop_before(CASH, "at_ms", before_ms)
        if batch.is_replay:
            return
        if not self._is_loaded:
            since = AtLeast(batch.now_ms - JUDGED_MS)
            self._changed.update(row.courier for relation in (TOLD, CASH) for row in batch.tx.rows(relation, at_ms=since))
            self._is_loaded = True
        due = sorted(self._changed | {c for c, ms in self._due_ms.items() if ms <= batch.now_ms})[:JUDGED_AT_ONCE]
        self._changed.difference_update(due)
        for courier in due:
            self._judge(courier, batch)

    def _judge(self, courier: str, batch: Batch) -> None:
        """Raise and clear the alerts about a courier, and note when the next one may begin."""
        rules, now_ms = batch.rules, batch.now_ms
        told, cash = told_and_cash(courier, batch.tx, batch.writes, since_ms=now_ms - JUDGED_MS)
        shifts, accounts = standing_of(told, cash, now_ms, rules.shift_longest_ms)
        last = shifts[-1] if shifts else None
        due = [last.started_ms + rules.shift_longest_ms] if last is not None and last.ended_ms is None else []
        counted_by = [
            a.shift.ended_ms + rules.cash_open_after_ms for a in accounts if a.state is CashState.OPEN and a.shift is not None and a.shift.ended_ms is not None
        ]
        due += [ms for ms in counted_by if ms > now_ms]
        self._due_ms.pop(courier, None)
        if due:
            self._due_ms[courier] = min(due)
        text = f"The shift of {courier} was not ended for {rules.shift_longest_ms / HOUR_MS:g} h, and counts as ended."
        is_forgotten = last is not None and last.ended_by is EndedBy.TIME
        _alarm(batch, AlertCode.SHIFT_OPEN, courier, text if is_forgotten else "", "Ask the courier. The next shift that they start clears this alert.")
        text = f"The cash of {courier} was not counted within {rules.cash_open_after_ms / HOUR_MS:g} h after the shift."
        fix = f"Count it: `dockbridge couriers count {courier} AMOUNT CURRENCY`. `dockbridge report cash` shows the account."
        _alarm(batch, AlertCode.CASH_OPEN, courier, text if any(ms <= now_ms for ms in counted_by) else "", fix)


def _alarm(batch: Batch, code: AlertCode, courier: str, text: str, fix: str) -> None:
    batch.heard(Alarm(received_ms=batch.now_ms, code=code, subject=courier, text=text, fix=fix))


def courier_of(heard: Ruled) -> str | None:
    """Whose shift an event is about: that of its phone's courier, or the one whom the desk names."""
    if isinstance(heard.body, bodies.ShiftEnded) and heard.row.role == Role.DESK:
        return heard.body.courier
    return heard.row.courier


def cash_row(heard: Ruled) -> CashRow | None:
    """The money that an event is about, if it is about some of a courier's."""
    row, body = heard.row, heard.body
    if isinstance(body, bodies.CashCounted):
        kind = EntryKind.TOLD if row.role == Role.COURIER else EntryKind.COUNTED
        return CashRow(row.pos, body.courier, row.event_ms, row.id, kind, body.amount_minor, body.currency, Tender.CASH, None, body.reason)
    if isinstance(body, bodies.Delivery) and body.collected is not None and row.courier is not None:
        got, order_id = body.collected, heard.entries[0].fold.id if heard.entries else row.order_id
        return CashRow(row.pos, row.courier, row.event_ms, row.id, EntryKind.COLLECTED, got.amount_minor, got.currency, got.tender, order_id, None)
    return None


def _put(batch: Batch, relation: Relation, gone: Deletion, row: EventRow, wanted: ToldRow | CashRow | None, was: Outcome | str | None) -> bool:
    """Store a row, or take it back. Returns whether there is anything to do."""
    rows = batch.writes.keyed(relation)
    if wanted is not None:
        rows[row.pos] = wanted
    elif was is not None:
        rows.pop(row.pos, None)
        batch.writes.delete(gone, row.pos)
    return wanted is not None or was is not None
