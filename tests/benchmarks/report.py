"""Measurements as JSON, as text, as Markdown between the README's markers, and as a chart (SVG) that reads well on light and dark pages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from html import escape
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from benchmarks.machine import Cores, machine
from benchmarks.rounds import OURS, Measurement, Row, Spread

BEGIN: Final = "<!-- results -->"
END: Final = "<!-- end of results -->"
LABELS: Final = {
    OURS: "Dockbridge",
    "mosquitto+asyncio": "Mosquitto + asyncio",
    "mosquitto+paho": "Mosquitto + paho",
    "mosquitto": "Mosquitto",
    "in process": "the handler in process",
}


def to_json(found: Measurement) -> dict[str, Any]:
    """Everything that was measured, for other programs."""
    rows = [
        {
            "case": r.case,
            "figure": r.figure,
            "more_is_better": r.more_is_better,
            "values": {n: {"median": s.median, "lowest": s.lowest, "highest": s.highest, "rounds": s.rounds} for n, s in r.values.items()},
            "against": r.against,
            "rival": r.rival,
            "ratio": round(r.ratio, 3) if r.ratio is not None else None,
            "target": asdict(r.target) if r.target else None,
            "met": r.is_met,
        }
        for r in found.rows
    ]
    whole = {"name": found.name, "title": found.title, "command": found.command, "where": found.where}
    return {**whole, "notes": found.notes, "rows": rows, "rounds": found.raw}


def number(value: float) -> str:
    """A number with three significant digits."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def cell(spread: Spread | None) -> str:
    """The median; for several rounds with the lowest and the highest in brackets."""
    if spread is None:
        return ""
    if spread.rounds == 1 or spread.lowest == spread.highest:
        return number(spread.median)
    return f"{number(spread.median)} ({number(spread.lowest)} to {number(spread.highest)})"


def verdict(row: Row) -> str:
    if row.target is None or row.is_met is None:
        return ""
    return f"{row.target.text}: {'met' if row.is_met else 'MISSED'}"


def contestants_of(rows: Sequence[Row]) -> list[str]:
    """Ours first, then the others in the order in which they occur."""
    names = dict.fromkeys(n for r in rows for n in r.values)
    return sorted(names, key=lambda n: n != OURS)


def _cells(row: Row, names: Sequence[str]) -> list[str]:
    ratio = f"{row.ratio:.2f}" if row.ratio is not None else ""
    return [row.case, row.figure, *(cell(row.values.get(n)) for n in names), ratio, verdict(row)]


def _header(names: Sequence[str]) -> list[str]:
    return ["case", "figure", *(LABELS.get(n, n) for n in names), "ratio to the best", "target"]


def show(found: Sequence[Measurement], console: Console) -> None:
    """Tables for a person at a terminal."""
    for measurement in found:
        names = contestants_of(measurement.rows)
        table = Table(*_header(names), title=measurement.title, box=None, pad_edge=False, header_style="bold", title_justify="left")
        for row in measurement.rows:
            table.add_row(*_cells(row, names))
        console.print(table)
        for note in measurement.notes:
            console.print(f"note: {note}", markup=False)
        console.print()


def markdown(found: Sequence[Measurement], chart: str | None = None) -> str:
    """The block of results."""
    lines = ["Medians, with the lowest and the highest of the rounds.", ""]
    if chart is not None:
        lines += [f"![Events per second and the others' beside it]({chart})", ""]
    for measurement in found:
        names = contestants_of(measurement.rows)
        header = _header(names)
        lines += [f"### {measurement.title}", "", f"`{measurement.command}`", "", f"{measurement.where}.", "", _line(header), _line(["---"] * len(header))]
        lines += [_line(_cells(row, names)) for row in measurement.rows]
        lines += ["", *(f"- {note}" for note in measurement.notes), *([""] if measurement.notes else [])]
    return "\n".join(lines).rstrip() + "\n"


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(c.replace("|", "\\|") for c in cells) + " |"


def where_of(cores: Cores, *, at: datetime | None = None) -> str:
    """When, and on what machine."""
    this = machine()
    where = "server side and load on a core each" if cores.apart else "server side and load share a core: figures are too low"
    day = (at or datetime.now(UTC)).date().isoformat()
    return f"{day}, {this['processor']}, {this['cores']} cores ({where}), {this['memory_gb']} GB, {this['system']}, Python {this['python']}"


def has_place(readme: Path) -> bool:
    """Whether a file has the markers."""
    return END in readme.read_text(encoding="utf-8").partition(BEGIN)[2]


def write_into(readme: Path, block: str) -> None:
    """Replace the text between the markers.

    Raises:
        ValueError: if the markers are missing.
    """
    text = readme.read_text(encoding="utf-8")
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{readme} has no {BEGIN} … {END}")
    readme.write_text(f"{before}{BEGIN}\n{block}{END}{after}", encoding="utf-8")


# --- the chart --------------------------------------------------------------------------------------------------------------

WIDTH: Final = 760
LEFT: Final = 230
RIGHT: Final = 110
BAR: Final = 18
GAP: Final = 6
STYLE: Final = """
  text { font: 13px system-ui, sans-serif; fill: #1f2328; } .title { font-weight: 600; font-size: 15px; } .small { fill: #59636e; font-size: 12px; }
  .ours { fill: #0b6e4f; } .other { fill: #9aa5b1; } .axis { stroke: #d1d9e0; }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3; } .small { fill: #9198a1; } .ours { fill: #3fb98a; } .other { fill: #5b6672; } .axis { stroke: #3d444d; }
  }
"""


def chart(rows: Sequence[Row], *, title: str, below: str) -> str:
    """Bars of one figure, a group for each case; a bar's length counts from zero."""
    longest = max((s.median for r in rows for s in r.values.values()), default=1.0) or 1.0
    parts: list[str] = []
    y = 52
    for row in rows:
        parts.append(f'<text x="16" y="{y + 13}">{escape(row.case)}</text>')
        for name in contestants_of([row]):
            parts.append(_bar(y, name, row.values[name].median, longest))
            y += BAR + GAP
        y += 14
    height = y + 22
    label = escape(f"{title}. " + "; ".join(_spoken(r) for r in rows))
    axis = f'<line class="axis" x1="{LEFT + 130}" y1="44" x2="{LEFT + 130}" y2="{y - 10}"/>'
    size = f'viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}"'
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" aria-label="{label}">',
        f"<style>{STYLE}</style>",
        f'<text class="title" x="16" y="26">{escape(title)}</text>',
        axis,
        *parts,
        f'<text class="small" x="16" y="{height - 10}">{escape(below)}</text>',
        "</svg>",
    ]
    return "\n".join(lines) + "\n"


def _bar(y: int, name: str, value: float, longest: float) -> str:
    start = LEFT + 130
    width = max(1.0, (WIDTH - start - RIGHT) * value / longest)
    kind = "ours" if name == OURS else "other"
    return (
        f'<text class="small" x="{start - 8}" y="{y + 13}" text-anchor="end">{escape(LABELS.get(name, name))}</text>'
        f'<rect class="{kind}" x="{start}" y="{y}" width="{width:.1f}" height="{BAR}" rx="2"/>'
        f'<text class="small" x="{start + width + 6:.1f}" y="{y + 13}">{number(value)}</text>'
    )


def _spoken(row: Row) -> str:
    values: Mapping[str, Spread] = row.values
    return f"{row.case}: " + ", ".join(f"{LABELS.get(n, n)} {number(values[n].median)}" for n in contestants_of([row]))


def charted(found: Sequence[Measurement]) -> list[Row]:
    """The rows of the chart: rates, end to end and of the broker alone."""
    return [r for m in found if m.name == "end-to-end" for r in m.rows if r.figure == "events/s"]
