"""`dockbridge config`: a site's settings."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path
from typing import Annotated

import typer

from bridge.cli.output import JsonOption, SiteOption, emit, say
from bridge.config import CONFIG_NAME, Settings, load, render
from bridge.tls import server_context

app = typer.Typer(no_args_is_help=True, help="Look at a site's settings.\n\nExample: `dockbridge config check --site ams1`")


@app.command()
def show(
    defaults: Annotated[bool, typer.Option("--defaults", help="The defaults, not a site's settings.")] = False,
    site: SiteOption = Path(),
    as_json: JsonOption = False,
) -> None:
    """Print every setting with its value, unit and a sentence.

    Example: `dockbridge config show --defaults`
    """
    settings = Settings() if defaults else load(site / CONFIG_NAME)
    if as_json:
        emit(dataclasses.asdict(settings))
    else:
        sys.stdout.write(render(settings))


@app.command()
def check(site: SiteOption = Path()) -> None:
    """Check a site's settings, and the files of its certificate, without starting it.

    Example: `dockbridge config check --site ams1`
    """
    server_context(load(site / CONFIG_NAME).listen, site)
    say(f"{site / CONFIG_NAME} is right")
