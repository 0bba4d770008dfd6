"""`dockbridge init` and `dockbridge serve`."""

from __future__ import annotations

import logging
import os
import resource
import shlex
import signal
import tempfile
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Annotated, Final

import typer

from bridge import __version__
from bridge.addresses import is_loopback, split_address
from bridge.config import CONFIG_NAME, Settings
from bridge.config_file import load, parse
from bridge.domain.access import Identity
from bridge.entrypoints.cli.certificate import HostOption, print_made
from bridge.entrypoints.cli.logs import log_as
from bridge.entrypoints.cli.output import JsonOption, print_json_line, say
from bridge.entrypoints.control.asker import check_owner
from bridge.entrypoints.notify import ServiceManager
from bridge.errors import BridgeError
from bridge.ingest.points import CLAIM_STORED, POINTS, Passed, ignore_point
from bridge.interpreter import loop_runner, tune_garbage_collection
from devices.protocol.vocabulary import Role

logger = logging.getLogger("dockbridge")

LAB_LISTEN: Final = "127.0.0.1:1883"
LAB_IDENTITY: Final = Identity(site="lab", device="anonymous", role=Role.LAB, reads_everything=True)
"""The identity of every client in a laboratory."""

Directory = Annotated[Path, typer.Argument(help="The site's folder.", show_default="this folder", envvar="DOCKBRIDGE_SITE", readable=False)]


def init(
    directory: Annotated[Path, typer.Argument(help="The folder to create.", readable=False)],
    name: Annotated[str | None, typer.Option(help="The site's name: the tenant in every topic, v1/NAME/…", show_default="the folder's name")] = None,
    host: HostOption = [],  # noqa: B006 -- Typer's way to say "may be given several times"
    listen: Annotated[str, typer.Option(help="host:port of MQTT over TCP, without TLS; port 0 for any free port, empty for none.")] = "127.0.0.1:1883",
    mqtts: Annotated[str, typer.Option(help="host:port of MQTT over TLS; empty for none.")] = "0.0.0.0:8883",
    websocket: Annotated[str, typer.Option(help="host:port of MQTT over WebSocket, without TLS; empty for none.")] = "",
    wss: Annotated[str, typer.Option(help="host:port of MQTT over WebSocket over TLS; empty for none.")] = "",
    publish: Annotated[str, typer.Option(help="What the bridge publishes: cbor, or json for tools that can't read CBOR.")] = "cbor",
) -> None:
    """Make a site: a folder with its configuration, its database, its certificate authority and its server certificate.

    Example: `dockbridge init ams1 --host bridge.example.com`
    """
    name = name if name is not None else directory.absolute().resolve().name
    listeners = {"mqtt": listen, "mqtts": mqtts, "websocket": websocket, "wss": wss}
    settings = parse({"site": {"name": name}, "listen": listeners, "publish": {"format": publish}})
    from bridge import site_certificates  # here and below: only these commands need what a server is made of
    from bridge.site_folder import make_site

    names = [*host, *site_certificates.own_names()]
    site_certificates.check_names(names)
    make_site(directory, settings, also=lambda half: site_certificates.make(half, name, names))
    say(f"made site {name} in {directory}")
    print_made(directory, site_certificates.made(directory))
    if (mqtts or wss) and not host:
        say(f"  it names this machine only ({', '.join(names)}): `dockbridge certificate renew --host NAME` adds the name or address by which devices reach it")
    say(f"  next: dockbridge serve {shlex.quote(str(directory))}")


def serve(
    context: typer.Context,
    directory: Directory = Path(),
    as_json: JsonOption = False,
    lab: Annotated[bool, typer.Option("--lab", help="A laboratory: a temporary site on loopback that every client may use without a login.")] = False,
    listen: Annotated[str, typer.Option(help="With --lab: host:port of MQTT over TCP; port 0 for any free port.")] = LAB_LISTEN,
    websocket: Annotated[str, typer.Option(help="With --lab: host:port of MQTT over WebSocket; empty for none.")] = "",
    kill_at: Annotated[str, typer.Option(hidden=True, help="LABEL:N kills the process when it passes this point for the Nth time.")] = "",
) -> None:
    """Run a site until it is stopped (Ctrl-C or SIGTERM). It prints one line with its addresses when it is ready.

    Example: `dockbridge serve ams1`, or, to point other MQTT tools and test suites at the broker, `dockbridge serve --lab`
    """
    check_owner("serve")
    passed = _killer(kill_at) if kill_at else ignore_point
    _check_together(context, lab=lab)
    if not lab:
        if (directory / CONFIG_NAME).exists():
            log_as(load(directory / CONFIG_NAME).log.format)
        loop_runner()(serve_site(directory, as_json=as_json, passed=passed))
        return
    from bridge.site_folder import make_site

    with tempfile.TemporaryDirectory(prefix="dockbridge-lab-") as folder:
        site = Path(folder) / "site"
        make_site(site, _lab_settings(listen, websocket))
        loop_runner()(serve_site(site, as_json=as_json, lab_identity=LAB_IDENTITY, passed=passed))


def _check_together(context: typer.Context, *, lab: bool) -> None:
    """An option that would be ignored is wrong usage: a site's configuration says where it listens, and a laboratory has no folder of the user's."""
    sources = {name: context.get_parameter_source(name) for name in ("directory", "listen", "websocket")}
    typed = {name for name, source in sources.items() if source is not None and source.name == "COMMANDLINE"}
    if lab and "directory" in typed:
        raise typer.BadParameter("a laboratory is a temporary site: leave the folder out, or leave --lab out", param_hint="DIRECTORY")
    for name in () if lab else sorted(typed - {"directory"}):
        raise typer.BadParameter("use it with --lab; a site listens on the addresses in its bridge.toml ([listen])", param_hint=f"--{name}")


def _lab_settings(listen: str, websocket: str) -> Settings:
    """A site with the widest limits that the protocol allows. It listens only on loopback, because it has no logins."""
    for name, bind in (("--listen", listen), ("--websocket", websocket)):
        if bind and not is_loopback(split_address(name, bind)[0]):
            raise typer.BadParameter(f"{bind} is not on loopback; a laboratory has no logins", param_hint=name)
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
    """A function that kills the process at a labelled point of the pipeline."""
    label, _, times = text.partition(":")
    if label not in (*POINTS, CLAIM_STORED) or not times.isdecimal():
        raise typer.BadParameter(f"must be LABEL:N, with one of the labels {', '.join(POINTS)}", param_hint="--kill-at")
    left = int(times)

    def passed(here: str) -> None:
        nonlocal left
        if here == label:
            left -= 1
            if left <= 0:
                os.kill(os.getpid(), signal.SIGKILL)

    return passed


async def serve_site(directory: Path, *, as_json: bool, lab_identity: Identity | None = None, passed: Passed = ignore_point) -> None:
    """Run a site until SIGINT or SIGTERM. `passed` is called at each point of the pipeline (`bridge.ingest.points`)."""
    from bridge.app import Application
    from bridge.entrypoints.control.server import ControlServer
    from bridge.entrypoints.running import Signals, run_until_stopped
    from bridge.serving.parts import Parts

    signals, manager = Signals(), ServiceManager()
    _raise_descriptor_limit()
    async with await Application.open(directory, lab_identity=lab_identity, parts=Parts(passed=passed)) as app, AsyncExitStack() as life:
        http = {}
        if app.settings.metrics.listen:
            from bridge.entrypoints.http.serving import serve_metrics  # a web server, which most sites do without

            metrics = await serve_metrics(app, directory)
            life.push_async_callback(metrics.stop)
            http["metrics"] = f"http://{metrics.address[0]}:{metrics.address[1]}"
        addresses = {name: f"{name}://{host}:{port}" for name, (host, port) in (await app.serve()).items()} | http
        control = ControlServer(app, directory)
        await control.start()
        tune_garbage_collection()
        if as_json:
            print_json_line({"ready": True, "site": app.settings.site.name, "version": __version__, "addresses": addresses})
        else:
            print(f"dockbridge {__version__} ready: site {app.settings.site.name}, {', '.join(addresses.values())}", flush=True)
        app.settings_changed.append(lambda now: log_as(now.log.format))
        await run_until_stopped(app, signals, manager)
        logger.info("stopping: what was received is being stored")
        await control.stop()
        if app.failed.is_set():
            raise BridgeError("the server stopped after a failure; nothing that was acknowledged is lost", fix="start it again, and report the line above")


def _raise_descriptor_limit() -> None:
    """Allow as many connections as the system permits: the soft limit is only a default, the hard one is the rule."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
