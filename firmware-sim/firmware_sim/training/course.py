"""The course: gives the tasks out, one after the other, sees in the store what the trainee did, and keeps the score."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import cbor2
from sqlalchemy import select

from bridge.store import tables as t
from bridge.store.queries import order_of
from devices.protocol import encoding
from devices.protocol.reasons import HoldReason
from firmware_sim.errors import SimError
from firmware_sim.served import Site
from firmware_sim.training.tasks import COURIER, PHONE, SCANNER, Step, Task, Told, done, is_mistake

POINTS_A_MISTAKE: Final = 5


@dataclass(slots=True, kw_only=True)
class Score:
    """What came of one task."""

    order: str
    title: str
    steps: int
    done: int = 0
    mistakes: int = 0
    seconds: float = 0.0

    @property
    def is_done(self) -> bool:
        return self.done == self.steps

    @property
    def points(self) -> int:
        """Of 100."""
        return max(0, round(100 * self.done / self.steps) - POINTS_A_MISTAKE * self.mistakes)


@dataclass(slots=True)
class News:
    """What is new since the last look: things told or answered anew, what was refused outright, and steps that are done now."""

    told: list[Told] = field(default_factory=list)
    refused: list[dict[str, Any]] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)


class Course:
    """Gives the tasks out, one after the other, and sees in the store what the trainee did."""

    def __init__(self, site: Site, tasks: Sequence[Task]) -> None:
        self.scores: list[Score] = []
        self.task: Task | None = None
        self._site = site
        self._tasks = list(tasks)
        self._answered: dict[int, int] = {}
        self._refused = len(self._refusals())
        self._from_pos = max((x.pos for x in self._told(0)), default=0)
        self._done: list[bool] = []
        self._released = False
        self._assigned = False
        self._began_s = 0.0

    @property
    def is_over(self) -> bool:
        return self.task is None and not self._tasks

    @property
    def next_task(self) -> Task:
        """What `begin` gives out."""
        return self._tasks[0]

    def begin(self) -> Task:
        """Create the next task's order, reserved for the trainee."""
        task = self.task = self._tasks.pop(0)
        self._site.create(task.order, task.lines)
        if task.is_held:
            self._site.tell("held", order=task.order, body={"reason": HoldReason.ADDRESS.value})
        self.scores.append(Score(order=task.order, title=task.title, steps=len(task.steps)))
        self._done = [False] * len(task.steps)
        self._released = self._assigned = False
        self._began_s = time.monotonic()
        return task

    def look(self) -> News:
        """What is new. The shop does its part here: it lets go of what it held, and gives what is staged to the courier.

        Raises:
            SimError: the site does not run any more.
        """
        if not self._site.is_running:
            raise SimError("the site ended by itself", fix="start the training again")
        news = News()
        told = self._told(self._from_pos)
        for x in told:
            if self._answered.get(x.pos, 0) < x.receipt["n"]:
                self._answered[x.pos] = x.receipt["n"]
                news.told.append(x)
        refusals = self._refusals()
        news.refused, self._refused = refusals[self._refused :], len(refusals)
        if self.task is not None:
            self._see(self.task, told, news)
        return news

    def _see(self, task: Task, told: list[Told], news: News) -> None:
        now = done(task, told)
        news.steps = [step for step, before, after in zip(task.steps, self._done, now, strict=True) if after and not before]
        self._done = now
        score = self.scores[-1]
        score.done = sum(now)
        score.mistakes += sum(is_mistake(task, x) for x in news.told) + len(news.refused)
        score.seconds = time.monotonic() - self._began_s
        if task.is_held and now[0] and not self._released:
            self._released = True
            self._site.tell("released", order=task.order, body={"reason": HoldReason.ADDRESS.value})
        if task.job is not None and not self._assigned and all(d for d, s in zip(now, task.steps, strict=True) if s.device == SCANNER):
            self._assigned = True
            self._site.assign(task.order, COURIER, job=task.job)
        if score.is_done:
            self.task = None

    def _told(self, after: int) -> list[Told]:
        columns = (t.events.c.pos, t.events.c.device, t.events.c.type, t.events.c.code, t.events.c.payload)
        query = (
            select(*columns, order_of().label("order"), t.receipts.c.payload.label("receipt"))
            .join(t.receipts, t.receipts.c.pos == t.events.c.pos)
            .where(t.events.c.device.in_((SCANNER, PHONE)), t.events.c.pos > after)
            .order_by(t.events.c.pos)
        )
        with self._site.reader.connect() as connection:
            return [
                Told(
                    pos=row.pos,
                    device=row.device,
                    type=row.type,
                    order=row.order,
                    code=row.code,
                    body=encoding.load(row.payload)["body"],
                    receipt=cbor2.loads(row.receipt),
                )
                for row in connection.execute(query)
            ]

    def _refusals(self) -> list[dict[str, Any]]:
        """What never became an event."""
        return [row for device in (SCANNER, PHONE) for row in self._site.refused(device) if row["pos"] is None]
