"""`dockbridge places`: docks, hubs, lockers, stations and zones, and who was there."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from bridge.config import CONFIG_NAME
from bridge.config_file import load
from bridge.domain.places import Place
from bridge.entrypoints.cli.output import FAILED, JsonOption, LimitOption, Why, print_json, print_table, say
from bridge.entrypoints.cli.reading import SiteOption, read
from bridge.entrypoints.cli.times import TzOption, dated, moment, span
from bridge.entrypoints.control.client import call
from bridge.errors import Refused
from bridge.operations import places
from bridge.operations.place_ports import StoredVisit
from bridge.place_file import PROPERTIES, BadFeature, read_places
from bridge.words import counted

app = typer.Typer(
    no_args_is_help=True, help="Take in the places where couriers come, and see who was there.\n\nExample: `dockbridge places import places.geojson`"
)

BAD_SHOWN_MAX = 50
"""How many faults of a file are printed."""


@app.command(name="import")
def import_(
    file: Annotated[Path, typer.Argument(help=f"GeoJSON: Polygons, and Points with radius_m. Properties: {', '.join(PROPERTIES)}.", readable=False)],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would change.")] = False,
    remove_others: Annotated[bool, typer.Option("--remove-others", help="Remove the places that are not in the file.")] = False,
    site: SiteOption = Path(),
    as_json: JsonOption = False,
) -> None:
    """Take in a file of places. Each feature replaces the place with its id; places that are not in the file stay. If one is wrong, nothing changes.

    Example: `dockbridge places import places.geojson --dry-run`
    """
    limits = load(site / CONFIG_NAME).places
    found = read_places(file, limits)
    if found.bad:
        _refuse(file, found.bad)
    wanted = (found.places, limits.places_max)
    plan = read(site, places.plan, *wanted, removes_others=remove_others) if dry_run else call(site, places.put, *wanted, removes_others=remove_others)
    if as_json:
        print_json(plan)
    counts = f"{len(plan.added)} new, {len(plan.changed)} changed, {len(plan.removed)} removed, {plan.same} the same"
    say(f"{'Would store' if dry_run else 'Stored'}: {counts}.")


@app.command(name="list")
def list_(site: SiteOption = Path(), as_json: JsonOption = False) -> None:
    """List the places in the order of their ids.

    Example: `dockbridge places list`
    """
    found = read(site, places.list_places)
    if as_json:
        print_json([_row(place) for place in found])
    else:
        columns = ("place", "kind", "name", "size", "hours", "dwell_s")
        print_table(columns, [[_row(place)[column] for column in columns] for place in found])


@app.command()
def check(site: SiteOption = Path(), as_json: JsonOption = False) -> None:
    """Look for zones that overlap, and for places without a name. The exit code is 1 if there are any.

    Example: `dockbridge places check`
    """
    found = read(site, places.check)
    if as_json:
        print_json([doubt._asdict() for doubt in found])
    else:
        for doubt in found:
            say(f"{doubt.place}: {doubt.problem}\n  fix: {doubt.fix}")
    if found:
        raise typer.Exit(FAILED)
    if not as_json:
        say("No zones overlap, and each place has a name.")


@app.command()
def visits(
    place: Annotated[str | None, typer.Option(help="Only of this place.", show_default=False)] = None,
    device: Annotated[str | None, typer.Option(help="Only of this phone.", show_default=False)] = None,
    reason: Why = "",
    limit: LimitOption = 50,
    site: SiteOption = Path(),
    as_json: JsonOption = False,
    tz: TzOption = None,
) -> None:
    """List when couriers' phones came to places and left, the last first. Each look is in the audit log.

    Example: `dockbridge places visits --place hub-1`
    """
    found = call(site, places.visits, place=place, device=device, reason=reason, limit=limit)
    if as_json:
        print_json(found)
    else:
        columns = ("place", "device", dated("arrived"), dated("left"), "stayed")
        print_table(columns, [[visit.place, visit.device, moment(visit.arrived_ms), *_end(visit)] for visit in found])


def _end(visit: StoredVisit) -> tuple[str, str]:
    return ("still there", "") if visit.left_ms is None else (moment(visit.left_ms), span(visit.left_ms - visit.arrived_ms))


def _refuse(file: Path, bad: list[BadFeature]) -> None:
    for one in bad[:BAD_SHOWN_MAX]:
        say(f"{one.feature}, {one.field}: {one.problem}\n  fix: {one.fix}")
    if len(bad) > BAD_SHOWN_MAX:
        say(f"and {len(bad) - BAD_SHOWN_MAX} more")
    raise Refused(f"{file} has {counted(len(bad), 'fault')}; nothing was stored", fix="mend these features, then import the file again")


def _row(place: Place) -> dict[str, Any]:
    vertices = sum(len(ring) - 1 for ring in place.rings)
    size = f"{place.radius_m} m around" if place.radius_m is not None else counted(vertices, "vertex", "vertices")
    lat_e7, lon_e7 = place.shape.map.centre
    row = {"place": place.id, "kind": place.kind.value, "name": place.name, "size": size, "hours": place.hours, "dwell_s": place.dwell_s}
    return row | {"lat_e7": lat_e7, "lon_e7": lon_e7}
