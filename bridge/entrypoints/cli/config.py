"""`dockbridge config`: a site's settings."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path
from typing import Annotated

import typer

from bridge.config import CONFIG_NAME, Settings
from bridge.config_file import load, render
from bridge.entrypoints.cli.output import JsonOption, print_json, say
from bridge.entrypoints.cli.reading import SiteOption
from bridge.errors import ConfigError, SiteError
from bridge.tls import server_context
from bridge.vault import folder_of_keys

app = typer.Typer(no_args_is_help=True, help="Look at a site's settings.\n\nExample: `dockbridge config check --site ams1`")


@app.command()
def show(
    defaults: Annotated[bool, typer.Option("--defaults", help="Print the defaults instead of a site's settings.")] = False,
    site: SiteOption = Path(),
    as_json: JsonOption = False,
) -> None:
    """Print every setting with its value, its unit and a sentence.

    Example: `dockbridge config show --defaults`
    """
    settings = Settings() if defaults else load(site / CONFIG_NAME)
    if as_json:
        print_json(dataclasses.asdict(settings))
    else:
        sys.stdout.write(render(settings))


@app.command()
def check(site: SiteOption = Path(), as_json: JsonOption = False) -> None:
    """Check a site's settings, its certificate files and where its keys are, without starting a server.

    Example: `dockbridge config check --site ams1`
    """
    file, faults = site / CONFIG_NAME, []
    try:
        settings = load(file)
        folder_of_keys(site, settings.privacy.keys_folder)
        server_context(settings.listen, site)
    except (ConfigError, SiteError) as error:
        faults.append({"what": str(error), "fix": error.fix})
        raise
    finally:
        if as_json:
            print_json({"file": str(file), "faults": faults})
    say(f"{file} has no faults.")
