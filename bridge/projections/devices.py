"""Devices: what was received of their logs, and the state of their clocks. The gates use both; this projection writes them."""

from __future__ import annotations

from typing import Final

import cbor2

from bridge.ingest.batch import Batch
from bridge.ingest.memory import CLOCKS, LEDGER, ClockRow, LedgerRow
from bridge.ingest.seam import Quiet

_CLOCK_SAVE_MS: Final = 600_000
"""If only the offset of a clock got more precise, the clock is written at this interval."""


class Devices(Quiet):
    """Writes the ledgers and clocks that a batch touched."""

    relations = (LEDGER, CLOCKS)

    def finish(self, batch: Batch) -> None:
        for (device, log), ledger in batch.ledgers.items():
            ranges = cbor2.dumps(ledger.stored)
            batch.writes.rows(LEDGER).append(LedgerRow(device, log, ledger.high, ledger.owed, ledger.forgotten, ranges, batch.now_ms))
        for device, entry in batch.devices.items():
            offsets = {b: m.offset for b, m in entry.clock.boots.items()}
            saved = entry.saved
            now = (offsets, entry.clock.skew_ms is None, batch.now_ms // _CLOCK_SAVE_MS)
            if offsets and saved != now:
                entry.saved = now
                batch.writes.rows(CLOCKS).append(ClockRow(device, cbor2.dumps(entry.clock.dump())))
