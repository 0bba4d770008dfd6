"""`dockbridge orders export`: what left and what was cancelled, in a shop's upload format; each change once."""

from __future__ import annotations

import asyncio
import csv
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import IO, Annotated, Final

import typer

from bridge.durable import part_of, sync_folder
from bridge.entrypoints.cli.output import say
from bridge.entrypoints.cli.reading import SiteOption
from bridge.entrypoints.cli.times import TzOption, time_ms
from bridge.entrypoints.control.client import call
from bridge.errors import Refused
from bridge.operations import exports
from bridge.operations.exports import Sent, Span, What
from bridge.shop.mapping import ShopMap, read_map
from bridge.shop.uploads import UPLOADS, Form, own_id
from bridge.site_reader import ReadableSite
from bridge.words import counted

LAST: Final = "last"
NAMED_MAX: Final = 10


def export(
    form: Annotated[Form, typer.Option("--for", help="Whose upload format.")],
    mapping: Annotated[Path, typer.Option("--map", help="TOML: the map with which the shop's orders were imported.", readable=False)],
    changed_since: Annotated[
        str, typer.Option("--changed-since", metavar="last|TIME", help="The changes since the last file, or since a time such as 2026-11-23.")
    ] = LAST,
    out: Annotated[Path | None, typer.Option(help="Write this file. It is there once it is whole.", show_default="standard output", readable=False)] = None,
    again: Annotated[bool, typer.Option("--again", help="The same as the last file, for example if the upload failed.")] = False,
    site: SiteOption = Path(),
    tz: TzOption = None,
) -> None:
    """Write what left, with carrier and number, and what was cancelled, for a shop's upload. Order ids are those of the shop; nothing personal is in it.

    With `last`, each change is in one file: the next one goes on where this one ends. If the command is broken off, the next file has the same rows again.
    What the shop itself said is not in it. What a format can't say is named; `--for csv` says everything.

    Example: `dockbridge orders export --for amazon --map amazon.toml --changed-since last --out shipped.txt`
    """
    shop = read_map(mapping)
    reader = ReadableSite(site)
    if again and changed_since != LAST:
        raise typer.BadParameter("--again gives the last file, whose changes are known; leave --changed-since away", param_hint="--again")
    span = asyncio.run(_span(reader, shop, form, changed_since, again=again))
    left_out: dict[What, list[str]] = {}
    rows = _rows(exports.changes(reader, shop.channel, span), shop, form, left_out)
    count = _write_file(out, form, rows) if out is not None else _write(sys.stdout, form, rows)
    if changed_since == LAST and not again and (count or left_out):
        # Only now: if this is broken off before, the next file has these rows again.
        call(site, exports.remember, shop.channel, form.value, span.after_pos, span.upto_pos)
    _report(count, out, form, left_out)


async def _span(reader: ReadableSite, shop: ShopMap, form: Form, changed_since: str, *, again: bool) -> Span:
    if again:
        return await exports.span_of_last(reader, shop.channel, form.value)
    if changed_since == LAST:
        return await exports.span_since_last(reader, shop.channel, form.value)
    return await exports.span_since(reader, shop.channel, time_ms(changed_since, "--changed-since"))


def _rows(changes: Iterable[Sent], shop: ShopMap, form: Form, left_out: dict[What, list[str]]) -> Iterator[list[str]]:
    """The rows of changes; `left_out` gets the orders of those that the form can't say."""
    row_of = UPLOADS[form].row
    for change in changes:
        row = row_of(change, shop)
        if row is not None:
            yield list(row)  # as it is, whatever a spreadsheet makes of it: a program of the shop reads it
            continue
        left_out.setdefault(change.what, []).append(own_id(change.order, shop))


def _write(file: IO[str], form: Form, rows: Iterable[list[str]]) -> int:
    """Write a whole file. Returns how many changes are in it."""
    upload, count = UPLOADS[form], 0
    writer = csv.writer(file, delimiter=upload.delimiter, lineterminator="\n")
    writer.writerow(upload.columns)
    for row in rows:
        writer.writerow(row)
        count += 1
    file.flush()
    return count


def _write_file(out: Path, form: Form, rows: Iterable[list[str]]) -> int:
    """Write a file that is there once it is whole, and stays there if the power fails; none if nothing has changed.

    Raises:
        Refused: if it exists already.
    """
    if out.exists():
        raise Refused(f"{out} exists already, and may not be uploaded yet", fix="give another name with --out, or move it away")
    part = part_of(out)
    try:
        with part.open("w", encoding="utf-8", newline="") as file:
            count = _write(file, form, rows)
            os.fsync(file.fileno())
        if not count:
            part.unlink()
            return 0
        part.rename(out)
    except BaseException:
        with suppress(OSError):
            part.unlink()
        raise
    sync_folder(out.parent)
    return count


_NO_ROW: Final = "because {form} has no row for it"
_ALL: Final = "`--for csv` says everything"
_CANT: Final = {
    What.SHIPPED: (_NO_ROW, "parcel without a carrier's number", f"once it is known (`dockbridge orders import`), the next file has it. {_ALL}"),
    What.CANCELLED: (_NO_ROW, "cancelled order", f"cancel it in the shop. {_ALL}"),
    What.TAKEN_BACK: (_NO_ROW, "parcel that an earlier file had, and that has not left", f"correct it in the shop. {_ALL}"),
    What.WRONG_CARRIER: (
        "because it may come out again",
        "parcel that was loaded for another carrier than its own",
        "once it is loaded for the right one, or a carrier reports it, the next file has it. "
        "If it is to go with the one that has it: `dockbridge orders amend ORDER --carrier NAME`",
    ),
}
"""For each change that a form can't say: why, what it is, and what is to be done."""


def _report(count: int, out: Path | None, form: Form, left_out: dict[What, list[str]]) -> None:
    where = f" to {out}" if out is not None else ""
    say(
        f"Wrote {counted(count, 'change')}{where}." if count else f"Nothing has changed that {form} has a row for." + (" No file was written." if where else "")
    )
    for what, orders in left_out.items():
        why, noun, fix = _CANT[what]
        named = ", ".join(orders[:NAMED_MAX]) + (f" and {len(orders) - NAMED_MAX} more" if len(orders) > NAMED_MAX else "")
        say(f"NOT IN THE FILE, {why.format(form=form)}: {counted(len(orders), noun)}: {named}; {fix}.")


COMMANDS: Final[dict[str, Callable[..., None]]] = {"export": export}
"""Commands of `dockbridge orders`, by name."""
