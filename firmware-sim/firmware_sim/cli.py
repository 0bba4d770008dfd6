"""`firmware-sim`: scenarios with simulated devices. Data goes to stdout, words and progress to stderr; exit 0 done, 1 failed, 2 wrong usage."""

from __future__ import annotations

import sys

import typer
from rich.console import Console

from bridge.errors import BridgeError
from bridge.shop import MapError
from firmware_sim.commands import history, new, record, runs, sweeps, train
from firmware_sim.commands.output import FAILED, USAGE
from firmware_sim.errors import BadCredentials, BadScenario, NoPassword, SimError

app = typer.Typer(
    name="firmware-sim",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
)


@app.callback()
def root() -> None:
    """Simulated devices, their networks, and what goes wrong: run it, break it, judge it, replay it.

    Example: `firmware-sim run quiet-morning`
    """


app.command("list")(runs.list_scenarios)
app.command()(runs.run)
app.command()(sweeps.sweep)
app.command()(runs.replay)
app.command()(runs.protocol)
app.command()(runs.devices)
app.command()(history.history)
app.command()(new.new)
app.command()(record.record)
app.command()(train.train)


def main(prog_name: str = "firmware-sim", arguments: list[str] | None = None) -> None:
    """The one place that prints an error: what happened, what to do."""
    try:
        app(args=arguments, prog_name=prog_name)
    except (SimError, BridgeError) as error:
        console = Console(stderr=True, highlight=False, soft_wrap=True)
        console.print(f"error: {error}", style="red", markup=False)
        if error.fix:
            console.print(f"  fix: {error.fix}", markup=False)
        sys.exit(USAGE if isinstance(error, MapError | BadCredentials | BadScenario | NoPassword) else FAILED)


if __name__ == "__main__":
    main()
