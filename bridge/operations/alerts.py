"""Alerts: list them, say that somebody looks at one, and keep some from disturbing for a while. An alert ends only when its cause does."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import msgspec
from msgspec import Struct

from bridge.domain.codes.rules import DAY_MS
from bridge.errors import NotFound, Refused
from bridge.ingest.items import AcknowledgeAlert, SilenceAlerts
from bridge.operations.ports import SiteContext, SiteReader
from bridge.operations.sealed_text import open_text, seal_text
from bridge.operations.who import WHO
from bridge.words import counted
from devices.protocol.vocabulary import AlertCode, Severity

SILENCE_MS_MAX: Final = 30 * DAY_MS
"""The longest silence: what is silenced for ever is forgotten."""
REASON_CHARS_MAX: Final = 200
SUBJECT_CHARS_MAX: Final = 200
NAMED_MAX: Final = 10


class AlertNow(Struct, frozen=True, kw_only=True):
    """An alert that stands, and what people said of it."""

    code: AlertCode
    subject: str
    severity: Severity
    since_ms: int
    text: str
    fix: str
    acknowledged_ms: int | None
    acknowledged_by: str | None
    acknowledged_why: str | None
    silenced_until_ms: int | None
    silenced_by: str | None
    silenced_why: str | None

    @property
    def is_open(self) -> bool:
        """Whether nobody has said anything of it."""
        return self.acknowledged_ms is None and self.silenced_until_ms is None


class Silence(Struct, frozen=True, kw_only=True):
    """Alerts of a code, and of one subject (None: of all), don't disturb until a time. `covers` counts those that stand now."""

    code: AlertCode
    subject: str | None
    until_ms: int
    at_ms: int
    who: str
    reason: str
    covers: int = 0


class AlertCounts(Struct, frozen=True, kw_only=True):
    """How many alerts stand; of these how many are `open` (neither acknowledged nor silenced), acknowledged, silenced (perhaps both), and critical and open."""

    standing: int
    open: int
    acknowledged: int
    silenced: int
    critical: int


class Alerts(Struct, frozen=True, kw_only=True):
    """The alerts that stand, the oldest first, and the silences, also those that cover none of them."""

    alerts: list[AlertNow]
    silences: list[Silence]
    counts: AlertCounts


async def list_alerts(site: SiteReader, *, now_ms: int) -> Alerts:
    """Every alert, and every silence that is not over."""
    standing = standing_alerts(site, now_ms=now_ms)
    silences = [row for row in site.queries.silences() if row["until_ms"] > now_ms]
    return Alerts(
        alerts=standing,
        silences=[
            Silence(
                **{
                    **row,
                    "reason": open_text(site.vault, row["reason"]),
                    "subject": row["subject"] or None,
                    "covers": _covered(row["code"], row["subject"], standing),
                }
            )
            for row in silences
        ],
        counts=count_alerts(standing),
    )


def standing_alerts(site: SiteReader, *, now_ms: int) -> list[AlertNow]:
    """The alerts that stand, the oldest first."""
    return [_alert(site, row, now_ms) for row in site.queries.alerts()]


def count_alerts(alerts: Iterable[AlertNow]) -> AlertCounts:
    alerts = list(alerts)
    return AlertCounts(
        standing=len(alerts),
        open=sum(alert.is_open for alert in alerts),
        acknowledged=sum(alert.acknowledged_ms is not None for alert in alerts),
        silenced=sum(alert.silenced_until_ms is not None for alert in alerts),
        critical=sum(alert.is_open and alert.severity is Severity.CRITICAL for alert in alerts),
    )


async def acknowledge(site: SiteContext, code: AlertCode, subject: str, reason: str) -> AlertNow:
    """Say that somebody looks at an alert. If it ends and comes back, it is a new one.

    Raises:
        NotFound: if it does not stand.
        Refused: if it is not said why, or it is acknowledged already.
    """
    now_ms = site.clock.now_ms()
    known = _standing(site, code, subject, now_ms)
    if known.acknowledged_ms is not None:
        raise Refused(f"{known.acknowledged_by} has acknowledged it already: {known.acknowledged_why}", fix="nothing is left to do here")
    await site.change(AcknowledgeAlert(received_ms=now_ms, code=code.value, subject=subject, who=_who(), reason=seal_text(site.vault, _checked(reason))))
    return _standing(site, code, subject, now_ms)


async def silence(site: SiteContext, code: AlertCode, for_ms: int, reason: str, subject: str | None = None) -> Silence:
    """Keep alerts of a code, or the one about a subject, from disturbing for a time. They may be raised meanwhile, too.

    Raises:
        Refused: if it is not said why, the time is too long, or no alert can have this subject.
    """
    if not 0 < for_ms <= SILENCE_MS_MAX:
        raise Refused("a silence lasts at least a moment, and at most 30 days", fix="silence it for a shorter time, and mend its cause meanwhile")
    if subject is not None and not (subject.isprintable() and 0 < len(subject) <= SUBJECT_CHARS_MAX):
        raise Refused(f"{subject!r} can't be the subject of an alert", fix="name a device or an order; or nothing, for all of them")
    now_ms = site.clock.now_ms()
    said = SilenceAlerts(
        received_ms=now_ms, code=code.value, subject=subject or "", until_ms=now_ms + for_ms, who=_who(), reason=seal_text(site.vault, _checked(reason))
    )
    await site.change(said)
    covers = _covered(code, subject or "", standing_alerts(site, now_ms=now_ms))
    return Silence(code=code, subject=subject, until_ms=said.until_ms, at_ms=now_ms, who=said.who, reason=_checked(reason), covers=covers)


async def unsilence(site: SiteContext, code: AlertCode, subject: str | None = None) -> None:
    """End a silence before its time.

    Raises:
        NotFound: if there is no such silence.
    """
    now_ms = site.clock.now_ms()
    known = [(row["code"], row["subject"]) for row in site.queries.silences() if row["until_ms"] > now_ms]
    if (code, subject or "") not in known:
        named = ", ".join(f"{c} {s}".strip() for c, s in known[:NAMED_MAX])
        about = subject if subject is not None else "every subject"
        raise NotFound(f"alert {code} about {about} is not silenced", fix=f"silenced are: {named}" if named else "nothing is silenced")
    await site.change(SilenceAlerts(received_ms=now_ms, code=code.value, subject=subject or "", until_ms=0, who=_who(), reason=""))


def _standing(site: SiteReader, code: AlertCode, subject: str, now_ms: int) -> AlertNow:
    alerts = standing_alerts(site, now_ms=now_ms)
    for alert in alerts:
        if (alert.code, alert.subject) == (code, subject):
            return alert
    same = [alert.subject for alert in alerts if alert.code == code]
    about = f"{counted(len(same), 'alert')} {code} stand, about {', '.join(same[:NAMED_MAX])}" if same else "`dockbridge alerts list` names those that stand"
    raise NotFound(f"no alert {code} about {subject} stands", fix=about)


def _alert(site: SiteReader, row: dict[str, Any], now_ms: int) -> AlertNow:
    said = {name: open_text(site.vault, row[name]) for name in ("acknowledged_why", "silenced_why") if row[name]}
    alert = msgspec.convert({**row, **said}, AlertNow)
    if alert.silenced_until_ms is not None and alert.silenced_until_ms <= now_ms:
        return msgspec.structs.replace(alert, silenced_until_ms=None, silenced_by=None, silenced_why=None)
    return alert


def _covered(code: str, subject: str, alerts: Iterable[AlertNow]) -> int:
    return sum(alert.code == code and subject in ("", alert.subject) for alert in alerts)


def _who() -> str:
    return WHO.get() or "unknown"


def _checked(reason: str) -> str:
    if not reason.strip():
        raise Refused("it is not said why", fix="say it with --reason, for those who read it next")
    return reason.strip()[:REASON_CHARS_MAX]
