"""`dockbridge workers`: whose pseudonyms stand in the log, for those who may know."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bridge.entrypoints.cli.output import JsonOption, print_json, print_table, say
from bridge.entrypoints.cli.reading import SiteOption
from bridge.entrypoints.cli.times import TzOption, dated, moment
from bridge.entrypoints.control.client import call
from bridge.operations import workers

app = typer.Typer(
    no_args_is_help=True,
    help="See whose pseudonyms stand in the log, and name workers and couriers. Each look is in the audit log.\n\nExample: `dockbridge workers list`",
)

CourierOption = Annotated[str | None, typer.Option(metavar="COURIER", help="A courier instead of a badge.", show_default=False)]


@app.command(name="list")
def list_(site: SiteOption = Path(), as_json: JsonOption = False, tz: TzOption = None) -> None:
    """List workers and couriers: pseudonym, badge, name, since when the pseudonym stands for the badge, and its last use.

    Example: `dockbridge workers list`
    """
    found = call(site, workers.list_workers)
    if as_json:
        print_json(found)
        return
    rows = [(w.pseudonym, w.badge, w.name, moment(w.since_ms), moment(w.last_ms)) for w in found.workers]
    print_table(("pseudonym", "badge", "name", dated("since"), "last"), rows)
    if found.couriers:
        print_table(("courier", "name", dated("since")), [(c.courier, c.name, moment(c.since_ms)) for c in found.couriers])


@app.command()
def name(
    names: Annotated[list[str], typer.Argument(metavar="[BADGE] NAME", help="What is on the badge, as devices send it, and the name of its worker.")],
    courier: CourierOption = None,
    site: SiteOption = Path(),
    as_json: JsonOption = False,
) -> None:
    """Give a badge the name of its worker, or a courier a name. It is sealed, and forgotten with the link between badge and scans.

    Example: `dockbridge workers name 4711 "Ada Vos"`, or `dockbridge workers name --courier c7 "Ben Lim"`
    """
    if len(names) != (2 if courier is None else 1):
        raise typer.BadParameter("give a badge and a name; with --courier only a name", param_hint="BADGE")
    if courier is not None:
        call(site, workers.name_courier, courier, names[0])
        if as_json:
            print_json({"courier": courier})
        say(f"{courier} has a name.")
        return
    pseudonym = call(site, workers.name, *names)
    if as_json:
        print_json({"pseudonym": pseudonym})
    say(f"The badge has a name. It stands in the log as {pseudonym}.")
