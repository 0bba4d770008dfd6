"""A phone's location arrives: which points of it are used. The others are counted, by device and reason; at QoS 1, a receipt tells the developer of them."""

from __future__ import annotations

from typing import Final, NamedTuple

from bridge.domain.access import Identity, Kind
from bridge.domain.codes.rules import HOUR_MS
from bridge.domain.duty import Duty
from bridge.domain.positions import Fix, distance_m, fault_of, is_outdated
from bridge.domain.view import digest8
from bridge.ingest.batch import Batch, LocationHeard, Sent
from bridge.ingest.entering import flush
from bridge.ingest.epochs import in_epoch
from bridge.ingest.items import Alarm, Incoming
from bridge.ingest.memory import DeviceEntry
from bridge.ingest.receipt import DETAIL_CHARS_MAX
from bridge.ingest.relation import Origin, Relation
from devices.protocol.messages import LocationBatch, Locations, Point, encode_cbor
from devices.protocol.vocabulary import AlertCode, EventType, Outcome, PointFault, Tone, Warn


class DroppedPointsRow(NamedTuple):
    """How many points of a phone were not used for one reason, when the last of them came, and what was wrong with it."""

    device: str
    reason: str
    points: int
    last_ms: int
    detail: str | None


DROPPED_POINTS: Final = Relation(
    name="dropped_points", row=DroppedPointsRow, key=("device", "reason"), origin=Origin.KEPT, note="points of phones that were not used, by reason"
)


class Dropped:
    """The points of one batch that are not used: how many, and what is wrong with the first of them, by reason."""

    __slots__ = ("details", "points")

    def __init__(self) -> None:
        self.points: dict[PointFault, int] = {}
        self.details: dict[PointFault, str] = {}

    def add(self, fault: PointFault, detail: str | None = None, points: int = 1) -> None:
        self.points[fault] = self.points.get(fault, 0) + points
        if detail is not None:
            self.details.setdefault(fault, detail)

    def __str__(self) -> str:
        """`1 malformed (points[1][4]: expected integer >= 0), 2 no_fix`."""
        return ", ".join(f"{points} {fault}" + (f" ({self.details[fault]})" if fault in self.details else "") for fault, points in self.points.items())


def locate(batch: Batch, incoming: Incoming, locations: Locations) -> Sent | None:
    """Pass on the points of a location that are used, and count the others. Returns the receipt that is due, if any."""
    message, received_ms = locations.batch, incoming.received_ms
    entry = batch.device(incoming.identity.device)
    entry.clock.heard(boot=message.boot, sent_mono_ms=message.sent_mono_ms, received_ms=received_ms)
    dropped = Dropped()
    if locations.broken:
        dropped.add(PointFault.MALFORMED, locations.fault, locations.broken)
    dated = _on_duty(batch, incoming.identity, _dated(batch, entry, message, received_ms, dropped), dropped)
    if dated and _is_sent_again(entry, incoming):
        dropped.add(PointFault.DUPLICATE, "the location was sent again", len(dated))
        dated = []
    fixes = _believed(batch, entry, dated, dropped)
    if dated:
        batch.heard(LocationHeard(incoming.identity, fixes, dated))
    _watch(batch, incoming, entry, dropped, is_used=bool(fixes) or not OFF_DUTY.isdisjoint(dropped.points))
    if not dropped.points:
        return None
    _count(batch, incoming, dropped)
    return _receipt(batch, incoming, dropped, used=len(fixes)) if incoming.qos else None


# --- which points are used ----------------------------------------------------------------------------------------------------


def _dated(batch: Batch, entry: DeviceEntry, message: LocationBatch, received_ms: int, dropped: Dropped) -> list[Fix]:
    """The points that can be used as far as each of them shows, with their times, in their order."""
    rules, sent_mono_ms = batch.rules.points, message.sent_mono_ms
    fixes: list[Fix] = []
    undated: list[Point] = []
    before: Point | None = None
    for point in sorted(message.points, key=_in_order):
        if point == before:
            dropped.add(PointFault.DUPLICATE)
            continue
        before = point
        if (fault := fault_of(point, sent_mono_ms, rules.accuracy_max_m)) is not None:
            dropped.add(fault, _detail(fault, point, message))
        elif (when := entry.clock.by_counter(boot=message.boot, mono_ms=point.mono_ms, received_ms=received_ms)) is not None:
            fix = Fix(when.event_ms, point.lat_e7, point.lon_e7, point.accuracy_m)
            if is_outdated(fix, received_ms, rules.backlog_max_ms):
                dropped.add(PointFault.OUTDATED, f"{(received_ms - fix.at_ms) / HOUR_MS:.1f} h old")
            else:
                fixes.append(fix)
        else:
            undated.append(point)
    if undated and not fixes:
        # Points have no wall clock. If the phone's counter can't be used, only the newest point has a time: that of its reception.
        point = undated.pop()
        fixes.append(Fix(received_ms, point.lat_e7, point.lon_e7, point.accuracy_m))
    if undated:
        dropped.add(PointFault.NO_TIME, "the phone's counter can't be used", len(undated))
    return fixes


def _is_sent_again(entry: DeviceEntry, incoming: Incoming) -> bool:
    """Whether this is the phone's last location once more: at QoS 1, its acknowledgement may have been lost."""
    digest = digest8(incoming.payload)
    was_last, entry.last_points = entry.last_points == digest, digest
    return was_last


def _on_duty(batch: Batch, identity: Identity, fixes: list[Fix], dropped: Dropped) -> list[Fix]:
    """The fixes from when the courier was at work, with a parcel on board. Nothing is kept of the others, only how many they are."""
    if any(arrived.row.device == identity.device or arrived.row.type == EventType.SHIFT_ENDED for arrived in batch.arrived):
        flush(batch)  # the phone may just have said that a break begins, or a desk that the shift has ended
    duties = batch.duties(identity.courier) if identity.courier is not None else None
    used: list[Fix] = []
    is_laden = identity.courier is not None and batch.memory.aboard.is_laden(identity.courier)
    for fix in fixes:
        fault = (_FAULT_OF_DUTY.get(duties.at(fix.at_ms)) if duties is not None else None) or (None if is_laden else PointFault.NOTHING_ON_BOARD)
        if fault is None:
            used.append(fix)
        else:
            dropped.add(fault)
    return used


_FAULT_OF_DUTY: Final = {Duty.OFF: PointFault.OFF_SHIFT, Duty.BREAK: PointFault.ON_BREAK}
OFF_DUTY: Final = frozenset({*_FAULT_OF_DUTY.values(), PointFault.NOTHING_ON_BOARD})
"""Faults of no phone: nobody may know where it was."""


def _believed(batch: Batch, entry: DeviceEntry, fixes: list[Fix], dropped: Dropped) -> list[Fix]:
    """The fixes that the phone can have reached from where it was before."""
    track, speed_max_m_s = entry.track, batch.rules.points.speed_max_m_s
    believed: list[Fix] = []
    for fix in fixes:
        if track.believe(fix, speed_max_m_s):
            believed.append(fix)
        elif track.previous is not None:
            dropped.add(PointFault.TOO_FAST, f"{distance_m(track.previous, fix) / 1_000:.1f} km from the point before")
    return believed


def _in_order(point: Point) -> tuple[int, ...]:
    return (point.mono_ms, point.lat_e7, point.lon_e7, point.accuracy_m)


def _detail(fault: PointFault, point: Point, message: LocationBatch) -> str | None:
    if fault is PointFault.INACCURATE:
        return f"accuracy_m {point.accuracy_m}"
    if fault is PointFault.NO_TIME:
        return f"mono_ms {point.mono_ms - message.sent_mono_ms} ms after sent_mono_ms"
    return None


# --- who is told of the others ------------------------------------------------------------------------------------------------


def _count(batch: Batch, incoming: Incoming, dropped: Dropped) -> None:
    rows, device = batch.writes.keyed(DROPPED_POINTS), incoming.identity.device
    for fault, points in dropped.points.items():
        key = (device, fault.value)
        before = rows.get(key) or next(iter(batch.tx.rows(DROPPED_POINTS, device=device, reason=fault.value)), None)
        so_far = before.points if before is not None else 0
        rows[key] = DroppedPointsRow(device, fault.value, so_far + points, incoming.received_ms, dropped.details.get(fault))


def _watch(batch: Batch, incoming: Incoming, entry: DeviceEntry, dropped: Dropped, *, is_used: bool) -> None:
    """Raise the alert about a phone if none of its points was used for some time, and clear it with the first that is."""
    if is_used:
        if entry.lost_since_ms != 0:
            _alarm(batch, incoming)
        entry.lost_since_ms = 0
        return
    entry.lost_since_ms = entry.lost_since_ms or incoming.received_ms
    lost_ms = incoming.received_ms - entry.lost_since_ms
    if lost_ms >= batch.rules.position_alert_after_ms:
        device = incoming.identity.device
        _alarm(
            batch,
            incoming,
            f"No point that {device} sent in the last {lost_ms // 60_000} min could be used; of the last ones: {', '.join(dropped.points)}.",
            f"Let its app use the precise location. `dockbridge device show {device}` shows why its points are not used.",
        )


def _alarm(batch: Batch, incoming: Incoming, text: str = "", fix: str = "") -> None:
    batch.heard(Alarm(received_ms=incoming.received_ms, code=AlertCode.NO_POSITION, subject=incoming.identity.device, text=text, fix=fix))


def _receipt(batch: Batch, incoming: Incoming, dropped: Dropped, *, used: int) -> Sent:
    """A receipt for the developer. It does not beep: the courier can do nothing about it."""
    points = sum(dropped.points.values())
    plain = {
        "n": 1,
        "final": True,
        "outcome": (Outcome.APPLIED if used else Outcome.NOOP).value,
        "tone": Tone.OK.value,
        "quiet": True,
        "at_ms": batch.now_ms,
        "digest": digest8(incoming.payload),
        "type": Kind.LOCATION.value,
        "warn": [Warn.POINTS_DROPPED.value],
        "detail": f"{points} of {used + points} points were not used: {dropped}"[:DETAIL_CHARS_MAX],
    }
    return Sent(incoming.identity.device, encode_cbor(in_epoch(plain, batch.rules.epoch)))
