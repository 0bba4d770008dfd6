"""A courier's phone knows its open jobs: without signal, after a restart, and when a server that was restored from a backup has other ones.

Every subscription brings the whole list. The server's own state, subscribed to last, says that it is complete.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from helpers.fake_broker import FakeBroker
from helpers.handhelds import NOBODY, RECEIPTS, STATE, Clock, read, receipt_for, settings_of, state_of_server
from helpers.waiting import DEADLINE_S, until

from devices import Courier, InvalidEvent, NotDelivered
from devices.jobs import Jobs
from devices.protocol.messages import Assignment, Stop, encode
from devices.protocol.vocabulary import JobState

JOBS = "v1/ams1/couriers/anna/assignments"
FIRST = f"{JOBS}/job-1"
SECOND = f"{JOBS}/job-2"


@pytest.fixture
def broker() -> Iterator[FakeBroker]:
    with FakeBroker() as fake:
        fake.retained[STATE] = state_of_server()
        yield fake


@pytest.fixture
def at(tmp_path: Path) -> dict[str, Any]:
    return {**settings_of(tmp_path, Clock()), "courier": "anna"}


def job(rev: int = 3, state: JobState = JobState.ASSIGNED, *, name: str = "job-1", epoch: int = 0) -> bytes:
    stop = Stop(stop="s1", orders=["PO-17"], parcels=["P1"], codes=["0034"], handling=[])
    return encode(Assignment(job=name, rev=rev, state=state, stops=[stop], epoch=epoch))


TURNS = count(1)


def listen(broker: FakeBroker, courier: Courier) -> None:
    """Waits until the phone has taken in all that was published to it so far."""
    turn = next(TURNS)
    broker.send(RECEIPTS, receipt_for(bytes(16), n=turn))
    until(lambda: courier.receipt_of(bytes(16), DEADLINE_S).n == turn, "the phone")


def come_back(broker: FakeBroker, *, session_present: bool) -> None:
    """The connection is lost; the phone has subscribed again, and has what is retained."""
    broker.session_present = session_present
    before = len(broker.published)
    broker.cut()
    broker.until(lambda: len(broker.published) > before)


def revs(courier: Courier) -> dict[str, tuple[int, int]]:
    return {name: (assignment.epoch, assignment.rev) for name, assignment in courier.jobs.items()}


def test_jobs_appear_and_are_cleared(broker: FakeBroker, at: dict[str, Any]) -> None:
    broker.retained[FIRST] = job()
    with Courier(**at, port=broker.port) as courier:
        assert courier.wait_job(DEADLINE_S).stops[0].codes == ["0034"]
        courier.claim("job-1").wait_acknowledged(DEADLINE_S)
        broker.send(FIRST, job(4, JobState.ACCEPTED))
        listen(broker, courier)
        assert courier.jobs["job-1"].rev == 4
        broker.send(FIRST, b"")
        listen(broker, courier)
        assert courier.jobs == {}
        with pytest.raises(NotDelivered):
            courier.wait_job(0, job="job-1")
        with pytest.raises(InvalidEvent):
            courier.claim("job-1")
    assert broker.steps[1:4] == [("subscribe", RECEIPTS), ("subscribe", f"{JOBS}/+"), ("subscribe", STATE)]
    assert read(broker.events()[0]).body.rev == 3


def test_the_highest_revision_of_a_job_holds(broker: FakeBroker, at: dict[str, Any]) -> None:
    broker.retained[FIRST] = job(5)
    with Courier(**at, port=broker.port) as courier:
        courier.wait_job(DEADLINE_S)
        broker.send(FIRST, job(4, JobState.DECLINED))
        broker.send(FIRST, job(4))
        listen(broker, courier)
        assert revs(courier) == {"job-1": (0, 5)}


def test_a_job_is_known_after_a_restart_without_signal(broker: FakeBroker, at: dict[str, Any]) -> None:
    broker.retained[FIRST] = job()
    with Courier(**at, port=broker.port) as courier:
        courier.wait_job(DEADLINE_S)
        listen(broker, courier)
    with Courier(**at, port=NOBODY) as offline:
        assert list(offline.jobs) == ["job-1"]


def test_the_jobs_of_another_courier_leave_the_phone(broker: FakeBroker, at: dict[str, Any]) -> None:
    broker.retained[FIRST] = job()
    with Courier(**at, port=broker.port) as annas:
        annas.wait_job(DEADLINE_S)
        listen(broker, annas)
    with Courier(**{**at, "courier": "bob"}, port=broker.port) as bobs:
        bobs.wait_connected(DEADLINE_S)
        listen(broker, bobs)
        assert bobs.jobs == {}
        assert list(bobs._outbox.retained()) == [STATE]


@pytest.mark.parametrize(("session_present", "left"), [(False, []), (True, ["job-1"])])
def test_a_job_that_a_forgetful_server_no_longer_has_goes(broker: FakeBroker, at: dict[str, Any], session_present: bool, left: list[str]) -> None:
    """A server that remembers the phone says itself which jobs have ended."""
    broker.retained[FIRST] = job()
    with Courier(**at, port=broker.port) as courier:
        courier.wait_job(DEADLINE_S)
        listen(broker, courier)
        del broker.retained[FIRST]
        come_back(broker, session_present=session_present)
        listen(broker, courier)
        assert list(courier.jobs) == left
    with Courier(**at, port=NOBODY) as offline:
        assert list(offline.jobs) == left


def test_a_phone_shows_what_it_knew_until_the_list_is_complete(broker: FakeBroker, at: dict[str, Any]) -> None:
    """The signal is lost while the list comes: a courier without any jobs would be worse than one with an old job."""
    broker.retained |= {FIRST: job(), SECOND: job(name="job-2")}
    with Courier(**at, port=broker.port) as courier:
        courier.wait_job(DEADLINE_S)
        listen(broker, courier)
        del broker.retained[FIRST], broker.retained[STATE]
        come_back(broker, session_present=False)
        listen(broker, courier)
        assert sorted(courier.jobs) == ["job-1", "job-2"]
        broker.retained[STATE] = state_of_server()
        come_back(broker, session_present=True)
        listen(broker, courier)
        assert sorted(courier.jobs) == ["job-2"]


@pytest.mark.parametrize("session_present", [False, True])
@pytest.mark.parametrize("epoch", [0, 1])
def test_a_restored_server_has_the_last_word(broker: FakeBroker, at: dict[str, Any], session_present: bool, epoch: int) -> None:
    """Its job-1 is older than the phone's, and it never heard of job-2; whether it says the epoch with each job or not."""
    broker.retained |= {FIRST: job(7), SECOND: job(2, name="job-2")}
    with Courier(**at, port=broker.port) as courier:
        courier.wait_job(DEADLINE_S)
        listen(broker, courier)
        del broker.retained[SECOND]
        broker.retained |= {FIRST: job(3, epoch=epoch), STATE: state_of_server(epoch=1)}
        come_back(broker, session_present=session_present)
        listen(broker, courier)
        assert revs(courier) == {"job-1": (epoch, 3)}
        assert courier.bridge_state is not None
        assert courier.bridge_state.epoch == 1


def test_what_was_said_before_the_restore_comes_too_late(broker: FakeBroker, at: dict[str, Any]) -> None:
    broker.retained |= {FIRST: job(3, epoch=1), STATE: state_of_server(epoch=1)}
    with Courier(**at, port=broker.port) as courier:
        courier.wait_job(DEADLINE_S)
        broker.send(FIRST, job(9, JobState.RELEASED))
        listen(broker, courier)
        assert revs(courier) == {"job-1": (1, 3)}


def test_with_a_server_that_does_not_speak_of_itself_the_list_begins_anew(broker: FakeBroker, at: dict[str, Any]) -> None:
    broker.denied.add(STATE)
    broker.retained |= {FIRST: job(), SECOND: job(name="job-2")}
    with Courier(**at, port=broker.port) as courier:
        courier.wait_job(DEADLINE_S)
        listen(broker, courier)
        del broker.retained[FIRST]
        come_back(broker, session_present=False)
        listen(broker, courier)
        assert list(courier.jobs) == ["job-2"]
        assert courier.connection.denied == (STATE,)


def test_a_list_that_was_cut_off_goes_on_in_the_same_session() -> None:
    """What the phone acknowledged on the first connection does not come again before the end of that list, which the session still owes it."""
    jobs = Jobs.kept({FIRST: job(), SECOND: job(name="job-2")}, jobs_max=10, epoch=0)
    cut_off = jobs.connected(session_present=False).noted(FIRST, job())
    complete = cut_off.connected(session_present=True).noted(SECOND, job(name="job-2")).listed(0)
    assert set(complete.known) == {FIRST, SECOND}
    assert set(cut_off.connected(session_present=False).listed(0).known) == set(), "unless the session has ended, too"
    assert set(complete.connected(session_present=True).listed(0).known) == {FIRST, SECOND}


def test_no_more_jobs_than_agreed() -> None:
    jobs = Jobs(jobs_max=1).noted(FIRST, job()).noted(SECOND, job(name="job-2")).noted(FIRST, job(4))
    assert [(topic, held.assignment.rev) for topic, held in jobs.known.items()] == [(FIRST, 4)]
