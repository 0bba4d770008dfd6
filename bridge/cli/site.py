"""`dockbridge init` and `dockbridge serve`."""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import tempfile
from pathlib import Path
from typing import Annotated, Final

import typer

from bridge import __version__
from bridge.cli.certificate import HostOption, check_names, make_certificates, own_names
from bridge.cli.output import JsonOption, emit_line, say
from bridge.config import Settings, is_loopback, parse, split_address
from bridge.control import ControlServer
from bridge.domain.access import Identity
from bridge.errors import BridgeError
from bridge.ingest.points import POINTS, Passed, nobody_looks
from bridge.interpreter import loop_runner, tune_garbage_collection
from devices.protocol.vocabulary import Role

LAB_LISTEN: Final = "127.0.0.1:1883"
ANYBODY: Final = Identity(site="lab", device="anonymous", role=Role.LAB, reads_everything=True)
"""Who everybody is in a laboratory."""

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
    from bridge.site_folder import make_site  # here and below: only these commands need a server's parts

    names = [*host, *own_names()]
    check_names(names)
    make_site(directory, settings)
    say(f"made site {name} in {directory}")
    make_certificates(directory, name, names)
    if (mqtts or wss) and not host:
        say("  it is for this machine only: `dockbridge certificate renew --host NAME` adds the name or address by which devices reach it")
    say(f"  next: dockbridge serve {directory}")


def serve(
    context: typer.Context,
    directory: Directory = Path(),
    as_json: JsonOption = False,
    lab: Annotated[bool, typer.Option("--lab", help="A laboratory: a temporary site on loopback that anybody may use without logging in.")] = False,
    listen: Annotated[str, typer.Option(help="With --lab: host:port of MQTT over TCP; port 0 takes a free one.")] = LAB_LISTEN,
    websocket: Annotated[str, typer.Option(help="With --lab: host:port of MQTT over WebSocket; empty for none.")] = "",
    kill_at: Annotated[str, typer.Option(hidden=True, help="LABEL:N kills the process when it passes a point for the Nth time.")] = "",
) -> None:
    """Run a site until it is stopped (Ctrl-C or SIGTERM). Prints one line when it is ready, with its addresses.

    Example: `dockbridge serve ams1`, or, to point other people's MQTT tools and tests at the broker, `dockbridge serve --lab`
    """
    passed = _killer(kill_at) if kill_at else nobody_looks
    _check_together(context, lab=lab)
    if not lab:
        loop_runner()(serve_site(directory, as_json=as_json, anybody=None, passed=passed))
        return
    from bridge.site_folder import make_site

    with tempfile.TemporaryDirectory(prefix="dockbridge-lab-") as folder:
        site = Path(folder) / "site"
        make_site(site, _lab_settings(listen, websocket))
        loop_runner()(serve_site(site, as_json=as_json, anybody=ANYBODY, passed=passed))


def _check_together(context: typer.Context, *, lab: bool) -> None:
    """What would be passed over silently is wrong usage: a site says itself where it listens, and a laboratory has no folder of yours."""
    sources = {name: context.get_parameter_source(name) for name in ("directory", "listen", "websocket")}
    typed = {name for name, source in sources.items() if source is not None and source.name == "COMMANDLINE"}
    if lab and "directory" in typed:
        raise typer.BadParameter("a laboratory is a temporary site: leave the folder out, or leave --lab out", param_hint="DIRECTORY")
    for name in () if lab else sorted(typed - {"directory"}):
        raise typer.BadParameter("it goes with --lab; a site listens where its bridge.toml says ([listen])", param_hint=f"--{name}")


def _lab_settings(listen: str, websocket: str) -> Settings:
    """A site that bounds as little as the protocol allows. Outside loopback it would be open to everybody: refused."""
    for name, bind in (("--listen", listen), ("--websocket", websocket)):
        if bind and not is_loopback(split_address(name, bind)[0]):
            raise typer.BadParameter(f"{bind} is not on loopback; a laboratory lets everybody in", param_hint=name)
    broker = {
        "sessions_per_device_max": 20_000,
        "subscriptions_max": 100_000,
        "packet_bytes_max": 268_435_455,
        "topic_levels_max": 65_536,
        "topic_bytes_max": 65_535,
        "publish_rate_max": 1_000_000,
    }
    return parse({"site": {"name": "lab"}, "listen": {"mqtt": listen, "websocket": websocket}, "broker": broker})


def _killer(text: str) -> Passed:
    """What ends the process at a labelled point of the pipeline."""
    label, _, times = text.partition(":")
    if label not in POINTS or not times.isdecimal():
        raise typer.BadParameter(f"LABEL:N, with a label of {', '.join(POINTS)}", param_hint="--kill-at")
    left = int(times)

    def passed(here: str) -> None:
        nonlocal left
        if here == label:
            left -= 1
            if left <= 0:
                os.kill(os.getpid(), signal.SIGKILL)

    return passed


async def serve_site(directory: Path, *, as_json: bool, anybody: Identity | None = None, passed: Passed = nobody_looks) -> None:
    """Run a site until SIGINT or SIGTERM comes. `passed` is told of each point of the way (`bridge.ingest.points`)."""
    from bridge.app import Application, Parts

    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    _raise_descriptor_limit()
    async with await Application.open(directory, anybody=anybody, parts=Parts(passed=passed)) as app:
        addresses = {name: f"{name}://{host}:{port}" for name, (host, port) in (await app.serve()).items()}
        control = ControlServer(app)
        await control.start()
        tune_garbage_collection()
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


def _raise_descriptor_limit() -> None:
    """As many connections as the system lets this process have: the soft limit is a habit, the hard one is the rule."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
