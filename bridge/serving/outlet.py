"""Where committed changes are shown: to the broker if one serves, and to those who wait in this process."""

from __future__ import annotations

from collections import Counter

from bridge.domain.jobs import Job
from bridge.ingest.items import Message, Settled
from bridge.serving.parts import SiteBroker


class Outlet:
    """The pipeline's outlet (`ingest.pipeline.Outlet`). It also knows which orders are in open jobs, because only that decides what couriers may read."""

    def __init__(self) -> None:
        self.broker: SiteBroker | None = None
        self._jobs: dict[str, tuple[str, tuple[str, ...]]] = {}
        self._held: dict[str, Counter[str]] = {}
        """For each courier the orders in open jobs, and in how many."""

    def show(self, settled: Settled) -> None:
        for job in settled.jobs:
            self._put(job)
        if settled.jobs and self.broker is not None:
            for courier in {job.courier for job in settled.jobs}:
                self.broker.door.recheck(courier)
        for effect in settled.effects:
            if not isinstance(effect, Message):
                effect.change.done(effect.result)
            elif self.broker is not None:
                self.broker.door.publish(effect)

    def flush(self) -> None:
        if self.broker is not None:
            self.broker.flush()

    def resume_reading(self) -> None:
        """The pipeline has room again."""
        if self.broker is not None and not self.broker.is_stopping:
            self.broker.pause(paused=False)

    def in_open_job(self, courier: str, order: str) -> bool:
        return order in self._held.get(courier, ())

    def _put(self, job: Job) -> None:
        """Replace a job. Only its own orders are touched, because there can be many jobs."""
        courier, orders = self._jobs.pop(job.id, ("", ()))
        if orders:
            held = self._held[courier]
            held.subtract(orders)
            for order in orders:
                if not held[order]:
                    del held[order]
            if not held:
                del self._held[courier]
        if job.is_open and job.orders:
            self._jobs[job.id] = (job.courier, job.orders)
            self._held.setdefault(job.courier, Counter()).update(job.orders)
