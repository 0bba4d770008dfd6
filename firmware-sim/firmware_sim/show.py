"""Results for a terminal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from devices.protocol.encoding import PayloadError, load
from firmware_sim.demo import DemoResult
from firmware_sim.link.progress import Progress
from firmware_sim.record import Finding, Record
from firmware_sim.replay import Agreement, Replayed
from firmware_sim.report.measures import measure, percentile

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


# --- a scenario's run ----------------------------------------------------------------------------------------------------------

FINDINGS_SHOWN = 10
"""Findings of one checker that a terminal shows."""


def render_run(record: Record, findings: Sequence[Finding], laws: Mapping[str, str]) -> RenderableType:
    """What a run came to: each law, and the figures."""
    table = Table("law", "", box=None, pad_edge=False)
    for law, sentence in laws.items():
        broken = [f for f in findings if f.checker == law]
        table.add_row(
            Text(sentence, style="bold red" if broken else ""), Text(f"broken {len(broken)} times" if broken else "kept", style="red" if broken else "green")
        )
    parts: list[RenderableType] = [table, Text()]
    for law in laws:
        parts += [Text(f"{f.checker}: {f.text}", style="red") for f in [f for f in findings if f.checker == law][:FINDINGS_SHOWN]]
    plain = run_to_json(record, findings)
    parts += [
        _counts("receipts", plain["outcomes"]),
        Text(_times("PUBLISH to PUBACK (stored) ", plain["puback_ms"])),
        Text(_times("PUBLISH to receipt         ", plain["receipt_ms"])),
        _verdict(
            f"{record.scenario}, seed {record.seed}: {plain['orders']} orders, {plain['events']} events stored, {plain['kills']} kills, "
            f"{plain['reconnects']} reconnects in {plain['lived_s']:.0f} s of {'virtual ' if record.link == 'simulated' else ''}time",
            ok=not findings,
        ),
    ]
    return Group(*parts)


def run_to_json(record: Record, findings: Sequence[Finding]) -> dict[str, Any]:
    """A run as plain data."""
    found = measure(record)
    return {
        "ok": not findings,
        "scenario": record.scenario,
        "seed": record.seed,
        "link": record.link,
        "digest": record.digest,
        "lived_s": (record.ended_ms - record.started_ms) / 1000,
        "orders": len(record.end.tables.get("orders", record.expected)),
        "events": len(record.end.tables.get("events", ())) or found.events,
        "kills": len(found.kills),
        "reconnects": found.reconnects,
        "outcomes": dict(sorted(Counter({outcome: n for (outcome, _), n in found.outcomes.items()}).items())),
        "puback_ms": _percentiles([x.took_ms for x in found.acknowledged]),
        "receipt_ms": _percentiles([x.took_ms for x in found.answered]),
        "findings": [{"checker": f.checker, "text": f.text, "at_ms": f.at_ms} for f in findings],
    }


def _percentiles(took_ms: list[int]) -> dict[str, int]:
    ordered = sorted(took_ms)
    return {name: percentile(ordered, share) if ordered else 0 for name, share in (("p50", 0.5), ("p99", 0.99), ("max", 1.0))}


def _times(name: str, ms: dict[str, int]) -> str:
    return f"{name} p50 {ms['p50']} ms, p99 {ms['p99']} ms, at most {ms['max']} ms"


def readable(value: Any) -> Any:
    """A value of a record for a person: CBOR as what it says, other bytes as hex, long things cut."""
    if isinstance(value, bytes):
        try:
            value = readable(load(value))
        except PayloadError:
            return value[:16].hex()
    if isinstance(value, dict):
        return {k: v.hex()[:8] if isinstance(v, bytes) else v for k, v in value.items()}
    if isinstance(value, tuple):
        if hasattr(value, "_asdict"):
            return {type(value).__name__: {k: readable(v) for k, v in value._asdict().items()}}
        return [readable(v) for v in value[:SHOWN_MAX]] + ([f"and {len(value) - SHOWN_MAX} more"] if len(value) > SHOWN_MAX else [])
    return value


SHOWN_MAX = 20
