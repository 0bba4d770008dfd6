"""`firmware-sim sweep`: many seeds of a scenario, until one breaks a law."""

from __future__ import annotations

import shlex
import time
from pathlib import Path
from typing import Annotated

import typer

from firmware_sim.commands.output import FAILED, AsJson, ScenarioName, emit, progress, say
from firmware_sim.scenario import Scenario
from firmware_sim.scenario_file import read_scenario, render


def sweep(
    scenario: ScenarioName = "mixed",
    seeds: Annotated[int, typer.Option(help="How many seeds.", min=1, max=10_000_000)] = 1_000,
    first: Annotated[int, typer.Option("--from", help="The first of them.", min=0)] = 1,
    jobs: Annotated[int, typer.Option(help="Processes.", min=0, max=1_024, show_default="one for each core")] = 0,
    shrink: Annotated[bool, typer.Option(help="Look for the smallest scenario that still fails.")] = True,
    into: Annotated[Path, typer.Option(help="Where that is written.", file_okay=False)] = Path(),
    as_json: AsJson = False,
) -> None:
    """Live through many seeds on the simulated link. Stops at the first that breaks a law, and says how to see it again. Exit 0: none did.

    Example: `firmware-sim sweep power-cut --seeds 200`
    """
    from firmware_sim import sweep as sweeping

    what = read_scenario(scenario)
    began_s = time.monotonic()
    with progress() as bar:
        task = bar.add_task(f"{what.name}: seeds", total=seeds)
        outcomes = sweeping.sweep(what, range(first, first + seeds), jobs=jobs, on_outcome=lambda _: bar.advance(task))
    took_s = time.monotonic() - began_s
    last = outcomes[-1]
    plain: dict[str, object] = {
        "scenario": what.name,
        "seeds": len(outcomes),
        "events": sum(o.events for o in outcomes),
        "kills": sum(o.kills for o in outcomes),
        "virtual_s": round(sum(o.virtual_s for o in outcomes)),
        "seconds": round(took_s, 1),
        "failed_seed": last.seed if last.findings else None,
        "findings": [{"checker": f.checker, "text": f.text} for f in last.findings],
    }
    if not last.findings:
        _tell(plain, as_json=as_json)
        return
    for finding in last.findings:
        say(f"{finding.checker}: {finding.text}")
    say(f"seed {last.seed} broke a law. Once more: firmware-sim replay {shlex.quote(scenario)} --seed {last.seed}")
    if shrink:
        with progress() as bar:
            task = bar.add_task("looking for a smaller one: runs", total=None)
            small = sweeping.shrink(what, last, on_try=lambda tried: bar.update(task, completed=tried))
        plain["smallest"] = path = _written(small.scenario, small.outcome.seed, into)
        say(f"the smallest that still does, after {small.tried} more runs: firmware-sim replay {shlex.quote(path)} --seed {small.outcome.seed}")
    _tell(plain, as_json=as_json)
    raise typer.Exit(FAILED)


def _written(scenario: Scenario, seed: int, into: Path) -> str:
    path = into / f"{scenario.name}-{seed}-small.toml"
    path.write_text(render(scenario), encoding="utf-8")
    return str(path)


def _tell(plain: dict[str, object], *, as_json: bool) -> None:
    if as_json:
        emit(plain)
        return
    kept = "every law was kept" if plain["failed_seed"] is None else f"seed {plain['failed_seed']} failed"
    typer.echo(
        f"{plain['scenario']}: {plain['seeds']} seeds, {plain['events']} events, {plain['kills']} kills, "
        f"{plain['virtual_s']} s lived through in {plain['seconds']} s; {kept}",
    )
