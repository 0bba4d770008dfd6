"""The courier's phone: jobs come in, what happens at the door goes out, and so does where the courier is."""

from __future__ import annotations

import math
import re
import threading
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Unpack

from devices import outbox as ob
from devices.clock import Clock
from devices.device import Device
from devices.errors import InvalidEvent
from devices.jobs import JOBS_MAX, Jobs
from devices.mail import Mail
from devices.protocol import bodies
from devices.protocol.bridge_messages import Assignment
from devices.protocol.device_messages import POINTS_MAX as BATCH_POINTS_MAX
from devices.protocol.device_messages import LocationBatch, Point
from devices.protocol.encoding import PayloadError, convert, encode
from devices.protocol.reasons import AttemptReason, DeclineReason, RefusalReason, ReturnReason
from devices.protocol.topics import Topics
from devices.protocol.vocabulary import EventType
from devices.scan import Scan, Scanned, one_of
from devices.traffic import Incoming, Outgoing

POINTS_MAX = 20_000
"""A day of driving at one point every five seconds."""


class _Locations:
    """Points on their way: live ones at QoS 0, those made without a connection at QoS 1. The oldest give way to the newest.

    Kept in memory only: after a restart the next point tells where the courier is.
    """

    def __init__(self, topic: str, outbox: ob.Outbox, clock: Clock, *, points_max: int) -> None:
        self._topic = topic
        self._outbox = outbox
        self._clock = clock
        self._lock = threading.Lock()
        self._live: deque[Point] = deque(maxlen=points_max)
        self._backlog: deque[Point] = deque(maxlen=points_max)
        self._sent: list[tuple[Point, ...]] = []

    def add(self, points: Iterable[Point]) -> None:
        with self._lock:
            self._live.extend(points)

    def connected(self) -> None:
        """Whatever is here now was not live."""
        with self._lock:
            waiting = [*(point for batch in self._sent for point in batch), *self._backlog, *self._live]
            self._sent.clear()
            self._backlog.clear()
            self._live.clear()
            self._backlog.extend(sorted(waiting, key=lambda point: point.mono_ms))

    def take(self, room: int) -> list[Outgoing]:
        with self._lock:
            live: list[Outgoing] = []
            while self._live:
                live.append(self._batch(_some(self._live), qos=0))
            backlog: list[Outgoing] = []
            while self._backlog and len(backlog) < room:
                self._sent.append(_some(self._backlog))
                backlog.append(self._batch(self._sent[-1], qos=1))
            return live + backlog

    def done(self, points: tuple[Point, ...]) -> None:
        with self._lock:
            self._sent = [batch for batch in self._sent if batch is not points]

    def _batch(self, points: tuple[Point, ...], *, qos: int) -> Outgoing:
        batch = LocationBatch(log=self._outbox.log, boot=self._clock.boot, sent_mono_ms=self._clock.mono_ms(), points=list(points))
        return Outgoing(topic=self._topic, payload=encode(batch), qos=qos, ticket=points)


def _some(points: deque[Point]) -> tuple[Point, ...]:
    return tuple(points.popleft() for _ in range(min(len(points), BATCH_POINTS_MAX)))


class _CourierMail(Mail):
    """A device's mail, with jobs coming in and locations going out."""

    def __init__(self, courier: Courier, topics: Topics, outbox: ob.Outbox) -> None:
        super().__init__(
            courier.device,
            topics,
            outbox,
            courier.clock,
            firmware=courier.firmware,
            battery=courier.battery,
            on_receipt=courier.on_receipt,
        )
        self._filter = topics.assignments(courier.courier)
        self.locations = _Locations(topics.location(courier.device), outbox, courier.clock, points_max=courier.points_max)
        retained = outbox.retained()
        kept = {topic: payload for topic, payload in retained.items() if self._is_job(topic)}
        self._jobs = Jobs.kept(kept, jobs_max=courier.jobs_max, epoch=0 if self.bridge_state is None else self.bridge_state.epoch)
        # The jobs of the courier who had this phone before.
        self._not_ours = {topic: b"" for topic in retained if topic not in kept and topic not in self.filters()}

    @property
    def jobs(self) -> dict[str, Assignment]:
        return {job.assignment.job: job.assignment for job in self._jobs.known.values()}

    def filters(self) -> Sequence[str]:
        receipts, state = super().filters()
        return (receipts, self._filter, state)

    def connected(self, *, session_present: bool) -> None:
        super().connected(session_present=session_present)
        self.locations.connected()
        self._jobs = self._jobs.connected(session_present=session_present)

    def subscribed(self, denied: Sequence[str]) -> None:
        super().subscribed(denied)
        if self.filters()[-1] in denied and not self._jobs.is_confirmed:
            # Nothing will say when the list is complete. It is forgotten before it comes.
            self._change([], [], self._jobs.listed(self._jobs.epoch))

    def take(self, room: int) -> Sequence[Outgoing]:
        events = super().take(room)
        return [*events, *self.locations.take(room - len(events))]

    def settle(self, acknowledged: Sequence[Outgoing], incoming: Sequence[Incoming]) -> bool:
        for outgoing in acknowledged:
            if isinstance(outgoing.ticket, tuple):
                self.locations.done(outgoing.ticket)
        jobs = self._jobs
        for message in incoming:
            if self._is_job(message.topic):
                jobs = jobs.noted(message.topic, message.payload)
            elif message.retain and (state := self.state_in(message)) is not None:
                jobs = jobs.listed(state.epoch)
        return self._change(acknowledged, incoming, jobs)

    def _change(self, acknowledged: Sequence[Outgoing], incoming: Sequence[Incoming], jobs: Jobs) -> bool:
        if not self._settle(acknowledged, incoming, jobs.changes_from(self._jobs) | self._not_ours):
            return False
        self._jobs, self._not_ours = jobs, {}
        self.changed()
        return True

    def _is_job(self, topic: str) -> bool:
        return topic.startswith(self._filter[:-1])


@dataclass(kw_only=True, eq=False)
class Courier(Device):
    """A courier's phone: everything it reports is safe on its disk when the method returns.

    Every method takes what was scanned as `order` (positional), `parcel`, `code` (the raw text), `at` and `by`, and returns a `Scan`.
    """

    courier: str
    """The courier's id: whose jobs come to this phone."""
    points_max: int = POINTS_MAX
    """How many points wait for a connection at most."""
    jobs_max: int = JOBS_MAX

    # --- jobs ------------------------------------------------------------------------------------------------------------

    @property
    def jobs(self) -> dict[str, Assignment]:
        """The courier's open jobs by id, as last heard; also after a restart without signal."""
        return self._courier_mail.jobs

    def wait_job(self, timeout_s: float | None = None, *, job: str | None = None) -> Assignment:
        """An open job, waiting for it: the one named, or any.

        Raises:
            NotDelivered: none within `timeout_s` seconds (`RefusedByServer` if the server refuses this device).
            Closed: the device was closed.
        """

        def look() -> Assignment | None:
            jobs = self.jobs
            return jobs.get(job) if job is not None else next(iter(jobs.values()), None)

        return self._mail.wait(look, timeout_s)

    def claim(self, job: str, *, rev: int | None = None, **scanned: Unpack[Scanned]) -> Scan:
        """Takes a job, as it stood at `rev`; None is what this phone last heard of it.

        Raises:
            InvalidEvent: `rev` is not given, and this phone has not heard of the job.
        """
        if rev is None:
            if job not in self.jobs:
                raise InvalidEvent(f"no open job {job!r} is known here: give its rev")
            rev = self.jobs[job].rev
        return self.send(EventType.CLAIM, bodies.Claim(job=job, rev=rev), **scanned)

    def decline(self, job: str, *, reason: DeclineReason | str, **scanned: Unpack[Scanned]) -> Scan:
        """Leaves a job to others."""
        return self.send(EventType.DECLINE, bodies.Decline(job=job, reason=one_of(DeclineReason, reason)), **scanned)

    # --- parcels ---------------------------------------------------------------------------------------------------------

    def pickup(self, order: str | None = None, **scanned: Unpack[Scanned]) -> Scan:
        """The courier has a parcel."""
        return self.send(EventType.PICKUP, order=order, **scanned)

    def out_for_delivery(self, order: str | None = None, *, stop_seq: int | None = None, **scanned: Unpack[Scanned]) -> Scan:
        """The courier is on the way with a parcel, whose stop is number `stop_seq` of the tour."""
        return self.send(EventType.OUT_FOR_DELIVERY, bodies.OutForDelivery(stop_seq=stop_seq), order=order, **scanned)

    def stop_arrived(self, order: str | None = None, *, stop: str, **scanned: Unpack[Scanned]) -> Scan:
        """The courier is at a stop."""
        return self.send(EventType.STOP_ARRIVED, bodies.StopArrived(stop=stop), order=order, **scanned)

    def attempt_failed(self, order: str | None = None, *, reason: AttemptReason | str, **scanned: Unpack[Scanned]) -> Scan:
        """A parcel could not be handed over."""
        return self.send(EventType.ATTEMPT_FAILED, bodies.Because(reason=one_of(AttemptReason, reason)), order=order, **scanned)

    def available_for_pickup(self, order: str | None = None, *, point: str, until_ms: int | None = None, **scanned: Unpack[Scanned]) -> Scan:
        """A parcel waits at a pickup point, until a time in ms since 1970 UTC."""
        return self.send(EventType.AVAILABLE_FOR_PICKUP, bodies.AvailableForPickup(point=point, until_ms=until_ms), order=order, **scanned)

    def refused(self, order: str | None = None, *, reason: RefusalReason | str, **scanned: Unpack[Scanned]) -> Scan:
        """The recipient does not want a parcel."""
        return self.send(EventType.REFUSED, bodies.Because(reason=one_of(RefusalReason, reason)), order=order, **scanned)

    def return_started(self, order: str | None = None, *, reason: ReturnReason | str, **scanned: Unpack[Scanned]) -> Scan:
        """A parcel goes back."""
        return self.send(EventType.RETURN_STARTED, bodies.Because(reason=one_of(ReturnReason, reason)), order=order, **scanned)

    def cash_counted(self, amount_minor: int, currency: str, **scanned: Unpack[Scanned]) -> Scan:
        """How much cash of the shift is handed in, by the courier's own count: minor units (cents) of a currency (ISO 4217)."""
        body = bodies.CashCounted(courier=self.courier, amount_minor=amount_minor, currency=currency)
        return self.send(EventType.CASH_COUNTED, body, **scanned)

    # --- where the courier is --------------------------------------------------------------------------------------------

    def location(self, lat: float, lon: float, *, accuracy_m: float, speed_m_s: float | None = None) -> None:
        """The courier is here now: degrees, metres, metres per second. 0, 0 is not sent: receivers say so while they have no fix.

        Raises:
            InvalidEvent: a value is not a finite number, or is out of range.
        """
        for name, value in (("lat", lat), ("lon", lon), ("accuracy_m", accuracy_m), ("speed_m_s", speed_m_s)):
            if value is not None and not math.isfinite(value):
                raise InvalidEvent(f"{name}: {value} is not a finite number")
        speed_dm_s = None if speed_m_s is None else round(speed_m_s * 10)
        self.locations([Point(self.clock.mono_ms(), round(lat * 1e7), round(lon * 1e7), math.ceil(accuracy_m), speed_dm_s)])

    def locations(self, points: Iterable[Point]) -> None:
        """The courier was here, at times of this boot's monotonic clock. Without a connection the newest `points_max` are kept, in memory. Points at 0, 0 are
        not sent.

        Raises:
            InvalidEvent: a value is not a number, or is out of range.
        """
        checked = [_checked_point(point) for point in points]
        self._courier_mail.locations.add([point for point in checked if point.has_fix])
        self.connection.wake()

    # --- below -----------------------------------------------------------------------------------------------------------

    def _new_mail(self) -> Mail:
        self._courier_mail = _CourierMail(self, self._topics, self._outbox)
        return self._courier_mail


def _checked_point(point: Point) -> Point:
    value: Any = [point.mono_ms, point.lat_e7, point.lon_e7, point.accuracy_m, point.speed_dm_s]
    try:
        return convert(value, Point)
    except PayloadError as error:
        raise InvalidEvent(_PLACE.sub(_name_place, str(error))) from error


_PLACE = re.compile(r"\$\[(\d)\]")


def _name_place(place: re.Match[str]) -> str:
    """The field of a point that an error names by its place in the array."""
    return Point.__struct_fields__[int(place[1])]
