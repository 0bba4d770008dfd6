"""Devices: what was received of their logs, the state of their clocks, and when their shifts and breaks changed. This projection writes what others use."""

from __future__ import annotations

from typing import Final

import cbor2

from bridge.domain.duty import DUTY_AFTER
from bridge.ingest.batch import Batch, Ruled
from bridge.ingest.memory import CLOCKS, LEDGER, SHIFTS, ClockRow, LedgerRow, ShiftRow
from bridge.ingest.seam import Quiet
from devices.protocol.vocabulary import EventType

_CLOCK_SAVE_MS: Final = 600_000
"""If only the offset of a clock got more precise, the clock is written at this interval."""

_SHIFTS: Final = frozenset({EventType.SHIFT_STARTED, EventType.SHIFT_ENDED})


class Devices(Quiet):
    """Writes the ledgers, clocks and shifts that a batch touched."""

    relations = (LEDGER, CLOCKS, SHIFTS)
    hears = frozenset(map(EventType, DUTY_AFTER))

    def rule(self, ruled: Ruled, batch: Batch) -> None:
        row = ruled.row
        entry = batch.device(row.device)
        is_new = entry.duties.add(row.event_ms, DUTY_AFTER[row.type])
        # A backlog may tell of an earlier shift after a later one.
        if row.type in _SHIFTS and row.event_ms > entry.shift_ms:
            entry.shift_ms = row.event_ms
        if is_new:
            batch.writes.keyed(SHIFTS)[row.device] = ShiftRow(row.device, entry.shift_ms, cbor2.dumps(entry.duties.changes))

    def finish(self, batch: Batch) -> None:
        for (device, log), ledger in batch.ledgers.items():
            ranges = cbor2.dumps(ledger.stored)
            batch.writes.rows(LEDGER).append(LedgerRow(device, log, ledger.high, ledger.owed, ledger.forgotten, ranges, batch.now_ms, ledger.reused))
        for device, entry in batch.devices.items():
            offsets = {b: m.offset for b, m in entry.clock.boots.items()}
            saved = entry.saved
            now = (offsets, entry.clock.skew_ms is None, batch.now_ms // _CLOCK_SAVE_MS)
            if offsets and saved != now:
                entry.saved = now
                batch.writes.rows(CLOCKS).append(ClockRow(device, cbor2.dumps(entry.clock.dump())))
