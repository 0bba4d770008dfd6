"""A measurement as lines of JSON and back: a head, then a line for each row of the tables, then a line for each contestant and round.

Other figures of a round (`Measurement.raw`) are printed by `--json`, and not kept.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict
from typing import Any

from benchmarks.rounds import Measurement, Row, Spread, Target


def to_lines(found: Measurement) -> Iterator[str]:
    """The part of a measurement that a report needs."""
    yield _line({"name": found.name, "title": found.title, "command": found.command, "where": found.where, "notes": found.notes})
    for row in found.rows:
        yield _line(_head(row))
    for case in dict.fromkeys(row.case for row in found.rows):
        rows = [row for row in found.rows if row.case == case]
        for contestant in dict.fromkeys(name for row in rows for name in row.values):
            figures = {row.figure: row.values[contestant].values for row in rows if contestant in row.values}
            for number in range(max(map(len, figures.values()))):
                yield _line({"case": case, "contestant": contestant, **{name: some[number] for name, some in figures.items() if number < len(some)}})


def from_lines(lines: Iterable[str]) -> Measurement:
    """Read what `to_lines` made."""
    head, *others = map(json.loads, lines)
    rounds: dict[str, dict[str, list[Mapping[str, Any]]]] = {}
    for plain in others:
        if "contestant" in plain:
            rounds.setdefault(plain["case"], {}).setdefault(plain["contestant"], []).append(plain)
    rows = [_row(plain, rounds[plain["case"]]) for plain in others if "figure" in plain]
    return Measurement(**head, rows=rows)


def _head(row: Row) -> dict[str, Any]:
    """A row without its values. Fields that are None are left out."""
    target = {k: v for k, v in asdict(row.target).items() if v is not None} if row.target is not None else None
    plain = {"case": row.case, "figure": row.figure, "more_is_better": row.more_is_better, "target": target, "against": row.against}
    return {k: v for k, v in plain.items() if v is not None}


def _row(plain: Mapping[str, Any], rounds: Mapping[str, list[Mapping[str, Any]]]) -> Row:
    figure = plain["figure"]
    values = {contestant: [r[figure] for r in some if figure in r] for contestant, some in rounds.items()}
    return Row(
        case=plain["case"],
        figure=figure,
        values={contestant: Spread.of(some) for contestant, some in values.items() if some},
        more_is_better=plain["more_is_better"],
        target=Target(**plain["target"]) if "target" in plain else None,
        against=tuple(plain["against"]) if "against" in plain else None,
    )


def _line(plain: Mapping[str, Any]) -> str:
    return json.dumps(plain, ensure_ascii=False, separators=(",", ":"))
