"""Alerts: each code and subject has at most one, which stays retained until its cause has ended."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from bridge.domain.contradictions import concerns_carrier, contradictions_of
from bridge.domain.event_time import Shown
from bridge.domain.order.flags import standing_alerts
from bridge.domain.refs import Ref, RefKind
from bridge.domain.view import digest8
from bridge.ingest.batch import NAME_CHARS_MAX, Batch, Refused, Started
from bridge.ingest.channel_files import CHANNEL_FILE_GONE, CHANNEL_FILES
from bridge.ingest.items import AcknowledgeAlert, Alarm, ShutOut, SilenceAlerts
from bridge.ingest.locating import DROPPED_POINTS
from bridge.ingest.memory import OrderEntry
from bridge.ingest.ports import Transaction
from bridge.ingest.relation import Deletion, Origin, Relation
from bridge.ingest.seam import Quiet, TopicFamily
from bridge.projections.alert_marks import ALERT_ACKS, ALERT_SILENCES, EVERY, Marks
from bridge.words import counted
from devices.protocol.claims import CLAIM_PREFIX
from devices.protocol.vocabulary import AlertCode, Reason, Role, Severity


class AlertRow(NamedTuple):
    """A raised alert."""

    code: str
    subject: str
    severity: str
    since_ms: int
    text: str
    fix: str


class OrderAlert(NamedTuple):
    """The text of an alert about an order."""

    code: AlertCode
    severity: Severity
    text: str
    fix: str


ORDER_ALERTS: Final = (
    OrderAlert(
        AlertCode.MOVED_ON_HOLD, Severity.CRITICAL, "Order {order} was moved while it was on hold.", "Stop the parcel and unload it, or release the hold."
    ),
    OrderAlert(
        AlertCode.MOVED_AFTER_CANCEL,
        Severity.CRITICAL,
        "Order {order} was cancelled, but one of its parcels is on its way.",
        "Call the courier back, or start a return when it arrives.",
    ),
    OrderAlert(
        AlertCode.NOT_YOUR_JOB,
        Severity.WARNING,
        "A parcel of order {order} is, or was, in the hands of a courier to whom it is not assigned.",
        "Assign the order to the courier who has it, or let the right one pick it up.",
    ),
    OrderAlert(
        AlertCode.WRONG_CARRIER,
        Severity.CRITICAL,
        "A parcel of order {order} was loaded for another carrier than its own.",
        "Take it out of the vehicle and scan `unload`; or, if this carrier may take it, `dockbridge orders amend` its carrier.",
    ),
    OrderAlert(
        AlertCode.LABEL_MOVED,
        Severity.CRITICAL,
        "The label of a parcel of order {order} was put on a parcel of another order.",
        "Find both boxes and compare what is in them. Put a new label on this order's box, or void the scan that moved its label.",
    ),
    OrderAlert(
        AlertCode.LOST, Severity.WARNING, "A parcel of order {order} is lost.", "Search for it and scan it, or send the goods again; or cancel the order."
    ),
    OrderAlert(AlertCode.DAMAGED, Severity.WARNING, "A parcel of order {order} is damaged.", "Repack it, or bring it back; the customer may have to be told."),
    OrderAlert(AlertCode.REFUSED, Severity.WARNING, "The recipient refused a parcel of order {order}.", "Ask the recipient, and expect it at the dock."),
    OrderAlert(
        AlertCode.CONTRADICTION,
        Severity.WARNING,
        "What a carrier says of order {order} and what was scanned here can't both be true.",
        "`dockbridge carriers contradictions` shows both. Find the parcel, and void the event that is wrong.",
    ),
    OrderAlert(
        AlertCode.ATTEMPTS,
        Severity.WARNING,
        "A parcel of order {order} could not be delivered, again and again.",
        "Agree on a time or a pickup point with the recipient, or start a return.",
    ),
)
_TEXT_OF: Final = {alert.code: alert for alert in ORDER_ALERTS}
_CLOCK_ALERTS: Final = {
    Shown.UNSET: (
        "The clock of device {device} is not set.",
        "Set it, or connect the device to a time server. If it is lost at each start, replace its battery.",
    ),
    Shown.OFF: ("The clock of device {device} is wrong by an hour or more.", "Set it, or connect the device to a time server; check its time zone."),
    Shown.UNIT: ("Device {device} sends at_ms in another unit than milliseconds.", "Correct its firmware or feed: at_ms is in milliseconds since 1970 UTC."),
    Shown.CONTRADICTED: (
        "Device {device} sent events with a time that can't be right.",
        "Check its clock and its battery. `dockbridge orders explain` shows how such an event was dated.",
    ),
}
"""The text and the fix of the alert about a device's clock."""
ALERTS: Final = Relation(
    name="alerts",
    row=AlertRow,
    key=("code", "subject"),
    origin=Origin.DERIVED,
    # Alerts of orders are derived from the log; the others depend on connections, or on what is missing at the moment.
    derived_if=("code", frozenset(a.code.value for a in ORDER_ALERTS)),
    note="alerts that stand",
)
ALERT_GONE: Final = Deletion(ALERTS, ("code", "subject"))

_AWAITED: Final = {RefKind.ORDER: "order {} to be created", RefKind.CODE: "a parcel with the code {}", RefKind.EVENT: "event {}"}


_COUNTED_IN_MEMORY: Final = frozenset({AlertCode.LOGINS, AlertCode.CLIENT_ID, AlertCode.PACKET_SIZE, AlertCode.BACKUP, AlertCode.NOTICES})
"""What raises these is counted in memory, so an alert from before a start is over."""


_FOLLOWED: Final = frozenset({AlertCode.LOGINS, AlertCode.BACKUP, AlertCode.NOTICES})
"""What raises these says them anew when there are more of them, or for another reason."""
_NONE: Final[frozenset[AlertCode]] = frozenset()
_OF_CARRIERS: Final = frozenset({AlertCode.CONTRADICTION})
_ABOUT_DEVICES: Final = (
    *(AlertCode.GAP, AlertCode.FORBIDDEN, AlertCode.QUARANTINE, AlertCode.DROPPED, AlertCode.LOGINS, AlertCode.CLIENT_ID, AlertCode.PACKET_SIZE),
    *(AlertCode.CLOCK, AlertCode.NO_POSITION, AlertCode.STALE_CHANNEL),
)
"""Alerts whose subject is a device. None stands for one that is shut out."""


HOUR_MS: Final = 3_600_000
_POINTS_FORGOTTEN_MS: Final = 86_400_000
"""A phone that has sent no point for this long is no longer in use: its alert is over."""


class Alerts(Quiet):
    """Raises and clears alerts; a sweep handles those about what is missing."""

    relations = (ALERTS, ALERT_ACKS, ALERT_SILENCES)
    topics = (TopicFamily("alerts/+/+", frozenset({Role.DESK})),)
    hears = frozenset({Refused, Alarm, ShutOut, Started, AcknowledgeAlert, SilenceAlerts})

    def __init__(self) -> None:
        self._raised: dict[tuple[str, str], tuple[str, int]] = {}
        """The text of each alert that is raised, and since when it is."""
        self._about_orders: dict[str, frozenset[AlertCode]] = {}
        self._marks = Marks()

    def load(self, tx: Transaction) -> None:
        self._raised = {(row.code, row.subject): (row.text, row.since_ms) for row in tx.rows(ALERTS)}
        self._marks.load(tx)
        for code, order_id in self._raised:
            if code in _TEXT_OF:
                self._about_orders[order_id] = self._about_orders.get(order_id, frozenset()) | {AlertCode(code)}

    def forget(self) -> None:
        self._raised = {}
        self._about_orders = {}
        self._marks.forget()

    def rule(self, heard: Refused | Alarm | ShutOut | Started | AcknowledgeAlert | SilenceAlerts, batch: Batch) -> None:
        if isinstance(heard, Refused):
            if heard.reason is Reason.FORBIDDEN and heard.is_first:
                self._raise_forbidden(batch, heard.device, heard.detail)
        elif isinstance(heard, Alarm):
            if heard.text:
                self._raise(batch, AlertCode(heard.code), heard.subject, Severity.WARNING, heard.text, heard.fix, follows=heard.code in _FOLLOWED)
            else:
                self._clear(batch, AlertCode(heard.code), heard.subject)
        elif isinstance(heard, AcknowledgeAlert):
            if (raised := self._raised.get((heard.code, heard.subject))) is not None:
                self._marks.acknowledge(heard, raised[1], batch)
                self._show(batch, heard.code, heard.subject)
        elif isinstance(heard, SilenceAlerts):
            self._marks.silence(heard, batch)
            self._show(batch, heard.code, heard.subject)
        elif isinstance(heard, ShutOut):
            for about in _ABOUT_DEVICES:
                self._clear(batch, about, heard.device)
            self._clear(batch, AlertCode.LOGINS, CLAIM_PREFIX + heard.device)
            batch.writes.delete(CHANNEL_FILE_GONE, heard.device)  # a channel that was given up sends no file any more
        else:
            for code, subject in sorted(self._raised):
                if code in _COUNTED_IN_MEMORY:
                    self._clear(batch, AlertCode(code), subject)

    def finish(self, batch: Batch) -> None:
        """Raise and clear the alerts of orders that changed, and of devices whose clocks were seen."""
        for entry, _ in batch.shown_orders:
            standing = standing_alerts(entry.fold.order, attempts_max=batch.rules.attempts_max)
            if standing or entry.fold.id in self._about_orders:
                self._settle(batch, entry.fold.id, standing | (self._about_orders.get(entry.fold.id, _NONE) & _OF_CARRIERS))
        for entry in batch.orders.values():  # a second delivery, for example, changes nothing that is shown
            self._judge_carrier(batch, entry)
        if self._about_orders:
            for entry in batch.orders.values():
                if not entry.fold.exists:
                    self._settle(batch, entry.fold.id, frozenset())  # its creation was voided
        for device, shown in batch.clocks.items():
            self._judge_clock(batch, device, shown)

    def _judge_carrier(self, batch: Batch, entry: OrderEntry) -> None:
        """Raise the alert about an order of which a carrier says what can't be; clear it when that is voided, or the order is completed."""
        raised = self._about_orders.get(entry.fold.id, _NONE)
        if not concerns_carrier(entry.fold) and not raised & _OF_CARRIERS:
            return
        is_wrong = entry.fold.exists and not entry.fold.order.completed and bool(contradictions_of(entry.fold))
        self._settle(batch, entry.fold.id, raised | _OF_CARRIERS if is_wrong else raised - _OF_CARRIERS)

    def _settle(self, batch: Batch, order_id: str, standing: frozenset[AlertCode]) -> None:
        """Let exactly these alerts about an order stand."""
        raised = self._about_orders.get(order_id, frozenset())
        for code in raised - standing:
            self._clear(batch, code, order_id)
        for code in standing - raised:
            _, severity, text, fix = _TEXT_OF[code]
            self._raise(batch, code, order_id, severity, text.format(order=order_id[:NAME_CHARS_MAX]), fix)
        if standing:
            self._about_orders[order_id] = standing
        else:
            self._about_orders.pop(order_id, None)

    def sweep(self, batch: Batch) -> None:
        """Raise alerts for events that wait beyond their deadline, scans that a device owes, and messages in quarantine; clear those that are resolved."""
        if batch.is_replay:
            return  # these alerts are about what is missing now; the next live sweep handles them
        tx, rules = batch.tx, batch.rules
        waiting = [(Ref(RefKind(kind), name), count) for (kind, name), count in sorted(tx.overdue(batch.now_ms).items())]
        overdue = {_subject(ref): (ref, count) for ref, count in waiting}
        for subject, (ref, count) in overdue.items():
            what = _AWAITED[ref.kind].format(ref.name[:NAME_CHARS_MAX])
            fix = "Import the order, or correct the scan. `dockbridge events list --outcome parked` lists these events."
            self._raise(batch, AlertCode.PARKED, subject, Severity.WARNING, f"{counted(count, 'event')} waiting for {what}.", fix, follows=True)
        owing = tx.owing(batch.now_ms - rules.gap_alert_after_ms)
        for device, count in sorted(owing.items()):
            fix = "Reconnect the device to the network; it then sends what it has. What it lacks is given up with `dockbridge db give-up`."
            self._raise(batch, AlertCode.GAP, device, Severity.WARNING, f"Device {device} still owes {counted(count, 'event')}.", fix, follows=True)
        quarantined = tx.quarantine_counts()
        for device, count in sorted(quarantined.items()):
            fix = "List them with `dockbridge quarantine list`; then process them again with `replay`, or delete them with `drop`."
            text = f"{counted(count, 'message')} of device {device} in quarantine."
            self._raise(batch, AlertCode.QUARANTINE, device, Severity.WARNING, text, fix, follows=True)
        current: dict[str, Any] = {
            AlertCode.PARKED: overdue,
            AlertCode.GAP: owing,
            AlertCode.QUARANTINE: quarantined,
            AlertCode.FORBIDDEN: quarantined,
            AlertCode.NO_POSITION: self._without_position(batch),
            AlertCode.STALE_CHANNEL: self._raise_stale(batch),
        }
        for code, subject in sorted(self._raised):
            if code in current and subject not in current[code]:
                self._clear(batch, AlertCode(code), subject)
        for code, subject in self._marks.drop_old({key: since_ms for key, (_, since_ms) in self._raised.items()}, batch):
            self._show(batch, code, subject)

    def _raise_stale(self, batch: Batch) -> set[str]:
        """Raise the alerts about channels whose last file is too old. Returns the channels."""
        own, stale = dict(batch.rules.stale_channels), set()
        for row in batch.tx.rows(CHANNEL_FILES) if own or batch.rules.stale_after_ms else ():
            after_ms = own.get(row.channel, batch.rules.stale_after_ms)
            if after_ms and row.at_ms <= batch.now_ms - after_ms:
                stale.add(row.channel)
                text = f"No file of channel {row.channel} came in for {after_ms / HOUR_MS:g} h."
                fix = "Find out why, and import the next one. For a channel that is given up: `dockbridge device remove CHANNEL --revoke`."
                self._raise(batch, AlertCode.STALE_CHANNEL, row.channel, Severity.WARNING, text, fix)
        return stale

    def _without_position(self, batch: Batch) -> set[str]:
        """Phones with the alert that still send points which can't be used. The first one that can be used clears the alert at once."""
        lost = {subject for code, subject in self._raised if code == AlertCode.NO_POSITION}
        since_ms = batch.now_ms - _POINTS_FORGOTTEN_MS
        return {device for device in lost if any(row.last_ms >= since_ms for row in batch.tx.rows(DROPPED_POINTS, device=device))}

    def _judge_clock(self, batch: Batch, device: str, shown: Shown) -> None:
        """Raise the alert about a wrong clock; clear it when the device is heard with a right one."""
        if (alert := _CLOCK_ALERTS.get(shown)) is None:
            self._clear(batch, AlertCode.CLOCK, device)
        else:
            text, fix = alert
            self._raise(batch, AlertCode.CLOCK, device, Severity.WARNING, text.format(device=device), fix)

    def _raise_forbidden(self, batch: Batch, device: str, detail: str) -> None:
        self._raise(
            batch,
            AlertCode.FORBIDDEN,
            device,
            Severity.WARNING,
            f"Device {device} published a message that it may not send: {detail}.",
            "List the message with `dockbridge quarantine list` and delete it with `drop`: that clears this alert. A device can't change its role; if it needs "
            "another, enrol it under a new name with `dockbridge device add`.",
        )

    def _raise(self, batch: Batch, code: AlertCode, subject: str, severity: Severity, text: str, fix: str, *, follows: bool = False) -> None:
        """Raise an alert. One that is raised already stays as it is, unless it `follows`: then a count in its text goes on."""
        key = (code.value, subject)
        known, since_ms = self._raised.get(key, ("", batch.now_ms))
        if known == text or (known and not follows):
            return
        self._raised[key] = (text, since_ms)
        row = batch.writes.keyed(ALERTS)[key] = AlertRow(code.value, subject, severity.value, since_ms, text, fix)
        self._publish(batch, row)

    def _show(self, batch: Batch, code: str, subject: str) -> None:
        """Publish standing alerts again, because their marks have changed."""
        for key in [key for key in self._raised if key[0] == code and subject in (key[1], EVERY)]:
            row = batch.writes.keyed(ALERTS).get(key) or next(iter(batch.tx.rows(ALERTS, code=key[0], subject=key[1])), None)
            if row is not None:
                self._publish(batch, row)

    def _publish(self, batch: Batch, row: AlertRow) -> None:
        batch.publish_plain(batch.topics.alert(AlertCode(row.code), row.subject), alert_plain(row) | self._marks.plain(row.code, row.subject, row.since_ms))

    def _clear(self, batch: Batch, code: AlertCode, subject: str) -> None:
        key = (code.value, subject)
        if self._raised.pop(key, None) is not None:
            batch.writes.keyed(ALERTS).pop(key, None)
            batch.writes.delete(ALERT_GONE, *key)
            batch.clear(batch.topics.alert(code, subject))


def alert_plain(row: AlertRow) -> dict[str, Any]:
    """An alert as it is published, with keys in deterministic order."""
    return {"fix": row.fix, "code": row.code, "text": row.text, "subject": row.subject, "severity": row.severity, "since_ms": row.since_ms}


def _subject(ref: Ref) -> str:
    """The subject of an alert about a reference: the order id, or a short form of a code or event."""
    return ref.name if ref.kind is RefKind.ORDER else f"{ref.kind}-{digest8(ref.name.encode()).hex()}"
