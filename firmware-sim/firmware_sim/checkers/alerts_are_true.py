"""Alerts are raised where they must be, cleared when it is over, and none stands at the end but those that the scenario expects."""

from __future__ import annotations

from collections.abc import Iterator
from fnmatch import fnmatchcase

from devices.protocol.vocabulary import AlertCode
from firmware_sim.checkers.clocks import wall_clocks
from firmware_sim.checkers.view import Broken, View, unescaped


def check(view: View) -> Iterator[Broken]:
    standing = {(r["code"], r["subject"]): r for r in view.table("alerts")}
    prefix = view.topics.base + "/alerts/"
    held = {topic for topic, payload in view.end.retained.items() if topic.startswith(prefix) and payload}
    rows = {view.topics.alert(code, subject) for code, subject in standing}
    for topic in sorted(held ^ rows):
        yield Broken(f"{topic} is {'retained, and no such alert stands' if topic in held else 'not retained, and the alert stands'}")
    clocks = wall_clocks(view)
    for device in sorted(clocks.wrong_at_last - {subject for code, subject in standing if code == AlertCode.CLOCK}):
        yield Broken(f"the clock of {device} is wrong, and no alert says so")
    for (code, subject), row in standing.items():
        if code == AlertCode.CLOCK and subject in clocks.ever_wrong:
            continue
        if not is_expected(view, code, subject):
            yield Broken(f"alert {code} about {subject} still stands: {row['text']}", row["since_ms"])
    last = {s.topic: (at_ms, bool(s.payload)) for at_ms, s in view.sent if s.topic.startswith(prefix)}
    seen = (
        {s.topic for _, s in view.sent if s.topic.startswith(prefix) and s.payload}
        | {e.topic for e in view.received if e.topic.startswith(prefix) and e.payload}
        | rows
    )
    for code in view.record.alerts_due:
        if not any(topic.startswith(f"{prefix}{code}/") for topic in seen):
            yield Broken(f"alert {code} was never raised")
    for topic, (at_ms, is_raised) in sorted(last.items()):
        if is_raised != (topic in rows):
            code, subject = topic.split("/")[-2:]
            how = "does not stand any more, and was never cleared" if is_raised else "stands, and was cleared"
            yield Broken(f"alert {code} about {unescaped(subject)} {how} on {topic}", at_ms)


def is_expected(view: View, code: str, subject: str) -> bool:
    """Whether the scenario lets this alert stand at the end."""
    return any(fnmatchcase(code, c) and fnmatchcase(subject, s) for c, s in view.record.alerts)
