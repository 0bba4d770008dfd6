"""The page: what it says first, and in which order the rest follows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from firmware_sim.faults.base import Fault
from firmware_sim.record import Finding, Record
from firmware_sim.report import charts, tables
from firmware_sim.report.charts import Axis, Frame
from firmware_sim.report.look import PHASES, css, patterns
from firmware_sim.report.measures import Measures, measure
from firmware_sim.report.timeline import chosen_orders, timeline
from firmware_sim.report.words import clock, count, duration, text

FINDINGS_MAX: Final = 300
"""In words; shared out evenly over the laws that are broken."""
LAWS_MAX: Final = 40
WORDS_MAX: Final = 4_000
"""Characters of the story and of the command."""


def render_report(
    record: Record,
    findings: Sequence[Finding],
    story: str,
    command: str,
    *,
    laws: Mapping[str, str] | None = None,
    faults: Sequence[Fault] = (),
) -> str:
    """A run as one HTML page that needs nothing else: no script, no font, no request. The same arguments give the same text.

    `command` replays the run. `laws` are the checkers that judged it, by name, with a sentence each; `faults` are the
    scenario's, in its order, so that their settings can be shown.
    """
    found = measure(record)
    frame = Frame(Axis(found.begin_ms, found.end_ms), found)
    settings = {number: settings_of(fault) for number, fault in enumerate(faults)}
    orders = chosen_orders(found, findings)
    title = f"{record.scenario}, seed {record.seed}: {_verdict(findings)}"
    body = (
        _head(record, found, findings, story, command, laws or {})
        + _laws(found, findings, laws or {})
        + _timeline(record, found, findings, frame, settings, orders)
        + _latencies(found, frame)
        + _queues(found, frame)
        + _section("What became of the events", tables.outcomes(found), tables.alerts(record, found), tables.left(record))
        + _section("What was done to the run", tables.faults(found, settings), tables.kills(found))
    )
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">'
        f'<meta name="color-scheme" content="light dark"><title>{text(title)}</title><style>{css()}</style></head>\n'
        f"<body>{patterns()}<main>{body}{_foot(record)}</main></body></html>\n"
    )


def settings_of(fault: Fault) -> str:
    """A fault's own settings, and on whom where not on all: `share 0.2, within_ms 2000 on scan-*`."""
    own = {name: value for name, value in msgspec.to_builtins(fault).items() if name not in ("kind", "on", "from_s", "to_s")}
    said = ", ".join(f"{name} {_setting(value)}" for name, value in own.items())
    return f"{said} on {fault.on}".strip() if fault.on != "*" else said


def _setting(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return f"{value:.15g}" if isinstance(value, float) else str(value)


def _section(heading: str, *parts: str) -> str:
    return f"\n<section><h2>{heading}</h2>{''.join(parts)}</section>"


# --- the head ------------------------------------------------------------------------------------------------------------------


def _verdict(findings: Sequence[Finding]) -> str:
    return count(len(findings), "finding") if findings else "all laws held"


def _head(record: Record, found: Measures, findings: Sequence[Finding], story: str, command: str, laws: Mapping[str, str]) -> str:
    css_class, sign = ("broken", "✗") if findings else ("held", "✓")
    broken = len({f.checker for f in findings})
    said = (
        f"{count(len(findings), 'finding')}: {count(broken, 'law')} broken" if findings else f"All {len(laws)} laws held" if len(laws) > 1 else "All laws held"
    )
    return (
        f'<header><h1>{text(record.scenario)}</h1><p class="where">seed {record.seed} · link {text(record.link)} · site {text(record.site)}</p>'
        f"{_story(story)}"
        f'<p class="verdict {css_class}"><span aria-hidden="true">{sign}</span> {said}</p>{_figures(record, found)}'
        f'<h3>The same run again</h3><code class="command">{text(command, WORDS_MAX)}</code></header>'
    )


def _story(story: str) -> str:
    return "".join(f'<p class="story">{text(part.strip(), WORDS_MAX)}</p>' for part in story[:WORDS_MAX].split("\n\n") if part.strip())


def _figures(record: Record, found: Measures) -> str:
    lost = sum(life.losses for life in found.devices.values())
    downs = [d.back_ms - d.at_ms for d in found.kills if d.back_ms is not None]
    figures = (
        ("orders", f"{len(found.orders):,}", _as_planned(record, found)),
        ("events", f"{found.events:,}", f"{found.resent:,} sent again" if found.resent else ""),
        ("devices", f"{len(found.devices):,}", ""),
        ("faults", f"{len(found.faults):,}", ""),
        ("kills", f"{len(found.kills):,}", f"away {duration(sum(downs))} in all" if downs else ""),
        ("reconnects", f"{found.reconnects:,}", f"{count(lost, 'connection')} ended" if lost else ""),
        ("duration", duration(found.end_ms - found.begin_ms), "of simulated time" if found.commits else ""),
    )
    cells = "".join(f"<div><dt>{name}</dt><dd>{number}{f'<small>{more}</small>' if more else ''}</dd></div>" for name, number, more in figures)
    return f'<dl class="figures">{cells}</dl>'


def _as_planned(record: Record, found: Measures) -> str:
    if not record.expected:
        return ""
    last = {order: next((c.state for c in reversed(changes) if c.state), None) for order, changes in found.orders.items()}
    return f"{sum(last[o] == state for o, state in record.expected.items()):,} of {len(record.expected):,} as planned"


# --- laws ----------------------------------------------------------------------------------------------------------------------


def _laws(found: Measures, findings: Sequence[Finding], laws: Mapping[str, str]) -> str:
    broken: dict[str, list[Finding]] = {}
    for finding in findings:
        broken.setdefault(finding.checker, []).append(finding)
    room = FINDINGS_MAX // max(1, min(len(broken), LAWS_MAX))
    bad = "".join(_broken(law, laws.get(law, ""), theirs, found, room) for law, theirs in list(broken.items())[:LAWS_MAX])
    good = "".join(_held(law, laws[law]) for law in laws if law not in broken)
    more = f'<p class="left-out">{count(len(broken) - LAWS_MAX, "more broken law")} left out.</p>' if len(broken) > LAWS_MAX else ""
    parts = [f'<ul class="laws broken">{bad}</ul>{more}' if bad else "", f'<ul class="laws">{good}</ul>' if good else ""]
    if not bad and not good:
        parts.append('<p class="none">No checker found anything.</p>')
    return _section("Laws", *parts)


def _held(law: str, sentence: str) -> str:
    return f'<li><span class="sign" role="img" aria-label="held">✓</span><b>{text(law)}</b> {text(sentence)}</li>'


def _broken(law: str, sentence: str, findings: Sequence[Finding], found: Measures, room: int) -> str:
    shown = "".join(f"<li><time>{clock(f.at_ms - found.begin_ms, fine=True) if f.at_ms else 'at the end'}</time>{text(f.text)}</li>" for f in findings[:room])
    more = len(findings) - room
    rest = f"<li>and {count(more, 'more finding')}</li>" if more > 0 else ""
    return (
        f'<li><span class="sign" role="img" aria-label="broken">✗</span><b>{text(law)}</b> {text(sentence)} '
        f"<small>{count(len(findings), 'finding')}</small><ul>{shown}{rest}</ul></li>"
    )


# --- pictures ------------------------------------------------------------------------------------------------------------------


def _timeline(record: Record, found: Measures, findings: Sequence[Finding], frame: Frame, settings: dict[int, str], orders: Sequence[str]) -> str:
    return _section(
        "Timeline",
        _legend(found, orders),
        timeline(found, findings, frame, settings),
        tables.states(record, found, orders),
        tables.lives(found, found.devices),
        tables.notes(found),
    )


def _legend(found: Measures, orders: Sequence[str]) -> str:
    """The states that are there, and the signs."""
    seen = {change.state for order in orders for change in found.orders[order]}
    items = [(f'<rect class="{p.css}" width="100%" height="100%"/>', text(p.state)) for p in PHASES if p.state in seen]
    if seen - {p.state for p in PHASES} - {None}:
        items.append(('<rect class="s-other" width="100%" height="100%"/>', "other words"))
    if found.faults:
        items.append(('<rect class="band" width="100%" height="100%"/>', "a fault is on, but not all the time"))
    if found.kills:
        items.append(('<line class="kill" x1="50%" x2="50%" y1="0" y2="100%"/>', "server killed"))
        items.append(('<line class="back" x1="50%" x2="50%" y1="0" y2="100%"/>', "server back"))
    if found.up:
        items.append(('<rect class="up" width="100%" height="100%"/>', "server up"))
    items.append(('<rect class="online" width="100%" height="100%"/>', "device online"))
    if found.log or any(life.notes for life in found.devices.values()):
        items.append(('<rect class="note" x="45%" width="2" height="100%"/>', "note"))
    if any(life.refused for life in found.devices.values()):
        items.append(('<rect class="refused" x="45%" width="2" height="100%"/>', "login refused"))
    return '<ul class="legend">' + "".join(f'<li><svg class="plot" aria-hidden="true">{sign}</svg>{word}</li>' for sign, word in items) + "</ul>"


def _latencies(found: Measures, frame: Frame) -> str:
    window = duration(charts.window_ms(frame.axis))
    series = [
        ("receipt", charts.in_windows(found.answered, frame.axis, 0.99)),
        ("ack", charts.in_windows(found.acknowledged, frame.axis, 0.99)),
    ]
    picture = charts.lines(frame, f"99th percentile of latencies in windows of {window}", series, logarithmic=True, unit=charts.decade)
    name = (
        f"<b>p99 over time</b><small>of the events that began in each {window}</small>"
        f"<small>{_stroke('ack')} PUBACK</small><small>{_stroke('receipt')} receipt</small>"
    )
    return _section(
        "How long events took",
        '<p class="lead">From the first time that an event was handed to the network: resends, faults and a server that was away count. '
        "p99.9 of fewer than 1,000 events is their maximum. Buckets are five to a decade.</p>",
        '<div class="pair">',
        charts.histogram(found.acknowledged, "PUBLISH to acknowledgement", "ack"),
        charts.histogram(found.answered, "PUBLISH to receipt", "receipt"),
        "</div>",
        tables.latencies(found),
        _strip(frame, "p99 over time", [(name, picture)]),
    )


def _stroke(css_class: str) -> str:
    return f'<svg class="plot stroke" height="8" aria-hidden="true"><path class="{css_class}" d="M0 4H22"/></svg>'


def _queues(found: Measures, frame: Frame) -> str:
    def one(name: str, what: str, points: Sequence[tuple[int, int]], *, holds: bool) -> tuple[str, str]:
        most = max((value for _, value in points), default=0)
        steps = charts.highest(points, frame.axis, holds=holds)
        picture = charts.lines(frame, f"{name} over time, at most {most:,}", [("area", steps)], logarithmic=False, unit=lambda v: f"{v:,.0f}")
        return f"<b>{name}</b><small>{what}; at most {most:,}</small>", picture

    rows = [one("Not acknowledged", "events of all devices on their way", found.unacknowledged, holds=True)]
    if found.commits:
        rows.append(one("Waiting", "messages behind a commit", [(at_ms, waiting) for at_ms, _, waiting in found.commits], holds=False))
        rows.append(one("In a commit", "messages", [(at_ms, messages) for at_ms, messages, _ in found.commits], holds=False))
    binned = duration(frame.axis.span_ms / charts.BINS)
    lead = f'<p class="lead">The highest value in each {binned}. ' + (
        f"{count(len(found.commits), 'commit')}.</p>" if found.commits else "This run saw no commits: what waits in the server is not known.</p>"
    )
    return _section("Queues", lead, _strip(frame, "Queues over time", rows))


def _strip(frame: Frame, label: str, rows: Sequence[tuple[str, str]]) -> str:
    inner = "".join(f'<div class="row chart"><div class="names what">{name}</div>{picture}</div>' for name, picture in rows)
    scale = f'<div class="row"><span class="names scale"></span>{frame.scale()}</div>'
    return f'<div class="scroll" tabindex="0" role="region" aria-label="{text(label)}">{inner}{scale}</div>'


def _foot(record: Record) -> str:
    return (
        f"<footer>Times are from the begin of the run. {count(len(record.entries), 'entry', 'entries')} in the record. "
        "Point at a bar or a mark to read what it is; the folded tables have the same in words.</footer>"
    )
