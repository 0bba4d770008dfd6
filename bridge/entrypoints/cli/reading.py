"""How a command reads a site: directly from its database, whether or not a server runs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Annotated, Any, Concatenate, ParamSpec, TypeVar

import typer

from bridge.entrypoints.cli.times import remember_site
from bridge.entrypoints.control.asker import credential
from bridge.entrypoints.control.client import call
from bridge.operations import workers
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


def read_as(
    directory: Path,
    look: Callable[..., Coroutine[Any, Any, None]],
    operation: Callable[Concatenate[SiteReader, P], Coroutine[Any, Any, R]],
    *args: P.args,
    **kwargs: P.kwargs,
) -> R:
    """Like `read`, for what not every role may read: in a person's name, `look` says first whether they may.

    Raises:
        BridgeError: if it can't be carried out, or the person may not.
    """
    if credential() is not None:
        call(directory, look, *args)
    return read(directory, operation, *args, **kwargs)


def may_see_workers(directory: Path) -> bool:
    """Whether the command may print which worker did what: for the owner of the site's folder, and in the name of a person who may."""
    return credential() is None or call(directory, workers.may_look)


__all__ = ["SiteOption", "may_see_workers", "read", "read_as"]
