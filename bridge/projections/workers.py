"""Workers: pseudonyms of which nobody may know any more whose they are."""

from __future__ import annotations

from bridge.ingest.batch import Batch
from bridge.ingest.seam import Quiet
from bridge.ingest.workers import COURIER_NAMES, WORKERS


class Workers(Quiet):
    """Deletes what links a pseudonym to a badge, some time after its last use. `ingest.workers` writes it."""

    relations = (WORKERS, COURIER_NAMES)

    def sweep(self, batch: Batch) -> None:
        batch.tx.drop_before(WORKERS, "last_ms", batch.now_ms - batch.rules.worker_keep_ms)
        batch.memory.workers.count_anew()
