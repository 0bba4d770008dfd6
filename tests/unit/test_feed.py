"""A follower is sent what happened after it is stored, in sequence, and resumes from its cursor."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from helpers.bench import Bench

from bridge.outbound.feed import Feed, FeedLimits, Followed, Unwanted
from bridge.store.feeding import SqlLog


class Diary:
    """A follower that records what it is sent; the next `failures` sends fail."""

    name = "diary"

    def __init__(self) -> None:
        self.events: list[str] = []
        self.states: list[str] = []
        self.failures = 0

    async def send(self, followed: Followed) -> None:
        if self.failures:
            self.failures -= 1
            raise ConnectionError("no answer")
        self.events += [e.type for e in followed.events]
        self.states += [s.state for s in followed.statuses]


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with Bench(tmp_path / "site.db") as made:
        yield made


def log_of(bench: Bench) -> SqlLog:
    async def on_writer(work: Callable[[], Any]) -> Any:
        return work()

    return SqlLog(bench.engine, bench.store, on_writer)


def follow(bench: Bench, diary: Diary, **limits: Any) -> None:
    """Follow the event log to its end."""

    async def to_the_end() -> None:
        feed = Feed(log_of(bench), diary, FeedLimits(**limits))
        while await feed.step():
            pass

    asyncio.run(to_the_end())


def test_a_follower_is_sent_everything_in_portions_and_then_what_is_new(bench: Bench) -> None:
    diary = Diary()
    bench.create("PO-1")
    bench.tell("scan-1", "pack", "PO-1")
    follow(bench, diary, rows_max=2)
    assert (diary.events, diary.states) == (["created", "paid", "pack"], ["pending_payment", "paid", "packed"])
    bench.tell("scan-1", "load", "PO-1", {"vehicle": "v1"})
    follow(bench, diary)
    assert (diary.events[3:], diary.states[3:]) == (["load"], ["shipped"])


def test_what_could_not_be_sent_is_sent_again(bench: Bench) -> None:
    diary = Diary()
    bench.create("PO-1")
    diary.failures = 1
    with pytest.raises(ConnectionError):
        follow(bench, diary)
    follow(bench, diary)
    assert diary.events == ["created", "paid"]


def test_a_feed_goes_on_by_itself_after_a_failure(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    diary = Diary()
    bench.create("PO-1")
    diary.failures = 2

    async def until_sent() -> None:
        task = asyncio.create_task(Feed(log_of(bench), diary, FeedLimits(poll_s=0, retry_first_s=0, retry_max_s=0)).run())
        async with asyncio.timeout(10):
            while not diary.events:  # noqa: ASYNC110 -- a test observes from outside
                await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(until_sent())
    assert diary.events == ["created", "paid"]
    assert "diary could not be sent to (ConnectionError: no answer)" in caplog.text


def test_a_feed_that_fails_says_why_and_raises_the_alarm_only_after_its_time(bench: Bench) -> None:
    diary, said, parts = Diary(), [], iter([0.0] * 100)
    bench.create("PO-1")

    async def through(alert_after_s: float) -> list[str]:
        diary.failures = 3
        limits = FeedLimits(poll_s=0, retry_first_s=60, retry_max_s=300, alert_after_s=alert_after_s)
        feed = Feed(log_of(bench), diary, limits, on_trouble=said.append, jitter=lambda: next(parts))
        errors: list[str] = []
        task = asyncio.create_task(feed.run())
        async with asyncio.timeout(10):
            while not diary.events or feed.last_error:
                errors.append(feed.last_error)
                await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        diary.events.clear()
        return errors

    assert "no answer" in asyncio.run(through(3_600))
    assert said == []
    bench.tell("scan-1", "pack", "PO-1")
    asyncio.run(through(0))
    assert said == ["no answer", ""]


def test_a_receiver_that_wants_no_more_ends_the_feed(bench: Bench) -> None:
    class Full(Diary):
        async def send(self, followed: Followed) -> None:
            raise Unwanted("the book is full")

    bench.create("PO-1")
    with pytest.raises(Unwanted, match="the book is full"):
        asyncio.run(Feed(log_of(bench), Full(), FeedLimits(poll_s=0)).run())
