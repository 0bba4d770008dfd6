"""Results for a terminal."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from firmware_sim.demo import DemoResult
from firmware_sim.link.mqtt import Progress
from firmware_sim.replay import Agreement, Replayed

ROWS_MAX = 40
"""Orders shown; the rest is counted. Those that are not as expected come first."""


def render(result: DemoResult) -> RenderableType:
    """A day: its orders, its events, and how fast the bridge answered."""
    rows = sorted(result.rows, key=lambda r: r.ok)
    table = Table("order", "plan", "expected", "shown", "parcels", "events", box=None, pad_edge=False)
    for row in rows[:ROWS_MAX]:
        shown = Text(row.state or "no status", style="green" if row.ok else "bold red")
        table.add_row(row.order, row.fate, row.expected, shown, str(row.parcels), str(row.events))
    parts: list[RenderableType] = [table]
    if len(rows) > ROWS_MAX:
        parts.append(Text(f"and {len(rows) - ROWS_MAX} more"))
    good = sum(row.ok for row in rows)
    parts += [
        Text(),
        _counts("events", result.events),
        _counts("receipts", result.outcomes),
        Text(f"PUBLISH to PUBACK (stored)  p50 {result.puback_ms.p50:.1f} ms, p99 {result.puback_ms.p99:.1f} ms"),
        Text(f"PUBLISH to receipt          p50 {result.receipt_ms.p50:.1f} ms, p99 {result.receipt_ms.p99:.1f} ms"),
        *_errors(result.errors),
        _verdict(f"{good} of {len(rows)} orders as planned, {result.acknowledged} events stored in {result.seconds:.1f} s", ok=result.ok),
    ]
    return Group(*parts)


def render_replay(result: Replayed) -> RenderableType:
    """A replay: receipts, and the orders that are not as their rows say."""
    parts: list[RenderableType] = [_counts("events", result.record.sent), _counts("receipts", result.record.outcomes)]
    parts.append(Text(f"known before (again)  {result.record.again}"))
    odd = sorted((c for c in result.compared if c.agreement is not Agreement.AGREES), key=lambda c: c.agreement)
    if odd:
        table = Table("line", "order", "row says", "shown", "", box=None, pad_edge=False)
        for c in odd[:ROWS_MAX]:
            table.add_row(str(c.line), c.order, c.said, c.state or "no status", Text(c.agreement, style="bold red"))
        parts += [Text(), table]
        if len(odd) > ROWS_MAX:
            parts.append(Text(f"and {len(odd) - ROWS_MAX} more; --json has them all"))
    parts += _errors(tuple(result.record.errors))
    if result.agreements[Agreement.MISSING]:
        parts.append(
            Text("Orders that the bridge does not show were never imported: `dockbridge orders import` with the same file and map comes first.", style="red")
        )
    counted = ", ".join(f"{n} {name}" for name, n in result.agreements.items() if n)
    parts.append(_verdict(f"{len(result.compared)} orders: {counted}; {result.bad_rows} bad rows left out", ok=result.ok))
    return Group(*parts)


def progress_line(progress: Progress) -> str:
    """One line while it runs."""
    return f"{progress.acknowledged} events stored, {progress.answered} answered, {progress.agreed} of {progress.orders} orders as expected"


def _counts(name: str, counts: dict[str, int]) -> Text:
    return Text(f"{name}  " + (", ".join(f"{word} {n}" for word, n in counts.items()) or "none"))


def _errors(errors: tuple[str, ...]) -> list[RenderableType]:
    return [Text(error, style="red") for error in errors[:ROWS_MAX]]


def _verdict(text: str, *, ok: bool) -> Text:
    return Text(text, style="bold green" if ok else "bold red")
