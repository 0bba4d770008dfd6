"""`firmware-sim record`: listens to a real site, and writes a scenario like it."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.console import Console

from bridge.addresses import split_address
from bridge.config import CONFIG_NAME, Settings
from bridge.config_file import load
from firmware_sim.commands.new import refuse_to_overwrite, write_new
from firmware_sim.commands.output import say
from firmware_sim.errors import NotAdmitted, NotReachable, SimError
from firmware_sim.firmware.by_hand import ByHand
from firmware_sim.handheld import Handheld
from firmware_sim.link.background import BackgroundFleet
from firmware_sim.observed import Observer
from firmware_sim.scenario_file import parse, render

_FROM_SITE: Final = "{}; with DOCKBRIDGE_SITE as in its bridge.toml"
LOOK_EVERY_S: Final = 1.0
ANSWER_S: Final = 10.0


def record(
    device: Annotated[str, typer.Option(help="A device with the role desk, enrolled for this: it must be connected nowhere else.")],
    password: Annotated[str, typer.Option(help="Its password.", envvar="DOCKBRIDGE_PASSWORD", prompt=True, hide_input=True)],
    minutes: Annotated[float, typer.Option(min=0.001, help="How long to listen; Ctrl-C ends it earlier.")] = 60.0,
    file: Annotated[Path, typer.Option(help="The file to write.", dir_okay=False)] = Path("recorded.toml"),
    host: Annotated[str | None, typer.Option(help="The bridge's host.", show_default=_FROM_SITE.format("127.0.0.1"))] = None,
    port: Annotated[int | None, typer.Option(help="The bridge's MQTT port, without TLS.", min=1, max=65_535, show_default=_FROM_SITE.format(1883))] = None,
    site: Annotated[str | None, typer.Option(help="The site's name.", show_default=_FROM_SITE.format("main"))] = None,
) -> None:
    """Listen to a site at work, and write a scenario like it: how many orders, how often, what comes of them, who works, how often connections are lost.

    The file holds counts only: no id, no name of a device, an order, a worker or a courier.

    Example: `firmware-sim record --device listener --minutes 30 --file tuesday.toml`
    """
    refuse_to_overwrite(file)
    if host is None or port is None or site is None:
        known = where_the_site_is()
        host, port, site = host or known[0], port or known[1], site or known[2]
    with listening(host, port, site, device, password) as observer:
        say(f"listening to {site} at {host}:{port} for {minutes:g} minutes; Ctrl-C ends it, and writes what was seen")
        began_s = time.monotonic()
        try:
            _wait(observer, began_s + 60 * minutes)
        except KeyboardInterrupt:
            say("that is enough")
        seconds = time.monotonic() - began_s
    text = written(observer, file.stem, seconds)
    parse(text, str(file))
    write_new(file, text)
    typer.echo(file)
    say(f"  next: firmware-sim run {file}")


def where_the_site_is() -> tuple[str, int, str]:
    """Host, port and name of the site whose folder `DOCKBRIDGE_SITE` names; without it, those of a new site.

    Raises:
        ConfigError: there is no site in the folder.
        SimError: the site has no listener without TLS, or one that takes any free port.
    """
    folder = os.environ.get("DOCKBRIDGE_SITE")
    settings = load(Path(folder) / CONFIG_NAME) if folder else Settings()
    host, port = split_address("listen.mqtt", settings.listen.mqtt) if settings.listen.mqtt else ("", 0)
    if not port:
        raise SimError("the site's bridge.toml names no port without TLS", fix="give --host, --port and --site")
    with suppress(ValueError):  # it may be a name
        if ip_address(host).is_unspecified:
            host = "127.0.0.1"
    return host, port, settings.site.name


@contextmanager
def listening(host: str, port: int, site: str, device: str, password: str) -> Iterator[Observer]:
    """Hear what a desk's device hears. Its session ends with it: nothing is kept for it at the site.

    Raises:
        NotReachable: no server answers.
        NotAdmitted: the device is not let in, or may not hear a site.
    """
    observer = Observer(site, device)
    with BackgroundFleet(host, port, observer.see) as fleet:
        desk = Handheld(fleet, ByHand(site=site, device=device, filters=observer.filters), password, clean=True)
        try:
            desk.connect(ANSWER_S)
        except TimeoutError as error:
            raise NotReachable(str(error), fix="start the bridge, or give its --host, --port and --site") from error
        fleet.until(lambda: observer.is_listening or bool(observer.refused), ANSWER_S)
        if not observer.is_listening:
            why = f" to {', '.join(observer.refused)}" if observer.refused else ""
            raise NotAdmitted(f"{device} may not listen{why}", fix=f"enrol it with `dockbridge device add {device} --role desk`, and name the --site")
        yield observer


def written(observer: Observer, name: str, seconds: float) -> str:
    """The text of the file.

    Raises:
        SimError: there was nothing to see.
    """
    return f"{_HEAD}{render(observer.scenario(name, seconds))}{_TAIL}"


_HEAD: Final = """\
# Counted from what a desk's device heard. Orders on their way count as delivered where their state does not say more; who was connected and is no courier
# counts as a scanner, a shop's system too: set the counts right where you know better.
"""
_TAIL: Final = """
# `standing` has the alerts that were seen. A run must raise some of them only where `raised` in [expect] says so: raised = ["gap"]
"""


def _wait(observer: Observer, ends_s: float) -> None:
    """Until it is over, saying what was seen: in a line that changes, or, without a terminal, in a new line for each change."""
    console = Console(stderr=True)
    told = ""
    with console.status(str(observer)) as status:
        while (left_s := ends_s - time.monotonic()) > 0:
            time.sleep(min(LOOK_EVERY_S, left_s))
            if told != str(observer):
                told = str(observer)
                status.update(told)
                if not console.is_terminal:
                    say(told)
