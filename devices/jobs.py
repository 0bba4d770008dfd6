"""A courier's open jobs, as the phone knows them."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final, NamedTuple, Self

from devices.protocol.bridge_messages import Assignment
from devices.protocol.encoding import PayloadError
from devices.protocol.later_editions import decode_later
from devices.protocol.vocabulary import OPEN_JOB_STATES

JOBS_MAX: Final = 1_000

log = logging.getLogger(__name__)


class _Job(NamedTuple):
    assignment: Assignment
    payload: bytes

    @property
    def rank(self) -> tuple[int, int]:
        return self.assignment.epoch, self.assignment.rev


@dataclass(frozen=True, slots=True)
class Jobs:
    """The open jobs by topic: the ones `known`, and those of them `heard` of since the server began to list them. What is heard makes a new `Jobs`.

    Each subscription brings all open jobs, as they are retained. The server's own state is subscribed to last, so the list is complete when that comes. If the
    server had forgotten the phone (no session), or its database was restored (a higher epoch), it will not say which jobs have ended: those that were not on
    the list have. Until then the phone shows what it knew, for a connection may end at any moment.
    """

    jobs_max: int = JOBS_MAX
    epoch: int = 0
    known: Mapping[str, _Job] = field(default_factory=dict)
    heard: Mapping[str, _Job] = field(default_factory=dict)
    is_confirmed: bool = False
    """False until a list was complete: at the start, and after the server had forgotten the phone."""

    @classmethod
    def kept(cls, retained: Mapping[str, bytes], *, jobs_max: int, epoch: int) -> Self:
        """What the phone knew before it was started."""
        jobs = cls(jobs_max, epoch)
        for topic, payload in retained.items():
            jobs = jobs.noted(topic, payload)
        return replace(jobs, heard={})

    def connected(self, *, session_present: bool) -> Self:
        """A new connection: the server lists the jobs again. A list that was cut off goes on in the same session."""
        if session_present and not self.is_confirmed:
            return self
        return replace(self, heard={}, is_confirmed=self.is_confirmed and session_present)

    def noted(self, topic: str, payload: bytes) -> Self:
        """With an assignment, or with an empty payload its end. The highest (`epoch`, `rev`) holds."""
        try:
            job = _Job(decode_later(payload, Assignment), payload) if payload else None
        except PayloadError as error:
            log.warning("an assignment on %s that cannot be read: %s", topic, error)
            return self
        return replace(self, known=self._with(self.known, topic, job), heard=self._with(self.heard, topic, job))

    def listed(self, epoch: int) -> Self:
        """The list is complete; `epoch` is the server's."""
        if self.is_confirmed and epoch <= self.epoch:
            return self
        return replace(self, epoch=epoch, known=self.heard, is_confirmed=True)

    def changes_from(self, before: Jobs) -> dict[str, bytes]:
        """What is retained on which topic now, and was not before; nothing is an empty payload."""
        if self.known is before.known:
            return {}
        gone = {topic: b"" for topic in before.known if topic not in self.known}
        return gone | {topic: job.payload for topic, job in self.known.items() if before.known.get(topic) != job}

    def _with(self, jobs: Mapping[str, _Job], topic: str, job: _Job | None) -> Mapping[str, _Job]:
        known = jobs.get(topic)
        if job is not None and known is not None and job.rank < known.rank:
            return jobs
        if job is None or job.assignment.state not in OPEN_JOB_STATES:
            return {name: other for name, other in jobs.items() if name != topic}
        if known is None and len(jobs) >= self.jobs_max:
            log.warning("over %d open jobs: %s is left out", self.jobs_max, topic)
            return jobs
        return {**jobs, topic: job}
