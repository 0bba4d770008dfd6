"""`dockbridge report`: what happened over a time, counted."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Annotated, Final

import typer

from bridge.entrypoints.cli.output import JsonOption, print_json, print_table
from bridge.entrypoints.cli.reading import SiteOption, read
from bridge.entrypoints.cli.times import TzOption, dated, moment, zone
from bridge.operations import reports
from bridge.operations.reports import Grouping

app = typer.Typer(no_args_is_help=True, help="Count what happened. No report names a person.\n\nExample: `dockbridge report mispicks --by place`")

HEADINGS: Final = {Grouping.ARTICLE: "article", Grouping.PLACE: "place", Grouping.HOUR: "hour"}


@app.callback()
def report() -> None:
    """Count what happened."""


@app.command()
def mispicks(
    since: Annotated[datetime | None, typer.Option(help="Only from this hour on, in the time zone of the output.")] = None,
    by: Annotated[Grouping, typer.Option(help="Count by article, place or hour.")] = Grouping.ARTICLE,
    site: SiteOption = Path(),
    as_json: JsonOption = False,
    tz: TzOption = None,
) -> None:
    """Count scans that were refused and put right: wrong articles, wrong parcels, orders on hold.

    Example: `dockbridge report mispicks --since 2026-03-01 --by hour`
    """
    rows = read(site, reports.count_mispicks, by=by, since_ms=int(since.replace(tzinfo=zone()).timestamp() * 1000) if since else 0)
    if as_json:
        print_json(rows)
        return
    cells = [(moment(r["hour_ms"]) if by is Grouping.HOUR else r[by.value], r["reason"], r["count"]) for r in rows]
    heading = dated(HEADINGS[by]) if by is Grouping.HOUR else HEADINGS[by]
    print_table((heading, "reason", "times"), cells)
