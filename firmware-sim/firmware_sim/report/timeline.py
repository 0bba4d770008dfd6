"""Lanes: what happened to whom and when. Faults, the server and findings above; below them a lane for each order and each device."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from typing import Final, NamedTuple

from firmware_sim.record import Finding
from firmware_sim.report.charts import Frame, percent
from firmware_sim.report.look import PHASES
from firmware_sim.report.measures import Change, Life, Measures, Span
from firmware_sim.report.words import clock, count, duration, text

ORDERS_MAX: Final = 60
DEVICES_MAX: Final = 40
FAULTS_MAX: Final = 24
MARKS_MAX: Final = 3_000
"""Marks on all lanes of orders together, and as many on those of devices; shared out evenly."""
LANE_MARKS_MAX: Final = 240
FINDINGS_MAX: Final = 200
NOTE_CHARS_MAX: Final = 80

LANE_PX: Final = 20
BAR_PX: Final = 14
_BAR_Y: Final = (LANE_PX - BAR_PX) // 2
_LETTER: Final = 0.0089
_LETTERS_AROUND: Final = 0.010
"""Of the width of the picture, where it is narrowest: a letter of a word on a bar, and the room around the word."""

_CLASSES: Final = {phase.state: phase.css for phase in PHASES}


class Lane(NamedTuple):
    """A row: its name, a class for the name, what the pointer sees over it, and what is drawn in it; `{y}` stands for its top."""

    name: str
    css: str
    title: str
    marks: Sequence[Callable[[int], str]]


class Group(NamedTuple):
    """Lanes under one heading. `label` describes the picture; `left_out` says what is not drawn."""

    heading: str
    lanes: Sequence[Lane]
    label: str
    left_out: str = ""


def timeline(found: Measures, findings: Sequence[Finding], frame: Frame, settings: dict[int, str]) -> str:
    """All lanes, one group under the other, on one axis."""
    orders = chosen_orders(found, findings)
    groups = [
        _faults(found, frame, settings),
        _server(found, frame),
        _findings(findings, found, frame),
        _orders(found, findings, orders, frame),
        _devices(found, frame),
    ]
    rows = [_row(group, frame, has_faults=no > 0) for no, group in enumerate(groups) if group.lanes]
    return f'<div class="scroll" tabindex="0" role="region" aria-label="Timeline">{_scale(frame)}{"".join(rows)}{_scale(frame)}</div>'


def chosen_orders(found: Measures, findings: Sequence[Finding]) -> list[str]:
    """The orders that get a lane: those that a finding names first, then as they came."""
    named = named_by(found.orders, findings)
    began = {order: changes[0].at_ms if changes else found.end_ms for order, changes in found.orders.items()}
    return sorted(found.orders, key=lambda o: (o not in named, began[o], o))[:ORDERS_MAX]


def named_by(orders: Iterable[str], findings: Sequence[Finding]) -> dict[str, list[Finding]]:
    """The findings whose text names an order, by order."""
    whole = "\n".join(f.text for f in findings)
    named: dict[str, list[Finding]] = {}
    for order in orders:
        if order and order in whole:
            alone = re.compile(rf"(?<![\w-]){re.escape(order)}(?![\w-])")
            theirs = [f for f in findings if order in f.text and alone.search(f.text)]
            if theirs:
                named[order] = theirs
    return named


def _scale(frame: Frame) -> str:
    return f'<div class="row"><span class="names scale"></span>{frame.scale()}</div>'


def _row(group: Group, frame: Frame, *, has_faults: bool) -> str:
    names = "".join(f'<li class="{lane.css}" title="{lane.title}">{lane.name}</li>' for lane in group.lanes)
    inner = []
    for no, lane in enumerate(group.lanes):
        top = no * LANE_PX
        inner.append(f'<line class="lane" x1="0" x2="100%" y1="{top + LANE_PX // 2}" y2="{top + LANE_PX // 2}"/>')
        inner += [mark(top) for mark in lane.marks]
    picture = frame.picture(len(group.lanes) * LANE_PX, group.label, "".join(inner), has_faults=has_faults)
    left_out = f'<div class="row"><span class="names"></span><p class="left-out">{group.left_out}</p></div>' if group.left_out else ""
    return f'<div class="row head"><h3 class="names">{group.heading}</h3></div><div class="row"><ol class="names">{names}</ol>{picture}</div>{left_out}'


# --- marks ---------------------------------------------------------------------------------------------------------------------


def _bar(frame: Frame, span: Span, css: str, title: str, word: str = "", *, beside: bool = False) -> Callable[[int], str]:
    """A bar with its word on it where there is room, and `beside` it where not."""
    x, wide = frame.axis.at(span.from_ms), frame.axis.wide(span.from_ms, span.to_ms)
    starts, ends, needs = frame.axis.share(span.from_ms), frame.axis.share(span.to_ms), len(word) * _LETTER + _LETTERS_AROUND
    place, on = "", "on"
    if word and ends - starts >= needs:
        place = x
    elif word and beside and ends + needs <= 1:
        place, on = percent(ends), "beside"

    def draw(top: int) -> str:
        bar = f'<rect class="{css}" x="{x}" width="{wide}" y="{top + _BAR_Y}" height="{BAR_PX}"><title>{title}</title></rect>'
        return bar + (f'<text class="{on} {css}" x="{place}" dx="5" y="{top + LANE_PX // 2 + 4}">{text(word)}</text>' if place else "")

    return draw


def _tick(frame: Frame, at_ms: int, css: str, title: str) -> Callable[[int], str]:
    x = frame.axis.at(at_ms)
    return lambda top: f'<rect class="{css}" x="{x}" width="2" y="{top + 2}" height="{LANE_PX - 4}"><title>{title}</title></rect>'


def _note(frame: Frame, found: Measures, at_ms: int, said: str) -> Callable[[int], str]:
    return _tick(frame, at_ms, "note", f"{clock(at_ms - found.begin_ms)} {text(said, NOTE_CHARS_MAX)}")


def _sign(frame: Frame, at_ms: int, sign: str, css: str, title: str) -> Callable[[int], str]:
    share = frame.axis.share(at_ms)
    anchor = "end" if share > 0.99 else "start" if share < 0.01 else "middle"
    x = percent(share)
    return lambda top: f'<text class="{css}" x="{x}" y="{top + LANE_PX // 2 + 5}" text-anchor="{anchor}">{sign}<title>{title}</title></text>'


# --- groups --------------------------------------------------------------------------------------------------------------------


def _faults(found: Measures, frame: Frame, settings: dict[int, str]) -> Group:
    lanes = []
    for number, spells in list(found.faults.items())[:FAULTS_MAX]:
        kind, said = spells[0].kind, settings.get(number, "")
        marks = [
            _bar(
                frame,
                s.span,
                "fault",
                f"{text(kind)} {text(said)}, {_when(found, s.span)}, {count(len(s.devices), 'device')}",
                said,
                beside=no == len(spells) - 1,
            )
            for no, s in enumerate(spells[:LANE_MARKS_MAX])
        ]
        lanes.append(Lane(text(kind), "", text(f"fault {number}: {kind} {said}"), marks))
    more = len(found.faults) - len(lanes)
    return Group(
        "Faults", lanes, f"When each of {count(len(found.faults), 'fault')} was on", f"{count(more, 'more fault')} in the table below." if more else ""
    )


def _server(found: Measures, frame: Frame) -> Group:
    if not found.up and not found.kills and not found.log:
        return Group("Server", [], "")
    marks = [_bar(frame, span, "up", f"up, {_when(found, span)}") for span in found.up[:LANE_MARKS_MAX]]
    marks += [_note(frame, found, at_ms, said) for at_ms, said in found.log[:LANE_MARKS_MAX]]
    for down in found.kills[:LANE_MARKS_MAX]:
        back = "not started again" if down.back_ms is None else f"back after {duration(down.back_ms - down.at_ms)}"
        marks.append(_sign(frame, down.at_ms, "✕", "died", f"killed at {clock(down.at_ms - found.begin_ms, fine=True)} ({text(down.point)}), {back}"))
    return Group(
        "Server",
        [Lane("dockbridge", "", "the server", marks)],
        f"The server was up {count(len(found.up), 'time')} and was killed {count(len(found.kills), 'time')}",
    )


def _findings(findings: Sequence[Finding], found: Measures, frame: Frame) -> Group:
    by_law: dict[str, list[Finding]] = {}
    for finding in findings:
        by_law.setdefault(finding.checker, []).append(finding)
    room = FINDINGS_MAX // max(1, len(by_law))
    lanes = [
        Lane(text(law), "bad", text(law), [_sign(frame, f.at_ms or found.end_ms, "◆", "finding", text(f.text, 160)) for f in theirs[:room]])
        for law, theirs in by_law.items()
    ]
    hidden = sum(max(0, len(theirs) - room) for theirs in by_law.values())
    return Group("Findings", lanes, f"When {count(len(findings), 'finding')} showed", f"{count(hidden, 'more finding')} not drawn." if hidden else "")


def _orders(found: Measures, findings: Sequence[Finding], chosen: Sequence[str], frame: Frame) -> Group:
    named = named_by(chosen, findings)
    room = min(LANE_MARKS_MAX, MARKS_MAX // max(1, len(chosen)))
    lanes, hidden = [], 0
    for order in chosen:
        kept = thinned(found.orders[order], frame, room)
        hidden += len(found.orders[order]) - len(kept)
        marks = [_bar(frame, Span(a, b), state_class(word), f"{text(word)}, {_when(found, Span(a, b))}", word) for a, b, word in _spans(kept, found.end_ms)]
        marks += [_sign(frame, f.at_ms or found.end_ms, "◆", "finding", text(f"{f.checker}: {f.text}", 160)) for f in named.get(order, [])[:10]]
        lanes.append(Lane(text(order), "bad" if order in named else "", text(order), marks))
    return Group(
        f"Orders <small>{len(found.orders):,}</small>",
        lanes,
        f"States of {count(len(chosen), 'order')} over time; the table below has them in words",
        _left_out(found, chosen, hidden),
    )


def _left_out(found: Measures, chosen: Sequence[str], hidden: int) -> str:
    said = []
    if len(found.orders) > len(chosen):
        said.append(f"{count(len(found.orders) - len(chosen), 'more order')} not drawn; those that a finding names come first.")
    if hidden:
        said.append(f"{count(hidden, 'change')} of state that lasted too short to be seen {'is' if hidden == 1 else 'are'} not drawn.")
    return " ".join(said)


def _devices(found: Measures, frame: Frame) -> Group:
    most_disturbed = sorted(found.devices, key=lambda d: (-found.devices[d].losses, d))[:DEVICES_MAX]
    room = min(LANE_MARKS_MAX, MARKS_MAX // max(1, len(most_disturbed)))
    lanes, hidden = [], 0
    for device in sorted(most_disturbed, key=_natural):
        life = found.devices[device]
        spells = joined(life.online, frame, room // 2)
        marks = [_bar(frame, span, "online", f"online, {_when(found, span)}") for span in spells]
        marks += [_tick(frame, at_ms, "refused", f"refused at {clock(at_ms - found.begin_ms, fine=True)}") for at_ms in life.refused[: room // 4]]
        marks += [_note(frame, found, at_ms, said) for at_ms, said in life.notes[: room // 4]]
        hidden += max(0, len(life.refused) - room // 4) + max(0, len(life.notes) - room // 4) + len(life.online) - len(spells)
        lanes.append(Lane(text(device), "", text(device) + _life_said(life), marks))
    said = []
    if len(found.devices) > len(lanes):
        said.append(f"{count(len(found.devices) - len(lanes), 'more device')} not drawn; those that lost most connections are here.")
    if hidden:
        said.append(f"{count(hidden, 'mark')} left out: short breaks are joined, and of refusals and notes the first are drawn.")
    return Group(f"Devices <small>{len(found.devices):,}</small>", lanes, f"When each of {count(len(lanes), 'device')} was connected", " ".join(said))


def _life_said(life: Life) -> str:
    return f": {count(life.connects, 'connection')}, {life.losses} ended, {count(life.failures, 'attempt')} failed" + (
        f", {len(life.refused)} refused" if life.refused else ""
    )


# --- what is worth a mark ------------------------------------------------------------------------------------------------------


def thinned(changes: Sequence[Change], frame: Frame, most: int) -> list[Change]:
    """At most so many changes: where several fall into one cell of a grid, the last one stands."""
    if len(changes) <= most:
        return list(changes)
    cells: dict[int, Change] = {}
    for change in changes:
        cells[min(most - 1, int(frame.axis.share(change.at_ms) * most))] = change
    return list(cells.values())


def joined(spans: Sequence[Span], frame: Frame, most: int) -> list[Span]:
    """At most so many spans: the shortest breaks between them are passed over."""
    if len(spans) <= most:
        return list(spans)
    breaks = sorted(range(1, len(spans)), key=lambda no: (spans[no - 1].to_ms - spans[no].from_ms, no))
    kept = sorted(breaks[: most - 1])
    return [Span(spans[a].from_ms, spans[b - 1].to_ms) for a, b in zip([0, *kept], [*kept, len(spans)], strict=True)]


def _spans(changes: Sequence[Change], end_ms: int) -> list[tuple[int, int, str]]:
    following = (*changes[1:], Change(end_ms, None))
    return [(c.at_ms, after.at_ms, c.state) for c, after in zip(changes, following, strict=False) if c.state is not None]


def state_class(state: str) -> str:
    return _CLASSES.get(state, "s-other")


def _when(found: Measures, span: Span) -> str:
    return f"{clock(span.from_ms - found.begin_ms)} to {clock(span.to_ms - found.begin_ms)} ({duration(span.to_ms - span.from_ms)})"


def _natural(name: str) -> list[tuple[int, str]]:
    return [(int(part), "") if part.isdecimal() and part.isascii() else (-1, part) for part in re.split(r"(\d+)", name)]
