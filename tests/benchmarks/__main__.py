"""The program behind `dockbridge bench`: which measurements, for how long, and where the figures go. Data to stdout, text to stderr."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.console import Console

from benchmarks import broker_alone, burst, ceiling, end_to_end, forgetting, growth, location
from benchmarks.lines import from_lines, to_lines
from benchmarks.machine import cores
from benchmarks.options import Options
from benchmarks.report import BEGIN, END, chart, charted, has_place, markdown, show, to_json, where_of, write_into
from benchmarks.rounds import OURS, ROUNDS, Measurement

MEASUREMENTS: Final[dict[str, Callable[[Options], Measurement]]] = {
    "end-to-end": end_to_end.measure,
    "broker-alone": broker_alone.measure,
    "ceiling": ceiling.measure,
    "burst": burst.measure,
    "growth": growth.measure,
    "day": growth.measure_day,
    "location": location.measure,
    "forgetting": forgetting.measure,
}
SECONDS: Final = 10.0
QUICK_S: Final = 1.0
CHART: Final = "events-per-second.svg"
_words = Console(stderr=True, highlight=False, soft_wrap=True, emoji=False)


def bench(
    what: Annotated[list[str] | None, typer.Argument(help=f"What to measure: {', '.join(MEASUREMENTS)}.", show_default="all")] = None,
    rounds: Annotated[int, typer.Option(min=1, max=100, help="Rounds in which the contestants take turns; the median is printed.")] = ROUNDS,
    seconds: Annotated[float, typer.Option(min=0.2, max=3_600, help="About how long a round of a closed loop takes, seconds.")] = SECONDS,
    devices: Annotated[
        list[int] | None,
        typer.Option(min=1, max=5_000, help="End to end with so many devices; may be given again.", show_default="1, 10, 100, 1000"),
    ] = None,
    rival: Annotated[list[str] | None, typer.Option(metavar="NAME", help="Only this rival beside ours; may be given again.", show_default="all")] = None,
    events: Annotated[int, typer.Option(min=1_000, max=1_000_000_000, help="Growth: events in the large database.")] = 10_000_000,
    quick: Annotated[bool, typer.Option("--quick", help="One short round of everything, to see whether it works. Its figures mean nothing.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print data as JSON.")] = False,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Write figures (JSON), results.md and a chart there, with what was measured into it before.",
            show_default="not written",
        ),
    ] = None,
    readme: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the table into this file too, between its markers.", show_default="none")] = None,
) -> None:
    """Measure the product and what a user would run instead, in the same run.

    Example: `dockbridge bench end-to-end --devices 100 --rounds 5`
    """
    wanted = what or list(MEASUREMENTS)
    for name in wanted:
        if name not in MEASUREMENTS:
            raise typer.BadParameter(f"{name} is none of {', '.join(MEASUREMENTS)}", param_hint="WHAT")
    for name in rival or ():
        if name not in end_to_end.CONTESTANTS or name == OURS:
            rivals = ", ".join(n for n in end_to_end.CONTESTANTS if n != OURS)
            raise typer.BadParameter(f"{name} is none of {rivals}", param_hint="--rival")
    _check_files(out, readme)
    options = Options(
        rounds=1 if quick else rounds,
        seconds=QUICK_S if quick else seconds,
        quick=quick,
        cores=cores(),
        large=Path(os.environ.get("DOCKBRIDGE_BENCH_DIR") or out or Path.cwd() / "bench"),
        say=_say,
        events=min(events, 20_000) if quick else events,
        devices=tuple(devices or ()),
        only=tuple(rival or ()),
    )
    if not options.cores.apart:
        _say("warning: there is no second core, so the load takes time from the server; compare ratios only")
    found = []
    for name in wanted:
        measured = MEASUREMENTS[name](options)
        measured.command = spelled(name, options)
        measured.where = where_of(options.cores) + (". A quick run: its figures mean nothing" if quick else "")
        found.append(measured)
        if out is not None:
            keep(measured, out)
    if as_json:
        print(json.dumps([to_json(m) for m in found], indent=2))
    else:
        show(found, Console(highlight=False, emoji=False, **({} if sys.stdout.isatty() else {"width": 400})))  # type: ignore[arg-type]
    if out is not None:
        write(out, readme)


def _check_files(out: Path | None, readme: Path | None) -> None:
    """Check that the figures can be written, before hours are spent on them.

    Raises:
        typer.BadParameter: if they can't.
    """
    for name, folder in (("--out", out), ("DOCKBRIDGE_BENCH_DIR", os.environ.get("DOCKBRIDGE_BENCH_DIR"))):
        try:
            if folder:
                Path(folder).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise typer.BadParameter(f"{folder} can't be made: {error.strerror}", param_hint=name) from error
    if readme is None:
        return
    if out is None:
        raise typer.BadParameter("the tables are made of what is in --out", param_hint="--readme")
    if not readme.is_file() or not has_place(readme):
        raise typer.BadParameter(f"{readme} has no place for the tables, between {BEGIN} and {END}", param_hint="--readme")


def spelled(name: str, options: Options) -> str:
    """The command that repeats this measurement."""
    words = ["dockbridge bench", name, f"--rounds {options.rounds}", f"--seconds {options.seconds:g}"]
    words += [f"--devices {n}" for n in options.devices] + [f"--rival {n}" for n in options.only]
    return " ".join([*words, *([f"--events {options.events}"] if name in ("growth", "day") else [])])


def keep(found: Measurement, out: Path) -> None:
    """Store one measurement, so that the report can be put together from several runs."""
    (out / f"{found.name}.jsonl").write_text("".join(f"{line}\n" for line in to_lines(found)), encoding="utf-8")


def write(out: Path, readme: Path | None) -> None:
    """Write the report of all measurements in a folder."""
    found = [from_lines(path.read_text(encoding="utf-8").splitlines()) for name in MEASUREMENTS if (path := out / f"{name}.jsonl").exists()]
    rows = charted(found)
    if rows:
        where = next(m.where for m in found if rows[0] in m.rows).partition(" (")[0]
        (out / CHART).write_text(chart(rows, title="Durable order events per second", below=where), encoding="utf-8")
    (out / "results.md").write_text(markdown(found, CHART if rows else None), encoding="utf-8")
    if readme is not None:
        write_into(readme, markdown(found, Path(os.path.relpath(out / CHART, readme.parent)).as_posix() if rows else None))


def _say(text: str) -> None:
    _words.print(text, markup=False)


def main() -> None:
    app = typer.Typer(add_completion=False, rich_markup_mode="markdown", pretty_exceptions_enable=False)
    app.command()(bench)
    app(prog_name="dockbridge bench")


if __name__ == "__main__":
    main()
