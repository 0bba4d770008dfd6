"""`firmware-sim history`: a shop's export, told by devices that were offline all the time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.console import Console

from bridge.shop import read_map, read_orders
from firmware_sim import replay, show
from firmware_sim.commands import output
from firmware_sim.commands.credentials import read_json
from firmware_sim.commands.output import FAILED, AsJson
from firmware_sim.errors import BadCredentials
from firmware_sim.link.progress import Progress

TIMEOUT_S: Final = 3_600.0

Login = Annotated[str | None, typer.Option(metavar="DEVICE:PASSWORD", help="In place of its entry in --credentials.")]


def history(
    file: Annotated[Path, typer.Argument(help="The shop's export (CSV), imported into the bridge before.")],
    map_file: Annotated[Path, typer.Option("--map", help="How to read it (TOML); the one that it was imported with.")],
    host: Annotated[str, typer.Option(help="The bridge's host.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="The bridge's MQTT port.", min=1, max=65_535)] = 1883,
    site: Annotated[str, typer.Option(help="The site's name, as in its bridge.toml.")] = "main",
    credentials: Annotated[Path | None, typer.Option(help='JSON: {"scanner": {"device": …, "password": …}, "courier": {…}, "watcher": {…}}.')] = None,
    scanner: Login = None,
    courier: Login = None,
    watcher: Login = None,
    speed: Annotated[float, typer.Option(help="How many times faster than history; a pause is 50 ms at most. 0: no pauses.", min=0)] = 1_000.0,
    timeout: Annotated[float, typer.Option(help="Give up after this many seconds.", min=1)] = TIMEOUT_S,
    as_json: AsJson = False,
) -> None:
    """Tell packing, pickup and delivery of every row as the backlog of two devices, and compare each order's status with its row.

    A second time sends the very same events, and changes nothing. Exit 0: every order shows what its row says.

    Example: `firmware-sim history orders.csv --map orders.toml --credentials three.json`
    """
    shop = read_map(map_file)
    orders, bad = read_orders(file, shop)
    cast = _cast(credentials, {"scanner": scanner, "courier": courier, "watcher": watcher})
    with _progress() as on_progress:
        result = replay.replay(orders, shop, site=site, address=(host, port), cast=cast, speed=speed, on_progress=on_progress, timeout_s=timeout)
    result.bad_rows = len(bad)
    if as_json:
        output.emit(replay.to_json(result))
    else:
        output.show(show.render_replay(result))
    raise typer.Exit(0 if result.ok else FAILED)


def _cast(path: Path | None, given: dict[str, str | None]) -> replay.Cast:
    """The three devices of a replay: from the file, and from the options, which win."""
    data = _object(path) if path is not None else {}
    names: dict[str, str] = {}
    passwords: dict[str, str] = {}
    for part, login in given.items():
        names[part], password = _login(part, login) if login is not None else _entry(part, data)
        passwords[names[part]] = password
    if len(passwords) < len(given):
        raise BadCredentials("scanner, courier and watcher are the same device", fix="enrol one of each role")
    return replay.Cast(**names, passwords=passwords)


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


def _secret(entry: dict[str, Any], name: str) -> str:
    return _text(entry.get("password") or entry.get("secret"), f"{name}.password")


def _object(path: Path) -> dict[str, Any]:
    data = read_json(path)
    if not isinstance(data, dict):
        raise BadCredentials(f"{path} is no JSON object", fix="write it as --help says")
    return data


def _text(value: object, name: str) -> str:
    if not isinstance(value, str) or not value:
        raise BadCredentials(f"{name} is not a text in the credentials", fix="write it as --help says")
    return value


@contextmanager
def _progress() -> Iterator[Any]:
    """A status line on stderr, if that is a terminal."""
    console = Console(stderr=True)
    with console.status("connecting") as status:

        def told(progress: Progress) -> None:
            status.update(show.progress_line(progress))

        yield told
