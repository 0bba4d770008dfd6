"""`dockbridge init` and `dockbridge serve`."""

from __future__ import annotations

import asyncio
import gc
import signal
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Annotated, Any

import typer

from bridge import __version__
from bridge.app import Application, make_site
from bridge.cli.output import JsonOption, emit_line, say
from bridge.config import parse
from bridge.control import ControlServer
from bridge.errors import BridgeError

Directory = Annotated[Path, typer.Argument(help="The site's folder.", show_default="this folder", envvar="DOCKBRIDGE_SITE")]


def init(
    directory: Annotated[Path, typer.Argument(help="The folder to make.")],
    name: Annotated[str, typer.Option(help="The site's name, the tenant in every topic.")] = "main",
    listen: Annotated[str, typer.Option(help="host:port of MQTT over TCP; port 0 takes a free one.")] = "127.0.0.1:1883",
    websocket: Annotated[str, typer.Option(help="host:port of MQTT over WebSocket; empty for none.")] = "",
    publish: Annotated[str, typer.Option(help="What the bridge publishes: cbor, or json for tools that read no CBOR.")] = "cbor",
) -> None:
    """Make a site: a folder with its configuration and its database.

    Example: `dockbridge init ams1 --name ams1`
    """
    make_site(directory, parse({"site": {"name": name}, "listen": {"mqtt": listen, "websocket": websocket}, "publish": {"format": publish}}))
    say(f"made site {name} in {directory}\n  next: dockbridge serve {directory}")


def serve(directory: Directory = Path(), as_json: JsonOption = False) -> None:
    """Run a site until it is stopped (Ctrl-C or SIGTERM). Prints one line when it is ready, with its addresses.

    Example: `dockbridge serve ams1`
    """
    _loop_runner()(_serve(directory, as_json=as_json))


async def _serve(directory: Path, *, as_json: bool) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    async with await Application.open(directory) as app:
        addresses = {name: f"{name}://{host}:{port}" for name, (host, port) in (await app.serve()).items()}
        control = ControlServer(app)
        await control.start()
        _tune_garbage_collection()
        if as_json:
            emit_line({"ready": True, "site": app.settings.site.name, "version": __version__, "addresses": addresses})
        else:
            print(f"dockbridge {__version__} ready: site {app.settings.site.name}, {', '.join(addresses.values())}", flush=True)
        ended = [asyncio.ensure_future(event.wait()) for event in (stop, app.failed)]
        await asyncio.wait(ended, return_when=asyncio.FIRST_COMPLETED)
        for waiting in ended:
            waiting.cancel()
        say("stopping: what was taken in is being stored")
        await control.stop()
        if app.failed.is_set():
            raise BridgeError("the server ended by itself; nothing that was acknowledged is lost", fix="start it again, and report the line above")


def _tune_garbage_collection() -> None:
    """What is there at the start stays; and what ingest keeps are orders and facts, which hold no cycles: the defaults would walk them all over again
    every few hundred events, for a tenth of the throughput and pauses of tens of milliseconds."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)


def _loop_runner() -> Callable[[Coroutine[Any, Any, None]], None]:
    """uvloop where it is installed: it takes two thirds of the time for each packet."""
    try:
        import uvloop
    except ImportError:
        return asyncio.run
    return uvloop.run
