"""`dockbridge orders hold|release|confirm|cancel|amend|complete` and `dockbridge parcels relabel`: what a dispatcher does with an order."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Final

import typer

from bridge.config import CONFIG_NAME
from bridge.config_file import load
from bridge.entrypoints.cli.carrier_board import carriers_of
from bridge.entrypoints.cli.orders import OrderArgument
from bridge.entrypoints.cli.output import JsonOption, Why, print_json, say
from bridge.entrypoints.cli.reading import SiteOption
from bridge.entrypoints.cli.times import TzOption, time_ms
from bridge.entrypoints.control.client import call
from bridge.operations import order_acts
from devices.protocol.messages import Receipt
from devices.protocol.reasons import CancelReason, HoldReason

parcels = typer.Typer(no_args_is_help=True, help="Act on parcels.\n\nExample: `dockbridge parcels relabel PO-17 00340123450000000024 --replaces WB-1`")

ParcelOption = Annotated[str | None, typer.Option(help="Only this parcel.", show_default=False)]


def hold(
    order: OrderArgument,
    reason: Annotated[HoldReason, typer.Option(help="Why.")],
    site: SiteOption = Path(),
    as_json: JsonOption = False,
) -> None:
    """Stop an order: nothing of it is picked, packed or staged until it is released.

    Example: `dockbridge orders hold PO-17 --reason address`
    """
    _print(call(site, order_acts.hold, order, reason), f"{order} is on hold for {reason}.", as_json=as_json)


def release(
    order: OrderArgument,
    reason: Annotated[HoldReason | None, typer.Option(help="Lift the hold for this reason.", show_default="the only hold")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Lift every hold.")] = False,
    site: SiteOption = Path(),
    as_json: JsonOption = False,
) -> None:
    """Lift a hold of an order.

    Example: `dockbridge orders release PO-17 --reason address`
    """
    done = call(site, order_acts.release, order, reason, everything)
    _print(done, f"{order} is released." if not done.warn else f"{order}: {done.detail or ' '.join(done.warn)}.", as_json=as_json)


def confirm(order: OrderArgument, reason: Why = "", site: SiteOption = Path(), as_json: JsonOption = False) -> None:
    """Confirm an order as it is now, after it was amended.

    Example: `dockbridge orders confirm PO-17`
    """
    _print(call(site, order_acts.confirm, order, reason), f"{order} is confirmed.", as_json=as_json)


def cancel(
    order: OrderArgument,
    reason: Annotated[CancelReason, typer.Option(help="Why.")],
    parcel: ParcelOption = None,
    site: SiteOption = Path(),
    as_json: JsonOption = False,
) -> None:
    """Cancel an order, or one parcel of it. What has left already is asked back.

    Example: `dockbridge orders cancel PO-17 --reason customer_request`
    """
    done = call(site, order_acts.cancel, order, reason, parcel)
    _print(done, f"{parcel or order} is cancelled; the order is {done.state}.", as_json=as_json)


def amend(
    order: OrderArgument,
    line: Annotated[list[str] | None, typer.Option(help="SKU=QUANTITY; once for each line that the order has from now on.", show_default=False)] = None,
    carrier: Annotated[str | None, typer.Option(help="Which carrier takes it from now on.", show_default=False)] = None,
    service: Annotated[str | None, typer.Option(help="Which service of the carrier.", show_default=False)] = None,
    tracking: Annotated[str | None, typer.Option(help="The number under which the carrier follows it.", show_default=False)] = None,
    ship_by: Annotated[str | None, typer.Option(metavar="TIME", help="By when it has to leave, such as 2026-03-01T17:00.", show_default=False)] = None,
    parcel: Annotated[str | None, typer.Option(help="Only this parcel: its carrier, service and tracking number.", show_default=False)] = None,
    reason: Why = "",
    site: SiteOption = Path(),
    as_json: JsonOption = False,
    tz: TzOption = None,
) -> None:
    """Change what is ordered, or how it is sent. If lines change and picking has begun, the order then waits to be confirmed.

    Example: `dockbridge orders amend PO-17 --line LAMP-30=1 --line CABLE=2`, or `dockbridge orders amend PO-17 --carrier DHL`
    """
    ship_by_ms = time_ms(ship_by, "--ship-by") if ship_by is not None else None
    name = carriers_of(load(site / CONFIG_NAME)).named(carrier) if carrier is not None else None
    sent = order_acts.Sent(carrier=name, service=service, tracking=tracking, ship_by_ms=ship_by_ms)
    lines = _lines(line) if line else None
    done = call(site, order_acts.amend, order, lines, reason, sent, parcel)
    _print(done, f"{order}{f', parcel {parcel},' if parcel is not None else ''} is amended.", as_json=as_json)


def complete(order: OrderArgument, reason: Why = "", site: SiteOption = Path(), as_json: JsonOption = False) -> None:
    """Complete a delivered order by hand; time does it after orders.complete_after_days.

    Example: `dockbridge orders complete PO-17`
    """
    _print(call(site, order_acts.complete, order, reason), f"{order} is completed.", as_json=as_json)


@parcels.callback()
def _parcels() -> None:
    """Keep `relabel` a command of its own: a group with a single command would become that command."""


@parcels.command()
def relabel(
    order: OrderArgument,
    code: Annotated[str, typer.Argument(help="The new label, as a scanner reads it.")],
    replaces: Annotated[str | None, typer.Option(help="The old label.", show_default=False)] = None,
    parcel: ParcelOption = None,
    reason: Why = "",
    site: SiteOption = Path(),
    as_json: JsonOption = False,
) -> None:
    """Record that a parcel has a new label.

    Example: `dockbridge parcels relabel PO-17 WB-2 --replaces WB-1`
    """
    _print(call(site, order_acts.relabel, order, code, replaces, parcel, reason), f"{order}: a parcel has the label {code} now.", as_json=as_json)


def _lines(given: list[str]) -> dict[str, int]:
    lines: dict[str, int] = {}
    for text in given:
        sku, _, qty = text.rpartition("=")
        if not sku or not qty.isascii() or not qty.isdecimal() or not int(qty):
            raise typer.BadParameter(f"{text!r} is not SKU=QUANTITY", param_hint="--line")
        if sku in lines:
            raise typer.BadParameter(f"{sku} is named twice", param_hint="--line")
        lines[sku] = int(qty)
    return lines


def _print(receipt: Receipt, text: str, *, as_json: bool) -> None:
    if as_json:
        print_json(receipt)
    say(text)


COMMANDS: Final[dict[str, Callable[..., None]]] = {"hold": hold, "release": release, "confirm": confirm, "cancel": cancel, "amend": amend, "complete": complete}
"""Commands of `dockbridge orders`, by name."""
