"""Checks of devices, and of what waits for a person."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple

from bridge.config import Settings
from bridge.operations import missing, stuck
from bridge.operations.alerts import AlertNow, standing_alerts
from bridge.operations.doctor.findings import Finding, Trouble, Weight
from bridge.operations.doctor.patient import Patient
from bridge.words import counted
from devices.protocol.vocabulary import AlertCode

GROUPS_MAX: Final = 20
"""Findings about the quarantine: one for each device and reason."""
_A: Final = AlertCode


class _About(NamedTuple):
    """What an alert is to a doctor, and the words of the command that ends it; `SUBJECT` is filled in."""

    code: Trouble
    command: tuple[str, ...] = ()


_ROTATE: Final = ("device", "rotate", "SUBJECT")
ALERTS: Final[dict[AlertCode, _About | None]] = {
    _A.CLOCK: _About(Trouble.DEVICE_CLOCK),
    _A.CLIENT_ID: _About(Trouble.TWO_PROGRAMS, _ROTATE),
    _A.LOGINS: _About(Trouble.LOGINS_FAIL, _ROTATE),
    _A.DROPPED: _About(Trouble.MESSAGES_DROPPED),
    _A.PACKET_SIZE: _About(Trouble.PACKET_TOO_LARGE),
    _A.NO_POSITION: _About(Trouble.NO_POSITION),
    _A.SHIFT_OPEN: _About(Trouble.SHIFT_FORGOTTEN),
    _A.CASH_OPEN: _About(Trouble.CASH_NOT_COUNTED),
    _A.BACKUP: _About(Trouble.BACKUP_FAILS, ("db", "backup")),
    _A.PARKED: _About(Trouble.EVENTS_PARKED),
    _A.STALE_CHANNEL: _About(Trouble.CHANNEL_STALE),
    _A.NOTICES: _About(Trouble.NOTICES_FAIL, ("notices", "list", "--sending", "waiting")),
    # What these are about is checked itself.
    _A.GAP: None,
    _A.QUARANTINE: None,
    _A.FORBIDDEN: None,
    # Troubles of one order: `orders stuck` names them.
    _A.MOVED_ON_HOLD: None,
    _A.MOVED_AFTER_CANCEL: None,
    _A.NOT_YOUR_JOB: None,
    _A.WRONG_CARRIER: None,
    _A.LABEL_MOVED: None,
    _A.LOST: None,
    _A.DAMAGED: None,
    _A.REFUSED: None,
    _A.ATTEMPTS: None,
    _A.CONTRADICTION: _About(Trouble.CARRIER_CONTRADICTS, ("carriers", "contradictions")),
}
"""The table is complete."""


def alerts(patient: Patient) -> Iterable[Finding]:
    """Alerts that nobody has acknowledged or silenced."""
    for alert in standing_alerts(patient.site, now_ms=patient.now_ms):
        if alert.is_open and (about := ALERTS[alert.code]) is not None:
            yield _finding(patient, alert, about)


def _finding(patient: Patient, alert: AlertNow, about: _About) -> Finding:
    words = [alert.subject if word == "SUBJECT" else word for word in about.command]
    ends = f" Once somebody looks at it: `{patient.command('alerts', 'acknowledge', alert.code, alert.subject, '--reason', '…')}`."
    locks = " A new password locks out whoever is not given it:" if about.command == _ROTATE else ""
    return Finding(code=about.code, what=alert.text.removesuffix("."), fix=alert.fix + ends + locks, command=patient.command(*words) if words else None)


async def owing(patient: Patient) -> list[Finding]:
    """Devices that have been silent for as long as an alert takes, and owe events."""
    assert isinstance(patient.settings, Settings)
    known = _known(patient, AlertCode.GAP)
    before_ms = patient.now_ms - round(patient.settings.ingest.gap_alert_after_s * 1000)
    owed: dict[str, int] = {}
    for one in await missing.missing(patient.site):
        if one.heard_ms <= before_ms and one.device not in known:
            owed[one.device] = owed.get(one.device, 0) + one.events
    epoch = patient.database.epoch
    since = f" since the restore that began epoch {epoch}" if epoch else ""
    return [
        Finding(
            code=Trouble.OWED_SINCE_RESTORE if epoch else Trouble.DEVICE_OWES,
            what=f"{device} owes {counted(events, 'event')}{since}: it has counted them, and the server lacks them",
            fix=f"Connect {device}: it sends what it still has. What it has lost is given up:",
            command=patient.command("db", "give-up", device, "--reason", "the device does not have them any more"),
        )
        for device, events in sorted(owed.items())
    ]


def quarantine(patient: Patient) -> Iterable[Finding]:
    known = _known(patient, AlertCode.QUARANTINE)
    for group in patient.site.queries.quarantine_groups(limit=GROUPS_MAX):
        if group["device"] in known:
            continue
        yield Finding(
            code=Trouble.QUARANTINE,
            what=f"{counted(group['messages'], 'message')} of {group['device']} in quarantine: {group['reason']}",
            fix=f"Look at it (`{patient.command('quarantine', 'show', str(group['no']))}`); replay it once its cause is gone, or drop it:",
            command=patient.command("quarantine", "drop", str(group["no"])),
        )


def _known(patient: Patient, code: AlertCode) -> set[str]:
    """What alerts are about of which somebody knows."""
    return {alert.subject for alert in standing_alerts(patient.site, now_ms=patient.now_ms) if alert.code is code and not alert.is_open}


async def orders(patient: Patient) -> list[Finding]:
    found = (await stuck.list_stuck(patient.site, now_ms=patient.now_ms, limit=1)).orders
    if not found:
        return []
    first, count = found[0], stuck.count_stuck(patient.site.queries, now_ms=patient.now_ms)
    finding = Finding(
        code=Trouble.ORDERS_STUCK,
        weight=Weight.NOTE,
        what=f"{counted(count, 'order')} wait for a person, the first is {first.order}: {first.why}",
        fix=f"{first.who} `{patient.command('orders', 'stuck')}` lists all of them.",
        command=patient.for_site(first.command) if first.command is not None else patient.command("orders", "stuck"),
    )
    return [finding]
