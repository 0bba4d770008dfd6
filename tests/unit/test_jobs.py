"""A courier's job: every state with every request, and what holds for any series of requests."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.domain import jobs
from bridge.domain.jobs import ORDERS_MAX, Decision, Job
from devices.protocol.vocabulary import OPEN_JOB_STATES, JobState, Outcome, ParcelState, Reason

Request = Callable[[Job | None], Decision]

REQUESTS: dict[str, Request] = {
    "assign the same to kim": lambda job: jobs.assign(job, job_id="j1", courier="kim", order="o1"),
    "assign more to kim": lambda job: jobs.assign(job, job_id="j1", courier="kim", order="o2"),
    "assign to bo": lambda job: jobs.assign(job, job_id="j1", courier="bo", order="o1"),
    "kim claims": lambda job: jobs.claim(job, courier="kim", rev=5),
    "kim claims, stale": lambda job: jobs.claim(job, courier="kim", rev=4),
    "bo claims": lambda job: jobs.claim(job, courier="bo", rev=5),
    "nobody claims": lambda job: jobs.claim(job, courier=None, rev=5),
    "kim declines": lambda job: jobs.decline(job, courier="kim"),
    "bo declines": lambda job: jobs.decline(job, courier="bo"),
    "release": lambda job: jobs.release(job),
}

TABLE = """
                        |  none                | assigned                    | accepted                    | declined                    | released                    | done
assign the same to kim  |  applied assigned    | noop                        | noop                        | applied assigned            | applied assigned            | applied assigned
assign more to kim      |  applied assigned    | applied assigned            | applied accepted            | applied assigned            | applied assigned            | applied assigned
assign to bo            |  applied assigned    | applied assigned            | applied assigned            | applied assigned            | applied assigned            | applied assigned
kim claims              |  rejected unknown_job| applied accepted            | noop                        | rejected job_closed         | rejected job_closed         | rejected job_closed
kim claims, stale       |  rejected unknown_job| lost_claim stale_rev        | noop                        | rejected job_closed         | rejected job_closed         | rejected job_closed
bo claims               |  rejected unknown_job| lost_claim held_by_another  | lost_claim held_by_another  | lost_claim held_by_another  | lost_claim held_by_another  | lost_claim held_by_another
nobody claims           |  rejected unknown_job| lost_claim held_by_another  | lost_claim held_by_another  | lost_claim held_by_another  | lost_claim held_by_another  | lost_claim held_by_another
kim declines            |  rejected unknown_job| applied declined            | applied declined            | noop                        | rejected job_closed         | rejected job_closed
bo declines             |  rejected unknown_job| lost_claim held_by_another  | lost_claim held_by_another  | lost_claim held_by_another  | lost_claim held_by_another  | lost_claim held_by_another
release                 |  parked unknown_job  | applied released            | applied released            | noop                        | noop                        | noop
"""  # noqa: E501 -- a table is read as a whole
"""The result of each request about a job of kim's with rev 5 and order o1: the outcome, and the new state or the reason."""

HEAD, *ROWS = ([cell.strip() for cell in row.split("|")] for row in TABLE.strip("\n").splitlines())
CELLS = [(row[0], state, cell.split()) for row in ROWS for state, cell in zip(HEAD[1:], row[1:], strict=True)]


def test_the_table_is_whole() -> None:
    assert HEAD[1:] == ["none", *JobState]
    assert [row[0] for row in ROWS] == list(REQUESTS)


@pytest.mark.parametrize(("request_", "state", "expected"), CELLS, ids=[f"{r}-{s}" for r, s, _ in CELLS])
def test_a_request_ends_as_the_table_says(request_: str, state: str, expected: list[str]) -> None:
    job = None if state == "none" else Job(id="j1", rev=5, state=JobState(state), courier="kim", orders=("o1",))
    decision = REQUESTS[request_](job)
    outcome, *word = expected
    assert decision.outcome is Outcome(outcome)
    if decision.outcome is Outcome.APPLIED:
        assert decision.job is not None
        assert decision.reason is None
        assert (decision.job.state, decision.job.rev) == (JobState(word[0]), job.rev + 1 if job else 1)
    else:
        assert decision.job == job
        assert decision.reason == (Reason(word[0]) if word else None)


def test_an_open_job_takes_more_orders_and_goes_to_another_courier_whole() -> None:
    job = Job(id="j1", rev=5, state=JobState.ACCEPTED, courier="kim", orders=("o1",))
    more = jobs.assign(job, job_id="j1", courier="kim", order="o2").job
    assert more == replace(job, rev=6, orders=("o1", "o2"))
    assert more is not None
    other = jobs.assign(more, job_id="j1", courier="bo", order="o2").job
    assert other == replace(more, rev=7, courier="bo", state=JobState.ASSIGNED)


def test_a_closed_job_begins_again_with_the_new_order_alone() -> None:
    job = Job(id="j1", rev=5, state=JobState.DONE, courier="kim", orders=("o1", "o2"))
    assert jobs.assign(job, job_id="j1", courier="bo", order="o3").job == Job(id="j1", rev=6, state=JobState.ASSIGNED, courier="bo", orders=("o3",))


def test_a_job_has_a_largest_size() -> None:
    full = Job(id="j1", rev=5, state=JobState.ASSIGNED, courier="kim", orders=tuple(f"o{n}" for n in range(ORDERS_MAX)))
    decision = jobs.assign(full, job_id="j1", courier="kim", order="one more")
    assert decision == Decision(full, Outcome.REJECTED, Reason.TOO_MANY_EVENTS)
    assert jobs.assign(full, job_id="j1", courier="kim", order="o7").outcome is Outcome.NOOP


def test_a_job_without_its_last_order_is_released() -> None:
    job = Job(id="j1", rev=5, state=JobState.ACCEPTED, courier="kim", orders=("o1", "o2"))
    less = jobs.without(job, "o1")
    assert less == replace(job, rev=6, orders=("o2",))
    gone = jobs.without(less, "o2")
    assert (gone.state, gone.rev, gone.is_open) == (JobState.RELEASED, 7, False)


def test_a_job_closes_when_it_is_done() -> None:
    job = Job(id="j1", rev=5, state=JobState.ACCEPTED, courier="kim", orders=("o1",))
    assert jobs.done(job) == replace(job, rev=6, state=JobState.DONE)
    assert {s for s in JobState if replace(job, state=s).is_open} == OPEN_JOB_STATES


CARRIED_OUT = {"delivered", "returned", "lost", "destroyed", "cancelled", "available_for_pickup"}


@pytest.mark.parametrize("state", list(ParcelState))
def test_a_courier_has_nothing_more_to_do_for_a_parcel_that_arrived_or_is_gone(state: ParcelState) -> None:
    assert jobs.carried_out((state,)) is (state in CARRIED_OUT)
    assert jobs.carried_out((ParcelState.DELIVERED, state)) is (state in CARRIED_OUT)


def test_an_order_without_parcels_is_not_carried_out() -> None:
    assert not jobs.carried_out(())


def test_a_job_that_nobody_named_is_named_after_its_event() -> None:
    assert jobs.derived_job_id(b"\x01" * 16) == "j-" + "01" * 16


@settings(derandomize=True, deadline=None, max_examples=150)
@given(st.lists(st.sampled_from(list(REQUESTS)) | st.integers(0, 6), max_size=20))
def test_a_job_has_one_courier_at_a_time_and_its_rev_only_grows(requests: list[str | int]) -> None:
    """A number is a claim by kim for that rev: only the current rev of the job wins."""
    job: Job | None = None
    for request in requests:
        before = job
        decision = REQUESTS[request](job) if isinstance(request, str) else jobs.claim(job, courier="kim", rev=request)
        assert (decision.reason is None) is (decision.outcome in (Outcome.APPLIED, Outcome.NOOP))
        if isinstance(request, int) and decision.outcome is Outcome.APPLIED:
            assert before is not None
            assert (before.rev, before.courier, before.state) == (request, "kim", JobState.ASSIGNED)
        if decision.outcome is Outcome.APPLIED:
            assert decision.job is not None
            assert decision.job.rev == (before.rev if before else 0) + 1
        else:
            assert decision.job == before
        job = decision.job
