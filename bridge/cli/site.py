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
from bridge.cli.certificate import HostOption, check_names, make_certificates, own_names
from bridge.cli.output import JsonOption, emit_line, say
from bridge.config import parse
from bridge.control import ControlServer
from bridge.errors import BridgeError

Directory = Annotated[Path, typer.Argument(help="The site's folder.", show_default="this folder", envvar="DOCKBRIDGE_SITE")]


def init(
    directory: Annotated[Path, typer.Argument(help="The folder to make.")],
    name: Annotated[str, typer.Option(help="The site's name, the tenant in every topic.")] = "main",
    host: HostOption = [],  # noqa: B006 -- Typer's way to say "may be given again"
    listen: Annotated[str, typer.Option(help="host:port of MQTT over TCP, without TLS; port 0 takes a free one, empty for none.")] = "127.0.0.1:1883",
    mqtts: Annotated[str, typer.Option(help="host:port of MQTT over TLS; empty for none.")] = "0.0.0.0:8883",
    websocket: Annotated[str, typer.Option(help="host:port of MQTT over WebSocket, without TLS; empty for none.")] = "",
    wss: Annotated[str, typer.Option(help="host:port of MQTT over WebSocket over TLS; empty for none.")] = "",
    publish: Annotated[str, typer.Option(help="What the bridge publishes: cbor, or json for tools that read no CBOR.")] = "cbor",
) -> None:
    """Make a site: a folder with its configuration, its database, its certificate authority and its server certificate.

    Example: `dockbridge init ams1 --name ams1 --host bridge.example.com`
    """
    listeners = {"mqtt": listen, "mqtts": mqtts, "websocket": websocket, "wss": wss}
    settings = parse({"site": {"name": name}, "listen": listeners, "publish": {"format": publish}})
    names = [*host, *own_names()]
    check_names(names)
    make_site(directory, settings)
    say(f"made site {name} in {directory}")
    make_certificates(directory, name, names)
    if (mqtts or wss) and not host:
        say("  it is for this machine only: `dockbridge certificate renew --host NAME` adds the name or address by which devices reach it")
    say(f"  next: dockbridge serve {directory}")


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
