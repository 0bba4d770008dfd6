"""Couriers' jobs: which courier carries which orders, and what the courier's phone shows.

A courier's answer (`claim`, `decline`) is decided before its verdict, once, and the bridge logs the decision as an event of its own. A dispatcher's
`assigned` and `unassigned` take effect after the fold, if they count; also later, if a change of the past changes whether they count. At the end of a batch
jobs follow what was shown of their orders: a job is done when its parcels are, and open again if that turns out not to have happened.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import count
from typing import Any, Final, NamedTuple

import cbor2

from bridge.domain import jobs
from bridge.domain.facts import COUNTED, Decided
from bridge.domain.jobs import Decision, Job
from bridge.domain.order import Parcel
from bridge.domain.order.courier import duties
from bridge.domain.order.order import CourierJob
from bridge.domain.order.possession import TAKES
from bridge.domain.order.possession import job_of as job_of_parcel
from bridge.ingest.batch import Arrived, Batch, Ruled
from bridge.ingest.epochs import in_epoch
from bridge.ingest.log import Asked, EventRow, decided_row, fact_of, stored_fact
from bridge.ingest.memory import OrderEntry
from bridge.ingest.ports import Transaction
from bridge.ingest.relation import Origin, Relation
from bridge.ingest.seam import Quiet, TopicFamily
from bridge.projections.orders import collects_payment
from devices.protocol import bodies
from devices.protocol.vocabulary import OPEN_JOB_STATES, EventType, JobState, Outcome, Role


class JobRow(NamedTuple):
    """A courier's job; `orders` are ids in CBOR."""

    job: str
    rev: int
    state: str
    courier: str
    orders: bytes


JOBS: Final = Relation(name="jobs", row=JobRow, key=("job",), origin=Origin.DERIVED, indexes=(("state",),), note="derived: couriers' jobs")


class Jobs(Quiet):
    """Keeps open jobs in memory; see the module's docstring."""

    relations = (JOBS,)
    topics = (TopicFamily("couriers/+/assignments/+", frozenset({Role.DESK})),)
    hears = frozenset({EventType.ASSIGNED, EventType.UNASSIGNED}) | TAKES

    def __init__(self) -> None:
        self._open: dict[str, Job] = {}
        self._tours: dict[str, str] = {}
        """The job into which each courier takes parcels along."""
        self._taken: dict[str, dict[str, None]] = {}
        """The orders that were taken along in this batch, by job."""
        self._of_order: dict[str, set[str]] = {}
        self._of_courier: dict[str, set[str]] = {}

    def load(self, tx: Transaction) -> None:
        for state in sorted(OPEN_JOB_STATES):
            for row in tx.rows(JOBS, state=state.value):
                self._remember(job_of(row))

    def forget(self) -> None:
        self._tours.clear()
        self._taken.clear()
        self._open.clear()
        self._of_order.clear()
        self._of_courier.clear()

    def with_order(self, order_id: str) -> list[Job]:
        """The open jobs that an order is in."""
        return [self._open[j] for j in sorted(self._of_order.get(order_id, ()))]

    def stops_of(self, courier: str) -> list[str]:
        """The orders in a courier's open jobs, in the order of his stops as far as it is known: jobs by their ids, which name the time if nobody chose them."""
        return [order for job in sorted(self._of_courier.get(courier, ())) for order in self._open[job].orders]

    # --- the gate ---------------------------------------------------------------------------------------------------------

    def order_of(self, job_id: str, batch: Batch) -> str | None:
        job = self._job(job_id, batch)
        return job.orders[0] if job is not None and job.orders else None

    def orders_of(self, job_id: str, batch: Batch) -> tuple[str, ...]:
        job = self._job(job_id, batch)
        return job.orders if job is not None else ()

    def is_full(self, body: bodies.Assigned, order_id: str, batch: Batch) -> bool:
        job = self._job(body.job, batch) if body.job is not None else None
        return job is not None and job.is_open and order_id not in job.orders and len(job.orders) >= jobs.ORDERS_MAX

    def decide(self, row: EventRow, body: bodies.Body, batch: Batch) -> None:
        assert isinstance(body, bodies.Claim | bodies.Decline)
        job = self._job(body.job, batch)
        if batch.logged is not None:
            self._decide_again(row, job, batch)
            return
        decision = jobs.claim(job, courier=row.courier, rev=body.rev) if isinstance(body, bodies.Claim) else jobs.decline(job, courier=row.courier)
        self._keep(decision, batch)
        _log(batch, row, body.job, decision, decision.job.orders if decision.job else ())

    def _decide_again(self, row: EventRow, job: Job | None, batch: Batch) -> None:
        """In a replay: apply the decision from the log."""
        decided = _log(batch, row, "", None, ())
        if decided is not None and decided.outcome is Outcome.APPLIED and job is not None:
            state = JobState.ACCEPTED if decided.answer == EventType.CLAIM else JobState.DECLINED
            self._keep(Decision(replace(job, rev=job.rev + 1, state=state), Outcome.APPLIED), batch)

    def show_all(self, batch: Batch) -> list[Job]:
        for job in self._open.values():
            _show(batch, job)
        return list(self._open.values())

    # --- after the fold ---------------------------------------------------------------------------------------------------

    def rule(self, ruled: Ruled, batch: Batch) -> None:
        row, body = ruled.row, ruled.body
        if row.type in TAKES:
            if row.courier is not None:
                self._take_along(ruled, row.courier, batch)  # also if it counts no more: a later scan may say the same
            return
        if len(ruled.entries) != 1:
            return
        (entry,) = ruled.entries
        if ruled.verdict.outcome not in COUNTED:
            if ruled.was is not None:
                self._follow(entry, None, batch)
        elif isinstance(body, bodies.Assigned):
            self._follow(entry, (body.courier, body.job or jobs.derived_job_id(row.id)), batch)
        elif isinstance(body, bodies.Unassigned):
            decision = jobs.release(self._job(body.job, batch))
            self._keep(decision, batch)
            if ruled.was is None or decision.outcome is Outcome.APPLIED:
                others = decision.job.orders if decision.job else ()
                _log(batch, row, body.job, decision, [o for o in others if o != entry.fold.id], again=ruled.was is not None)

    def _take_along(self, ruled: Ruled, courier: str, batch: Batch) -> None:
        """Parcels in no job that a courier on shift has taken, or that another courier handed over, go into the courier's own job."""
        row = ruled.row
        if batch.logged is not None:
            for own in batch.logged.pop((row.device, row.id), []):
                self._log_taken(batch, own, stored_fact(own).body)
            return
        taken = [(entry.fold.id, parcel.id) for entry in ruled.entries for parcel in entry.fold.order.parcels.values() if _is_taken(entry, parcel, courier)]
        if not taken or not batch.rules.tours or not batch.duties(courier).has_begun(row.event_ms):
            return
        # After the scan itself; if its verdict has changed, after what changed it.
        asked = Asked(row.device, row.id, (row.received_ms if ruled.was is None else batch.now_ms) + 1)
        for nth, (order_id, parcel_id) in enumerate(taken):
            job = self._tour_of(courier, row, order_id, batch)
            decided = Decided(
                device=row.device, ref=row.id, job=job, answer=EventType.ASSIGNED, outcome=Outcome.APPLIED, reason=None, courier=courier, parcel=parcel_id
            )
            self._log_taken(batch, decided_row(batch.next_pos(), batch.no, asked, decided, order_id, (nth, batch.no)), decided)

    def _log_taken(self, batch: Batch, row: EventRow, body: Any) -> None:
        batch.arrive(Arrived(row, body, fact_of(row, body, row.order_id, None), None))
        self._taken.setdefault(body.job, {})[row.order_id or ""] = None

    def _tour_of(self, courier: str, row: EventRow, order_id: str, batch: Batch) -> str:
        """The job into which a courier takes an order along: the open one, as long as it has room; else a new one."""
        known = self._tours.get(courier)
        if known is None or not self._has_room(known, courier, order_id, batch):
            nth = next(n for n in count() if (new := jobs.tour_id(row.id, n)) not in self._taken and self._job(new, batch) is None)
            known = self._tours[courier] = jobs.tour_id(row.id, nth)
        return known

    def _has_room(self, job_id: str, courier: str, order_id: str, batch: Batch) -> bool:
        job, taken = self._job(job_id, batch), self._taken.get(job_id, {})
        if job is None:
            return bool(taken) and (order_id in taken or len(taken) < jobs.ORDERS_MAX)
        orders = {*job.orders, *taken}
        return job.is_open and job.courier == courier and (order_id in orders or len(orders) < jobs.ORDERS_MAX)

    def _follow(self, entry: OrderEntry, asked: tuple[str, str] | None, batch: Batch) -> None:
        """Make the jobs match the couriers of the order. `asked` is the (courier, job) of the event that assigned it, None after a change of the past."""
        order_id = entry.fold.id
        duties = _duties(entry)
        for other in self.with_order(order_id):
            if not any(held.job == other.id for held in duties):
                self._keep(Decision(jobs.without(other, order_id), Outcome.APPLIED), batch)
            else:
                batch.jobs_changed.setdefault(other.id, other)  # other parcels may be in it now
        for held, parcels in duties.items():
            if asked == held or (asked is None and _is_to_do(parcels)):
                self._give(held, order_id, batch, anew=asked == held)

    def _give(self, held: CourierJob, order_id: str, batch: Batch, *, anew: bool) -> None:
        job = self._job(held.job, batch)
        if anew or job is None or not job.is_open or order_id not in job.orders:
            self._keep(jobs.assign(job, job_id=held.job, courier=held.courier, order=order_id), batch)

    def finish(self, batch: Batch) -> None:
        for order_id in batch.relabelled:
            for job in self.with_order(order_id):
                batch.jobs_changed.setdefault(job.id, job)
        for shown in batch.shown_orders:
            order = shown.entry.fold.order
            if order.assigned is not None or order.parcel_jobs or order.id in self._of_order:
                self._catch_up(shown.entry, batch)
        taken, self._taken = self._taken, {}
        for order_id in dict.fromkeys(order_id for orders in taken.values() for order_id in orders):
            self._catch_up(batch.order(order_id), batch)  # nothing else may be shown of it that is new
        for job in batch.jobs_changed.values():
            _show(batch, job)
            batch.writes.keyed(JOBS)[job.id] = JobRow(job.id, job.rev, job.state.value, job.courier, cbor2.dumps(list(job.orders)))

    def _catch_up(self, entry: OrderEntry, batch: Batch) -> None:
        """Close the jobs that an order has finished, take it out of those that it is no longer in, and give it back to those that must bring it after all."""
        order_id = entry.fold.id
        duties = _duties(entry)
        for job in self.with_order(order_id):
            if all(_is_carried_out(batch, o, job.id) for o in job.orders):
                self._keep(Decision(jobs.done(job), Outcome.APPLIED), batch)
            elif not any(held.job == job.id for held in duties):
                self._keep(Decision(jobs.without(job, order_id), Outcome.APPLIED), batch)
        for held, parcels in duties.items():
            is_open_again = any(jobs.is_to_bring(p.state, p.milestones) for p in parcels)
            if is_open_again and held.job not in self._of_order.get(order_id, ()):
                self._give(held, order_id, batch, anew=False)

    # --- the state of jobs ------------------------------------------------------------------------------------------------

    def _job(self, job_id: str, batch: Batch) -> Job | None:
        job = batch.jobs_changed.get(job_id) or self._open.get(job_id)
        if job is None:
            for row in batch.tx.rows(JOBS, job=job_id):
                return job_of(row)
        return job

    def _keep(self, decision: Decision, batch: Batch) -> None:
        job = decision.job
        if job is None or decision.outcome is not Outcome.APPLIED:
            return
        before = self._job(job.id, batch)
        if before is not None and before.courier != job.courier:
            batch.clear(batch.topics.assignment(before.courier, before.id))
        batch.jobs_changed[job.id] = job
        self._remember(job)

    def _remember(self, job: Job) -> None:
        """Store a job's new state in memory, or remove the job if it is closed."""
        known = self._open.pop(job.id, None)
        if known is not None:
            _discard(self._of_courier, known.courier, job.id)
            for order in known.orders:
                _discard(self._of_order, order, job.id)
        if job.is_open:
            self._open[job.id] = job
            if jobs.is_tour(job.id):
                self._tours[job.courier] = job.id
            self._of_courier.setdefault(job.courier, set()).add(job.id)
            for order in job.orders:
                self._of_order.setdefault(order, set()).add(job.id)


def job_of(row: JobRow) -> Job:
    """Convert a row to a job."""
    return Job(id=row.job, rev=row.rev, state=JobState(row.state), courier=row.courier, orders=tuple(cbor2.loads(row.orders)))


def _log(batch: Batch, row: EventRow, job_id: str, decision: Decision | None, orders: Sequence[str], *, again: bool = False) -> Decided | None:
    """Add the decision about a job to each of its orders, as events of the bridge's own; in a replay, use the logged events."""
    if batch.logged is not None:
        logged = batch.logged.pop((row.device, row.id), [])
        own = [(r, stored_fact(r).body) for r in logged]
    elif decision is not None:
        decided = Decided(device=row.device, ref=row.id, job=job_id, answer=EventType(row.type), outcome=decision.outcome, reason=decision.reason)
        salt = batch.no if again else 0
        own = [(decided_row(batch.next_pos(), batch.no, row, decided, order_id, (nth, salt)), decided) for nth, order_id in enumerate(orders)]
    else:
        own = []
    for own_row, body in own:
        batch.arrive(Arrived(own_row, body, fact_of(own_row, body, own_row.order_id, None), None))
    return own[0][1] if own and isinstance(own[0][1], Decided) else None


def _is_taken(entry: OrderEntry, parcel: Parcel, courier: str) -> bool:
    """Whether a courier has a parcel that is in no job, or in that of the one who handed it over."""
    held = job_of_parcel(entry.fold.order, parcel)
    return parcel.courier == courier and (held is None or (held.courier != courier and parcel.handed_to == courier))


def _show(batch: Batch, job: Job) -> None:
    topic = batch.topics.assignment(job.courier, job.id)
    if not job.is_open:
        batch.clear(topic)
        return
    stops = [_stop(batch, o, job.id) for o in job.orders]
    plain = {"job": job.id, "rev": job.rev, "state": job.state.value, "stops": stops}
    batch.publish_plain(topic, in_epoch(plain, batch.rules.epoch))


def _stop(batch: Batch, order_id: str, job_id: str) -> dict[str, Any]:
    """One stop: the parcels of an order that are in this job."""
    entry = batch.order(order_id)
    order = entry.fold.order
    parcels = _parcels_of(entry, job_id)
    return {
        "stop": order_id,
        "codes": [code for p in parcels for code in order.codes(p)],
        "orders": [order_id],
        "parcels": [p.id for p in parcels],
        "handling": ["collect_payment"] if collects_payment(order) else [],
    }


def _duties(entry: OrderEntry) -> dict[CourierJob, list[Parcel]]:
    return duties(entry.fold.order) if entry.fold.exists else {}


def _parcels_of(entry: OrderEntry, job_id: str) -> list[Parcel]:
    return [parcel for held, parcels in _duties(entry).items() if held.job == job_id for parcel in parcels]


def _is_to_do(parcels: Sequence[Parcel]) -> bool:
    """Whether a courier still has to bring parcels, or will have to: those that are not packed yet."""
    return not jobs.carried_out(tuple(p.state for p in parcels))


def _is_carried_out(batch: Batch, order_id: str, job_id: str) -> bool:
    """Whether nothing of an order is left to do in a job. An order that ended as a whole is in no job any more."""
    entry = batch.order(order_id)
    parcels = _parcels_of(entry, job_id) or list(entry.fold.order.parcels.values())
    return bool(parcels) and not _is_to_do(parcels)


def _discard(index: dict[str, set[str]], key: str, job_id: str) -> None:
    held = index.get(key)
    if held is not None:
        held.discard(job_id)
        if not held:
            del index[key]
