"""`firmware-sim`: play a shop's history, or a day from a seed, against a running bridge. Data goes to stdout, progress and errors to stderr."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.console import Console

from bridge.errors import BridgeError
from bridge.shop_file import MapError, read_map, read_orders
from firmware_sim import demo, show
from firmware_sim import replay as history
from firmware_sim.errors import BadCredentials, NoPassword, SimError
from firmware_sim.link.mqtt import Progress
from firmware_sim.workload import Workload

FAILED: Final = 1
USAGE: Final = 2
TIMEOUT_S: Final = 3_600.0

app = typer.Typer(
    help="Simulated devices for a bridge.\n\n"
    "Example: `firmware-sim devices > fleet.csv`; `dockbridge device import fleet.csv --json > passwords.json` enrols them; "
    "`firmware-sim run --credentials passwords.json` lives through their day.",
    rich_markup_mode="markdown",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

Host = Annotated[str, typer.Option(help="The bridge's host.")]
Port = Annotated[int, typer.Option(help="The bridge's MQTT port.", min=1, max=65_535)]
Site = Annotated[str, typer.Option(help="The site's name, as in its bridge.toml.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
Timeout = Annotated[float, typer.Option(help="Give up after this many seconds.", min=1)]
Login = Annotated[str | None, typer.Option(metavar="DEVICE:PASSWORD", help="In place of its entry in --credentials.")]


@app.command("replay")
def replay_command(
    file: Annotated[Path, typer.Argument(help="The shop's export (CSV), imported into the bridge before.")],
    map_file: Annotated[Path, typer.Option("--map", help="How to read it (TOML); the one that it was imported with.")],
    host: Host = "127.0.0.1",
    port: Port = 1883,
    site: Site = "main",
    credentials: Annotated[Path | None, typer.Option(help='JSON: {"scanner": {"device": …, "password": …}, "courier": {…}, "watcher": {…}}.')] = None,
    scanner: Login = None,
    courier: Login = None,
    watcher: Login = None,
    speed: Annotated[float, typer.Option(help="How many times faster than history; a pause is 50 ms at most. 0: no pauses.", min=0)] = 1_000.0,
    timeout: Timeout = TIMEOUT_S,
    as_json: AsJson = False,
) -> None:
    """Tell packing, pickup and delivery of every row as the backlog of two devices, and compare each order's status with its row.

    A second replay sends the very same events, and changes nothing. Exit 0: every order shows what its row says.

    Example: `firmware-sim replay orders.csv --map orders.toml --credentials three.json`
    """
    shop = read_map(map_file)
    orders, bad = read_orders(file, shop)
    cast = _cast(credentials, {"scanner": scanner, "courier": courier, "watcher": watcher})
    with _progress() as on_progress:
        result = history.replay(orders, shop, site=site, host=host, port=port, cast=cast, speed=speed, on_progress=on_progress, timeout_s=timeout)
    result.bad_rows = len(bad)
    _print(history.to_json(result) if as_json else show.render_replay(result))
    raise typer.Exit(0 if result.ok else FAILED)


@app.command("run")
def run_command(
    credentials: Annotated[
        Path, typer.Option(help='JSON: {"shop-1": "password", …}, or what `dockbridge device import --json` prints; `devices` says whom to enrol.')
    ],
    seed: Annotated[int, typer.Option(help="The day; a seed is lived through once on a site.", min=0)] = 1,
    orders: Annotated[int, typer.Option(help="Orders of the day.", min=1)] = 20,
    scanners: Annotated[int, typer.Option(help="Scanners, each with a worker.", min=1)] = 3,
    couriers: Annotated[int, typer.Option(help="Couriers, each with a phone.", min=1)] = 2,
    host: Host = "127.0.0.1",
    port: Port = 1883,
    site: Site = "main",
    speed: Annotated[float, typer.Option(help="Pauses of people and roads are divided by it.", min=0.001)] = demo.DEMO_SPEED,
    timeout: Timeout = TIMEOUT_S,
    as_json: AsJson = False,
) -> None:
    """Live through a day from a seed, and compare each order's status with the plan.

    Example: `firmware-sim run --seed 7 --credentials passwords.json`
    """
    workload = _workload(seed, orders, scanners, couriers, site)
    passwords = _passwords(credentials)
    with _progress() as on_progress:
        result = demo.run_demo(workload, host, port, passwords, on_progress, speed=speed, timeout_s=timeout)
    _print(demo.to_json(result) if as_json else show.render(result))
    raise typer.Exit(0 if result.ok else FAILED)


@app.command("devices")
def devices_command(
    scanners: Annotated[int, typer.Option(help="Scanners of the day.", min=1)] = 3,
    couriers: Annotated[int, typer.Option(help="Couriers of the day.", min=1)] = 2,
) -> None:
    """Print the devices that a day needs enrolled, as `dockbridge device import` takes them.

    Example: `firmware-sim devices --scanners 5 > fleet.csv`
    """
    typer.echo("device,role,courier")
    for device in _workload(1, 1, scanners, couriers, "main").devices:
        typer.echo(f"{device.name},{device.role},{device.courier or ''}")


# --- arguments --------------------------------------------------------------------------------------------------------------


def _workload(seed: int, orders: int, scanners: int, couriers: int, site: str) -> Workload:
    try:
        return Workload.from_seed(seed, orders, scanners, couriers, site=site)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


def _cast(path: Path | None, given: dict[str, str | None]) -> history.Cast:
    """The three devices of a replay: from the file, and from the options, which win."""
    data = _object(path) if path is not None else {}
    names: dict[str, str] = {}
    passwords: dict[str, str] = {}
    for part, login in given.items():
        names[part], password = _login(part, login) if login is not None else _entry(part, data)
        passwords[names[part]] = password
    if len(passwords) < len(given):
        raise BadCredentials("scanner, courier and watcher are the same device", fix="enrol one of each role")
    return history.Cast(**names, passwords=passwords)


def _login(part: str, login: str) -> tuple[str, str]:
    device, colon, password = login.partition(":")
    if not device or not colon:
        raise typer.BadParameter(f"--{part} is {login!r}, should be DEVICE:PASSWORD")
    return device, password


def _entry(part: str, data: dict[str, Any]) -> tuple[str, str]:
    entry = data.get(part)
    if not isinstance(entry, dict):
        raise BadCredentials(f"there are no credentials for the {part}", fix=f'add "{part}": {{"device": …, "password": …}} to the file, or give --{part}')
    return _text(entry.get("device"), f"{part}.device"), _secret(entry, part)


def _passwords(path: Path) -> dict[str, str]:
    """Passwords by device: from {device: password}, or from a list of what was enrolled."""
    data = _read_json(path)
    if isinstance(data, list):
        return {_text(e.get("device"), "device"): _secret(e, str(e.get("device"))) for e in data if isinstance(e, dict)}
    return {name: _secret(value, name) if isinstance(value, dict) else _text(value, name) for name, value in _object(path).items()}


def _secret(entry: dict[str, Any], name: str) -> str:
    return _text(entry.get("password") or entry.get("secret"), f"{name}.password")


def _object(path: Path) -> dict[str, Any]:
    data = _read_json(path)
    if not isinstance(data, dict):
        raise BadCredentials(f"{path} is no JSON object", fix="write it as --help says")
    return data


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise BadCredentials(f"there is no {path}", fix="write the devices' passwords into it, as --help says") from None
    except (OSError, ValueError) as error:
        raise BadCredentials(f"{path} can't be read: {error}", fix="it should be JSON, as --help says") from error


def _text(value: object, name: str) -> str:
    if not isinstance(value, str) or not value:
        raise BadCredentials(f"{name} is not a text in the credentials", fix="write it as --help says")
    return value


# --- printing ---------------------------------------------------------------------------------------------------------------


@contextmanager
def _progress() -> Iterator[Any]:
    """A status line on stderr, where that is a terminal."""
    console = Console(stderr=True)
    with console.status("connecting") as status:

        def told(progress: Progress) -> None:
            status.update(show.progress_line(progress))

        yield told


def _print(what: Any) -> None:
    if isinstance(what, dict):
        typer.echo(json.dumps(what, ensure_ascii=False, indent=2))
    else:
        console = Console(highlight=False)
        # A table that is read by a program must not be cut at the width of a terminal that is not there.
        (console if console.is_terminal else Console(highlight=False, width=400)).print(what)


def main() -> None:
    """The one place that prints an error: what happened, what to do."""
    try:
        app()
    except (SimError, BridgeError) as error:
        console = Console(stderr=True, highlight=False, soft_wrap=True)
        console.print(f"error: {error}", style="red", markup=False)
        if error.fix:
            console.print(f"  fix: {error.fix}", markup=False)
        sys.exit(USAGE if isinstance(error, MapError | BadCredentials | NoPassword) else FAILED)


if __name__ == "__main__":
    main()
