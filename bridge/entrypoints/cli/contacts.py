"""`dockbridge contacts` and `dockbridge orders note`: who gets an order, for those who may know."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Final

import typer

from bridge.entrypoints.cli.orders import OrderArgument
from bridge.entrypoints.cli.output import JsonOption, Why, print_details, print_json, print_table, print_text, say
from bridge.entrypoints.cli.reading import SiteOption
from bridge.entrypoints.cli.times import TzOption, dated, moment
from bridge.entrypoints.control.client import call
from bridge.operations import contacts
from bridge.words import counted
from devices.protocol.choices import Audience

app = typer.Typer(
    no_args_is_help=True,
    help="See who gets an order, and find a customer's orders. Each look is in the audit log.\n\nExample: `dockbridge contacts show PO-17`",
)


@app.command()
def show(order: OrderArgument, reason: Why = "", site: SiteOption = Path(), as_json: JsonOption = False, tz: TzOption = None) -> None:
    """Print who gets an order, and the notes about it.

    Example: `dockbridge contacts show PO-17 --reason "the courier can't find the door"`
    """
    found = call(site, contacts.show, order, reason)
    if as_json:
        print_json(found)
        return
    if found.forgotten_ms is not None:
        say(f"The personal data of {order} was forgotten on {moment(found.forgotten_ms)}.")
    elif not found.contact and not found.notes:
        say(f"Nothing is known of who gets {order}.")
    if found.contact:
        print_details(found.contact)
    if found.notes:
        print_table((dated("at"), "for", "note"), [(moment(note.at_ms), note.audience, note.text) for note in found.notes])


@app.command()
def find(
    phone: Annotated[str | None, typer.Option(help="A telephone number, in any spelling.", show_default=False)] = None,
    last4: Annotated[str | None, typer.Option(help="The last four digits of a telephone number.", show_default=False)] = None,
    surname: Annotated[str | None, typer.Option(help="A surname.", show_default=False)] = None,
    reason: Why = "",
    site: SiteOption = Path(),
    as_json: JsonOption = False,
) -> None:
    """Find the orders of a customer. With several options, all must fit. What is sought is not in the audit log, only that somebody has.

    Example: `dockbridge contacts find --last4 5309 --surname Vos`
    """
    found = call(site, contacts.find, phone, last4, surname, reason)
    if as_json:
        print_json(found)
        return
    for order in found:
        print_text(order)
    say(f"{counted(len(found), 'order')}." + (" There may be more." if len(found) == contacts.ORDERS_MAX else ""))


def note(
    order: OrderArgument,
    text: Annotated[str, typer.Argument(help="What is to be known.")],
    audience: Annotated[Audience, typer.Option("--for", help="Who may read it.")] = Audience.DESK,
    site: SiteOption = Path(),
    as_json: JsonOption = False,
) -> None:
    """Write a note about an order. It is sealed, and forgotten with the order's contact data.

    Example: `dockbridge orders note PO-17 "The bell is broken: knock." --for courier`
    """
    receipt = call(site, contacts.note, order, text, audience)
    if as_json:
        print_json(receipt)
    say(f"{order} has a note.")


COMMANDS: Final[dict[str, Callable[..., None]]] = {"note": note}
"""Commands of `dockbridge orders`, by name."""
