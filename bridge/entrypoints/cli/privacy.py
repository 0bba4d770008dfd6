"""`dockbridge privacy`: what is kept about people, and the documents about it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bridge.config import CONFIG_NAME, Settings
from bridge.config_file import load
from bridge.documents.privacy import documents
from bridge.entrypoints.cli.output import JsonOption, print_json, print_table, say
from bridge.entrypoints.cli.reading import SiteOption
from bridge.operations.privacy import rows_of

app = typer.Typer(
    no_args_is_help=True, help="See what is kept about people, for how long and for what, and write it down.\n\nExample: `dockbridge privacy show`"
)


@app.command()
def show(
    columns: Annotated[bool, typer.Option("--columns", help="Also print the columns of the database that hold it.")] = False,
    site: SiteOption = Path(),
    as_json: JsonOption = False,
) -> None:
    """Print what is kept about people: whose, for what, on which basis, who reads it, and for how long. The same table destroys it.

    Example: `dockbridge privacy show`
    """
    rows = rows_of(_settings(site))
    if as_json:
        print_json(rows)
        return
    for row in rows:
        lines = [("whose", row.whose), ("for what", row.purpose), ("basis", row.basis), ("form", row.form), ("read by", row.readers), ("kept", row.kept)]
        print_table((row.what, ""), [*lines, *([("columns", ", ".join(row.columns))] if columns else [])])
        print()
    for row in rows:
        if row.warning is not None:
            say(f"warning: {row.warning}")


@app.command(name="documents")
def documents_(
    out: Annotated[Path, typer.Option(help="The folder to write them to.", readable=False)] = Path("privacy"),
    site: SiteOption = Path(),
) -> None:
    """Write a record of processing, an outline of an impact assessment and an annex to a works agreement, filled with this site's settings.

    Example: `dockbridge privacy documents --out privacy`
    """
    out.mkdir(parents=True, exist_ok=True)
    for name, text in documents(_settings(site)).items():
        (out / name).write_text(text, encoding="utf-8")
        say(f"wrote {out / name}")
    say("Fill in what stands in [brackets].")


def _settings(site: Path) -> Settings:
    return load(site / CONFIG_NAME)
