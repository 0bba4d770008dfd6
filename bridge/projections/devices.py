"""Devices: what was received of their logs, the state of their clocks, and when their shifts began and ended. This projection writes what others use."""

from __future__ import annotations

from typing import Final

import cbor2

from bridge.ingest.batch import Batch, Ruled
from bridge.ingest.memory import CLOCKS, LEDGER, SHIFTS, ClockRow, LedgerRow, ShiftRow
from bridge.ingest.seam import Quiet
from devices.protocol.vocabulary import EventType

_CLOCK_SAVE_MS: Final = 600_000
"""If only the offset of a clock got more precise, the clock is written at this interval."""


class Devices(Quiet):
    """Writes the ledgers, clocks and shifts that a batch touched."""

    relations = (LEDGER, CLOCKS, SHIFTS)
    hears = frozenset({EventType.SHIFT_STARTED, EventType.SHIFT_ENDED})

    def rule(self, ruled: Ruled, batch: Batch) -> None:
        row = ruled.row
        entry = batch.device(row.device)
        # A backlog may tell of an earlier shift after a later one.
        if row.event_ms > entry.shift_ms:
            entry.shift_ms = row.event_ms
            batch.writes.keyed(SHIFTS)[row.device] = ShiftRow(row.device, entry.shift_ms)

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
