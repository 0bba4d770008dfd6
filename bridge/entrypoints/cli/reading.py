"""How a command reads a site: directly from its database, whether or not a server runs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Annotated, Any, Concatenate, ParamSpec, TypeVar

import typer

from bridge.entrypoints.cli.times import remember_site
from bridge.operations.ports import SiteReader
from bridge.site_reader import ReadableSite

P = ParamSpec("P")
R = TypeVar("R")

SiteOption = Annotated[
    Path,
    # Eager: an option that is a time of day is read in the time zone of the site.
    typer.Option(
        "--site", "-s", envvar="DOCKBRIDGE_SITE", help="The site's folder.", show_default="this folder", callback=remember_site, is_eager=True, readable=False
    ),
]


def read(directory: Path, operation: Callable[Concatenate[SiteReader, P], Coroutine[Any, Any, R]], *args: P.args, **kwargs: P.kwargs) -> R:
    """Carry out an operation that only reads.

    Raises:
        BridgeError: if it can't be carried out.
    """
    return asyncio.run(operation(ReadableSite(directory), *args, **kwargs))


__all__ = ["SiteOption", "read"]
