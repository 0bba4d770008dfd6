"""`dockbridge notices`: what customers were told, and what the texts look like."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Final

import typer

from bridge.config import CONFIG_NAME
from bridge.config_file import load
from bridge.domain.notice_texts import Language, values_of
from bridge.entrypoints.cli.output import JsonOption, LimitOption, print_json, print_table, say
from bridge.entrypoints.cli.reading import SiteOption, read
from bridge.entrypoints.cli.times import TzOption, dated, moment, now_ms, zone
from bridge.entrypoints.control.client import ask
from bridge.notice_files import own_texts, texts_in
from bridge.operations import notices as operations
from bridge.operations import server
from bridge.operations.notice_ports import Sending, ToldNotice

app = typer.Typer(no_args_is_help=True, help="What customers are told of their orders.\n\nExample: `dockbridge notices list PO-17`")

SAMPLE_ORDER: Final = "PO-17"
SAMPLE_PARCEL: Final = "PO-17-1"


@app.command(name="list")
def list_(
    order: Annotated[str | None, typer.Argument(help="Only notices about this order.", show_default=False)] = None,
    sending: Annotated[Sending | None, typer.Option(help="Only those that wait, were sent, were put aside, or were only published at the site.")] = None,
    limit: LimitOption = 50,
    site: SiteOption = Path(),
    as_json: JsonOption = False,
    tz: TzOption = None,
) -> None:
    """List what customers were told, the newest last, and what became of it.

    Example: `dockbridge notices list PO-17`, or `dockbridge notices list --sending aside`
    """
    found = read(site, operations.list_notices, order=order, sending=sending, limit=limit)
    if as_json:
        print_json(found)
    elif not found:
        say("no notices" + (f" of {order}" if order is not None else ""))
    else:
        print_table((dated("told"), "order", "parcel", "what", "sending", dated("sent"), "error"), [_row(notice) for notice in found])
    held = ask(site, server.figures)
    if not load(site / CONFIG_NAME).notices.url:
        say("Customers are told nothing: notices.url in bridge.toml is empty. Notices are published at the site only.")
    elif held is not None and held.notices.error:
        say(f"Notices are not sent: {held.notices.error}.")


def _row(notice: ToldNotice) -> tuple[Any, ...]:
    what = notice.moment.value if notice.occurrence == 1 else f"{notice.moment} {notice.occurrence}"
    sent = moment(notice.sent_ms) if notice.sent_ms is not None else None
    return (moment(notice.told_ms), notice.order, notice.parcel, f"not {what}" if notice.correction else what, notice.sending, sent, notice.error)


@app.command()
def preview(
    language: Annotated[Language | None, typer.Option(help="Only in this language.")] = None,
    order: Annotated[str, typer.Option(help="The order in the texts.")] = SAMPLE_ORDER,
    parcel: Annotated[str, typer.Option(help="The parcel in the texts.")] = SAMPLE_PARCEL,
    site: SiteOption = Path(),
    as_json: JsonOption = False,
    tz: TzOption = None,
) -> None:
    """Print every text that customers can get, with example values in it.

    Example: `dockbridge notices preview --language zh`
    """
    folder = load(site / CONFIG_NAME).notices.texts_folder
    texts = texts_in(site / folder) if folder else own_texts()
    values = values_of(order, parcel, now_ms(), 1, zone())
    found = [sample for one in ([language] if language is not None else Language) for sample in operations.samples(texts, one, values)]
    if as_json:
        print_json(found)
        return
    rows = [row for sample in found for row in _texts(sample)]
    print_table(("language", "what", "text"), rows)


def _texts(sample: operations.SampleText) -> list[tuple[str, str, str]]:
    told = (sample.language, sample.moment.value, sample.text)
    return [told] if sample.correction is None else [told, (sample.language, f"not {sample.moment}", sample.correction)]
