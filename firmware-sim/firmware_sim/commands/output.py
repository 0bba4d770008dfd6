"""What the commands share: how they speak is the bridge's command line's; their exits and options are here."""

from __future__ import annotations

from typing import Annotated, Final

import typer

from bridge.entrypoints.cli.output import print_json as emit
from bridge.entrypoints.cli.output import print_rich as show
from bridge.entrypoints.cli.output import progress, say

FAILED: Final = 1
USAGE: Final = 2

AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
ScenarioName = Annotated[str, typer.Argument(metavar="SCENARIO", help="A name of `firmware-sim list`, or the path of a .toml file.")]

__all__ = ["FAILED", "USAGE", "AsJson", "ScenarioName", "emit", "progress", "say", "show"]
