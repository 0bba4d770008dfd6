"""The orders that a courier holds, updated as jobs open, change and close: the same as if they were computed anew each time."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from bridge.domain.jobs import Job
from bridge.ingest.items import Settled
from bridge.serving.outlet import Outlet
from devices.protocol.vocabulary import JobState

COURIERS, ORDERS = ("anna", "ben"), ("PO-1", "PO-2", "PO-3")
JOBS = st.builds(
    Job,
    id=st.sampled_from(["j-1", "j-2", "j-3"]),
    rev=st.just(1),
    state=st.sampled_from(JobState),
    courier=st.sampled_from(COURIERS),
    orders=st.lists(st.sampled_from(ORDERS), unique=True).map(tuple),
)


@given(batches=st.lists(st.lists(JOBS, max_size=3), max_size=12))
def test_a_courier_holds_the_orders_of_its_open_jobs(batches: list[list[Job]]) -> None:
    outlet = Outlet()
    jobs: dict[str, Job] = {}
    for batch in batches:
        outlet.show(Settled([], batch, []))
        jobs |= {job.id: job for job in batch}
        held = {(j.courier, order) for j in jobs.values() if j.is_open for order in j.orders}
        assert {(c, o) for c in COURIERS for o in ORDERS if outlet.in_open_job(c, o)} == held
    for job in list(jobs.values()):
        outlet.show(Settled([], [Job(id=job.id, rev=2, state=JobState.RELEASED, courier=job.courier, orders=())], []))
    assert outlet._held == {}, "nothing is left of what has ended"
