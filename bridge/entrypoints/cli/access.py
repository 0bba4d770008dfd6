"""`dockbridge access`: who may do what, and which rule says so."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bridge.entrypoints.cli.output import JsonOption, print_json, print_table, say, yes_no
from bridge.entrypoints.cli.reading import SiteOption, read
from bridge.operations import access
from bridge.operations.access import Action

app = typer.Typer(
    no_args_is_help=True,
    help="See who may do what, and which rule says so.\n\nExample: `dockbridge access why scan-07 publish v1/main/devices/scan-07/events/pack`",
)


@app.command()
def why(
    device: Annotated[str, typer.Argument(help="An enrolled device.")],
    action: Annotated[Action, typer.Argument(help="publish or subscribe.")],
    topic: Annotated[str, typer.Argument(help="The topic, or for subscribe the topic filter.")],
    site: SiteOption = Path(),
    as_json: JsonOption = False,
) -> None:
    """Explain whether a device may publish to a topic or subscribe to a topic filter, and which rule decides it.

    Example: `dockbridge access why scan-07 publish v1/main/devices/scan-07/events/pack`
    """
    answer = read(site, access.why, device, action, topic)
    if as_json:
        print_json(answer)
    else:
        print_table(("device", "role", "action", "allowed", "rule"), [(answer.device, answer.role, answer.action, yes_no(answer.allowed), answer.rule)])


@app.command()
def who(
    topic: Annotated[str, typer.Argument(help="A topic (not a topic filter).")],
    site: SiteOption = Path(),
    as_json: JsonOption = False,
) -> None:
    """List the devices that may read or write a topic, and the rules that allow it.

    Example: `dockbridge access who v1/main/orders/PO-17/status`
    """
    found = read(site, access.who, topic)
    if as_json:
        print_json(found)
        return
    print_table(("device", "role", "reads", "writes", "rule"), [(r.device, r.role, yes_no(r.reads), yes_no(r.writes), r.rule) for r in found])
    if not found:
        say("No device may read or write this topic. The bridge itself publishes every topic that is not below a device's own.")
