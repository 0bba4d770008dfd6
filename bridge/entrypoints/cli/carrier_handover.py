"""`dockbridge carriers handover|handovers`: the list of what a carrier takes (交接清单), to look at, to close and to print."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from bridge.config import CONFIG_NAME
from bridge.config_file import load
from bridge.durable import part_of, replace_file
from bridge.entrypoints.cli.carrier_board import carriers_of, loaded_since_ms
from bridge.entrypoints.cli.output import JsonOption, LimitOption, Why, print_json, print_table, say
from bridge.entrypoints.cli.reading import SiteOption, read
from bridge.entrypoints.cli.times import TzOption, dated, moment, now_ms, zone
from bridge.entrypoints.control.client import call
from bridge.errors import Refused
from bridge.handover_sheet import handover_html, kilograms, numbers_of, short
from bridge.operations import handovers as operations
from bridge.operations.carrier_board import due_ms_of
from bridge.operations.handover_ports import AwaitedParcel, ClosedList, HandedParcel, Handover
from bridge.words import counted


def handover(
    carrier: Annotated[str | None, typer.Argument(help="The carrier, by any of its names.", show_default=False)] = None,
    close: Annotated[bool, typer.Option("--close", help="Close the list: the next one begins after it. It is in the audit log, with your name.")] = False,
    number: Annotated[int | None, typer.Option("--no", help="A list that was closed before, by its number, instead of the open one.")] = None,
    html: Annotated[
        Path | None, typer.Option("--html", metavar="FILE", help="Write it as a page to print, in Chinese and English (A4).", readable=False)
    ] = None,
    reason: Why = "",
    site: SiteOption = Path(),
    as_json: JsonOption = False,
    tz: TzOption = None,
) -> None:
    """List what a carrier takes (交接清单): the parcels loaded for it since its last list.

    Apart from them: what was loaded for it and is another carrier's, and what had to leave with this pickup and was not loaded.

    Without --close nothing changes. Closing it once the carrier leaves begins a new list; a list that was closed can be printed again with --no.

    Example: `dockbridge carriers handover DHL --close --html dhl.html`
    """
    if number is not None:
        if carrier is not None or close:
            raise typer.BadParameter("it is a closed list: leave out the carrier and --close", param_hint="--no")
        found = read(site, operations.show, number)
    elif carrier is None:
        raise typer.BadParameter("name the carrier, such as DHL; `dockbridge carriers list` names all", param_hint="CARRIER")
    else:
        if close and html is not None:
            _check_writable(html)
        found = _present(site, carrier, close=close, reason=reason)
    if as_json:
        print_json(found)
    else:
        _print(found)
    if html is not None:
        _write(html, found)
        say(f"{html} is written: open it in a browser and print it.")


def _present(site: Path, carrier: str, *, close: bool, reason: str) -> Handover:
    settings = load(site / CONFIG_NAME)
    rules, now = carriers_of(settings), now_ms()
    name = rules.named(carrier)
    window = operations.Window(
        site=settings.site.name,
        loaded_ms=loaded_since_ms(settings, now),
        due_ms=due_ms_of(rules.timetable, name, now),
        keep_days=max(settings.carriers.handovers_keep_days, settings.carriers.handover_days),
        is_known=name in rules.names.values(),
    )
    return call(site, operations.close, name, window, reason) if close else read(site, operations.look, name, window, now_ms=now)


def handovers(limit: LimitOption = 50, site: SiteOption = Path(), as_json: JsonOption = False, tz: TzOption = None) -> None:
    """List the lists that were closed, the last first.

    Example: `dockbridge carriers handovers -n 10`
    """
    found = read(site, operations.list_closed, limit=limit)
    if as_json:
        print_json(found)
        return
    print_table(("no", "carrier", dated("closed"), "by", "parcels", "wrong", "missing"), [_closed(one) for one in found])
    say("`dockbridge carriers handover --no NUMBER` shows one of them." if found else "No list was closed yet.")


def _closed(one: ClosedList) -> tuple[Any, ...]:
    return (one.no, one.carrier, moment(one.closed_ms), one.by, one.parcels, one.wrong, one.missing)


def _print(found: Handover) -> None:
    columns = ("code", "order", "parcel", "weight", "vehicle", dated("loaded"))
    title = f"{found.carrier}, list {found.no}" if found.no is not None else f"{found.carrier}, open"
    if found.parcels:
        print_table(columns, [_row(parcel) for parcel in found.parcels], title=title)
    if found.wrong:
        heads = (*columns, "goes with")
        print_table(
            heads, [(*_row(parcel), parcel.carrier) for parcel in found.wrong], title="Loaded for it, and another carrier's: take them out, and scan `unload`"
        )
    if found.missing:
        places = ("code", "order", "parcel", "where", dated("due by"))
        print_table(places, [_awaited(parcel) for parcel in found.missing], title="Expected, and not scanned")
    say(_summary(found))


def _row(parcel: HandedParcel) -> tuple[Any, ...]:
    weight = kilograms(parcel.weight_g) if parcel.weight_g is not None else ""
    return (" ".join(numbers_of(parcel.tracking, parcel.codes)), parcel.order, short(parcel.parcel), weight, parcel.vehicle, moment(parcel.loaded_ms))


def _awaited(parcel: AwaitedParcel) -> tuple[Any, ...]:
    if parcel.loaded_for is not None:
        where = f"loaded for {parcel.loaded_for}{f' ({parcel.where})' if parcel.where else ''}"
    else:
        where = " ".join([parcel.state, *parcel.flags, *([parcel.where] if parcel.where else [])])
    return (" ".join(numbers_of(parcel.tracking, parcel.codes)), parcel.order, short(parcel.parcel), where, moment(parcel.ship_by_ms))


def _summary(found: Handover) -> str:
    weighed = [p.weight_g for p in found.parcels if p.weight_g is not None]
    weight = f", {kilograms(sum(weighed))}{_not_weighed(found.parcels, weighed)}" if weighed else ""
    apart = [f"{len(rows)} {what}" for rows, what in ((found.wrong, "of other carriers"), (found.missing, "missing")) if rows]
    state = f"closed by {found.by} at {moment(found.at_ms)}" if found.no is not None else "open; --close closes it"
    return "; ".join([counted(len(found.parcels), "parcel") + weight, *apart, state]) + "."


def _not_weighed(parcels: Sequence[HandedParcel], weighed: Sequence[int]) -> str:
    return f" ({len(parcels) - len(weighed)} not weighed)" if len(weighed) < len(parcels) else ""


def _check_writable(file: Path) -> None:
    """Make sure before a list is closed that its page can be written, as far as that can be known.

    Raises:
        Refused: if it can't.
    """
    try:
        if file.exists() and not file.is_file():
            raise ValueError("it is not a file")
        part = part_of(file)
        part.touch()
        part.unlink()
    except (OSError, ValueError) as error:
        raise Refused(f"{file} can't be written: {_reason(error)}; nothing was closed", fix="give a file in a folder that is there, with --html") from error


def _write(file: Path, found: Handover) -> None:
    """Write the page of a list whole, or not at all.

    Raises:
        Refused: if it can't be written. A list that was closed stays closed.
    """
    try:
        replace_file(file, handover_html(found, zone()).encode(), 0o666)
    except (OSError, ValueError) as error:
        if found.no is None:
            raise Refused(f"{file} can't be written: {_reason(error)}", fix="give a file in a folder that is there, with --html") from error
        fix = f"dockbridge carriers handover --no {found.no} --html FILE"
        raise Refused(f"list {found.no} of {found.carrier} is closed, but {file} can't be written: {_reason(error)}", fix=fix) from error


def _reason(error: OSError | ValueError) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)


COMMANDS: Final[dict[str, Callable[..., None]]] = {"handover": handover, "handovers": handovers}
"""Commands of `dockbridge carriers`, by name."""
