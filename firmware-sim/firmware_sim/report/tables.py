"""Everything that is rows: faults, kills, outcomes, alerts, what is left at the end, and the lanes in words."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from typing import Final

from firmware_sim.record import Record
from firmware_sim.report.charts import PERCENTILES
from firmware_sim.report.measures import Latency, Measures, percentile
from firmware_sim.report.words import clock, count, duration, some, text

ROWS_MAX: Final = 100
"""Of any table; it says how many more there are."""
NAMES_MAX: Final = 6
"""Of devices in a cell."""
CHANGES_MAX: Final = 40
"""Of one order, in words."""


def table(caption: str, heads: Sequence[str], rows: Sequence[Sequence[str]], *, none: str, total: int | None = None) -> str:
    """A table; each cell is a finished `<td>`, the first a finished `<th>`. A head that begins with `#` stands over numbers."""
    if not rows:
        return f'<p class="none">{none}</p>'
    title = f"<caption>{caption}</caption>" if caption else ""
    head = "".join(f'<th scope="col" class="{"n" if h.startswith("#") else "w"}">{h.lstrip("#")}</th>' for h in heads)
    body = "".join(f"<tr>{''.join(row)}</tr>" for row in rows)
    more = (total or len(rows)) - len(rows)
    left_out = f'<p class="left-out">{count(more, "more row")} left out.</p>' if more > 0 else ""
    return f'<div class="table"><table>{title}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>{left_out}'


def _first(cell: str) -> str:
    return f'<th scope="row">{cell}</th>'


def _cell(cell: str, css: str = "") -> str:
    return f'<td class="{css}">{cell}</td>' if css else f"<td>{cell}</td>"


def faults(found: Measures, settings: dict[int, str]) -> str:
    rows = []
    for number, spells in found.faults.items():
        for no, spell in enumerate(spells[:NAMES_MAX]):
            rest = len(spells) - NAMES_MAX
            again = f" <small>and {count(rest, 'more time')}</small>" if no == NAMES_MAX - 1 and rest > 0 else ""
            rows.append(
                [
                    _first(text(spell.kind)),
                    _cell(str(number), "n"),
                    _cell(text(settings.get(number, "")) or "–"),
                    _cell(some(spell.devices, NAMES_MAX) or "the server"),
                    _cell(clock(spell.span.from_ms - found.begin_ms), "t n"),
                    _cell(clock(spell.span.to_ms - found.begin_ms) + again, "t n"),
                    _cell(duration(spell.span.to_ms - spell.span.from_ms), "t n"),
                ]
            )
    heads = ("fault", "#no.", "settings", "on", "#from", "#to", "#for")
    return table("Faults", heads, rows[:ROWS_MAX], none="Nothing was made to go wrong.", total=len(rows))


def kills(found: Measures) -> str:
    rows = [
        [
            _first(clock(down.at_ms - found.begin_ms, fine=True)),
            _cell(text(down.point)),
            _cell("not started again" if down.back_ms is None else duration(down.back_ms - down.at_ms), "t n" if down.back_ms is not None else "bad"),
        ]
        for down in found.kills
    ]
    return table("Kills of the server", ("at", "point of its work", "#away for"), rows[:ROWS_MAX], none="The server was not killed.", total=len(rows))


def latencies(found: Measures) -> str:
    rows = [
        _latency("to acknowledgement (PUBACK: stored)", found.acknowledged, found.events),
        _latency("to the first receipt", found.answered, found.events),
    ]
    heads = ("from an event's first PUBLISH", "#events", "#p50", "#p99", "#p99.9", "#max", "#never")
    return table("", heads, rows, none="")


def _latency(name: str, measured: Sequence[Latency], events: int) -> list[str]:
    values = sorted(one.took_ms for one in measured)
    cells = [_cell(duration(percentile(values, share)) if values else "–", "t n") for _, share in PERCENTILES]
    never = events - len(values)
    return [_first(name), _cell(f"{len(values):,}", "n"), *cells, _cell(f"{never:,}", "n bad" if never else "n")]


def outcomes(found: Measures) -> str:
    whole: dict[str, dict[str, int]] = {}
    for (outcome, reason), number in sorted(found.outcomes.items()):
        whole.setdefault(outcome, {})[reason] = number
    total = sum(found.outcomes.values())
    rows = []
    for outcome, reasons in sorted(whole.items(), key=lambda item: (-sum(item[1].values()), item[0])):
        number = sum(reasons.values())
        why = ", ".join(f"{text(reason)} {n:,}" for reason, n in sorted(reasons.items(), key=lambda r: (-r[1], r[0])) if reason)
        bar = f'<span style="width:{100 * number / total:.1f}%"></span>'
        rows.append([_first(text(outcome)), _cell(f"{number:,}", "n"), _cell(f"{100 * number / total:.1f} %", "n"), _cell(bar, "bar"), _cell(why)])
    return table("Outcomes of events", ("outcome", "#events", "#share", "", "why"), rows[:ROWS_MAX], none="No event was answered.", total=len(rows))


def alerts(record: Record, found: Measures) -> str:
    rows = []
    for alarm in found.alarms:
        if alarm.cleared_ms is not None:
            cleared = _cell(clock(alarm.cleared_ms - found.begin_ms), "t n")
        elif any(fnmatchcase(alarm.code, code) and fnmatchcase(alarm.subject, subject) for code, subject in record.alerts):
            cleared = _cell("stands, as it may", "t n")
        else:
            cleared = _cell("stands", "t n bad")
        code = _first(text(alarm.code)) if alarm.code not in record.alerts_due else _first(f"{text(alarm.code)} <small>due</small>")
        rows.append(
            [
                code,
                _cell(text(alarm.subject)),
                _cell(text(alarm.severity)),
                _cell(text(alarm.text)),
                _cell(clock(alarm.raised_ms - found.begin_ms), "t n"),
                cleared,
            ]
        )
    raised = {alarm.code for alarm in found.alarms}
    missing = [code for code in record.alerts_due if code not in raised]
    said = f'<p class="none">Due and never raised: <b>{some(missing, ROWS_MAX)}</b></p>' if missing else ""
    heads = ("alert", "subject", "severity", "says", "#raised", "#cleared")
    return said + table("Alerts", heads, rows[:ROWS_MAX], none="No alert was raised.", total=len(rows))


def left(record: Record) -> str:
    """What devices still held back, and what they complained about."""
    end = record.end
    devices = sorted({d for held in (end.unsent, end.unanswered) for d, n in held.items() if n})
    rows = [
        [
            _first(text(d)),
            _cell(f"{end.unsent.get(d, 0):,}", "n"),
            _cell(f"{end.unanswered.get(d, 0):,}", "n"),
            _cell("" if d not in record.cast or record.cast[d].is_well else "not expected to finish"),
        ]
        for d in devices
    ]
    heads = ("device", "#unacknowledged", "#without a receipt", "")
    held = table("Held back at the end", heads, rows[:ROWS_MAX], none="At the end no device held anything back.", total=len(rows))
    if not end.troubles:
        return held
    more = len(end.troubles) - ROWS_MAX
    items = "".join(f"<li>{text(trouble)}</li>" for trouble in end.troubles[:ROWS_MAX])
    return f"{held}<h3>Troubles that devices had</h3><ul>{items}{f'<li>and {more:,} more</li>' if more > 0 else ''}</ul>"


def states(record: Record, found: Measures, chosen: Sequence[str]) -> str:
    """The lanes of orders in words."""
    rows = []
    for order in chosen:
        changes = found.orders[order]
        said = [f"{clock(c.at_ms - found.begin_ms)} {text(c.state or 'cleared', 40)}" for c in changes[:CHANGES_MAX]]
        if len(changes) > CHANGES_MAX:
            said.append(f"and {len(changes) - CHANGES_MAX:,} more, the last {text(changes[-1].state or 'cleared', 40)}")
        shown = next((c.state for c in reversed(changes) if c.state is not None), None)
        expected = record.expected.get(order)
        is_other = expected is not None and shown != expected
        rows.append(
            [
                _first(text(order)),
                _cell(text(expected or "–", 40), "t"),
                _cell(text(shown or "never shown", 40), "t bad" if is_other else "t"),
                _cell(", ".join(said)),
            ]
        )
    return _folded("Orders in words", ("order", "to end as", "last shown", "states"), rows, len(found.orders))


def notes(found: Measures) -> str:
    """What devices noted and the server said, in the order of time."""
    voices = {**{device: life.notes for device, life in found.devices.items()}, "the server": found.log}
    told = sorted((at_ms, who, said) for who, notes in voices.items() for at_ms, said in notes)
    rows = [[_first(clock(at_ms - found.begin_ms)), _cell(text(device)), _cell(text(said))] for at_ms, device, said in told[: 2 * ROWS_MAX]]
    return _folded("Notes", ("at", "who", "note"), rows, len(told))


def lives(found: Measures, devices: Iterable[str]) -> str:
    """The lanes of devices in words."""
    rows = []
    for device in devices:
        life = found.devices[device]
        online_ms = sum(span.to_ms - span.from_ms for span in life.online)
        counts = (life.connects, life.losses, life.failures, len(life.refused))
        rows.append([_first(text(device)), *(_cell(f"{n:,}", "n") for n in counts), _cell(f"{100 * online_ms / (found.end_ms - found.begin_ms):.1f} %", "n")])
    heads = ("device", "#connections", "#ended", "#attempts failed", "#refused", "#of the time online")
    return _folded("Devices in figures", heads, rows[: 2 * ROWS_MAX], len(rows))


def _folded(summary: str, heads: Sequence[str], rows: Sequence[Sequence[str]], total: int) -> str:
    if not rows:
        return ""
    return f"<details><summary>{summary}</summary>{table('', heads, rows, none='', total=total)}</details>"
