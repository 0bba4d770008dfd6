"""`dockbridge torture`: kill a server again and again under load, and account for every message."""

from __future__ import annotations

import asyncio
import json
import secrets
import shutil
import socket
import sqlite3
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from bridge.clock import anchored_clock
from bridge.config import DATABASE_NAME, ListenSettings, Settings
from bridge.entrypoints.cli.output import JsonOption, print_json, print_rich, progress, say
from bridge.errors import BridgeError
from bridge.ingest.points import POINTS
from bridge.store.registry import Registry
from bridge.store.sqlite import open_engine
from devices.protocol.vocabulary import Role
from firmware_sim.torture.server import ServerProcess

if TYPE_CHECKING:
    from firmware_sim.torture.plan import Plan
    from firmware_sim.torture.run import Tortured
    from firmware_sim.torture.server import Server

SITE: Final = "main"


def torture(
    *,
    seed: Annotated[int, typer.Option(help="A different seed gives a different plan of messages and kills.")] = 1,
    kills: Annotated[int, typer.Option(min=0, max=10_000, help="How often the server is killed.")] = 20,
    events: Annotated[int, typer.Option(min=2, max=10_000_000, help="Messages sent: half are plain messages, half are order events.")] = 5_000,
    publishers: Annotated[int, typer.Option(min=1, max=500, help="Clients that publish plain messages.")] = 6,
    subscribers: Annotated[int, typer.Option(min=1, max=500, help="Clients that subscribe to them, with persistent sessions.")] = 4,
    against: Annotated[str | None, typer.Option(metavar="HOST:PORT", help="Torture another broker instead; it gets only the plain messages.")] = None,
    restart_with: Annotated[str | None, typer.Option(metavar="CMD", help="The command line that starts the other broker in the foreground.")] = None,
    username: Annotated[str | None, typer.Option(help="Username for the other broker.")] = None,
    password: Annotated[
        str | None,
        typer.Option(
            envvar="DOCKBRIDGE_TORTURE_PASSWORD",
            help="Its password. Other users of this machine can read a command line: prefer --password-file.",
        ),
    ] = None,
    password_file: Annotated[Path | None, typer.Option(help="A file whose first line is the password for the other broker.")] = None,
    keep: Annotated[Path | None, typer.Option(metavar="DIR", help="Make the site in this folder, and keep it.", show_default="a temporary folder")] = None,
    as_json: JsonOption = False,
) -> None:
    """Kill a server with SIGKILL, again and again under load, and print the fate of every message.

    The server is killed at random moments, at every labelled point between socket, commit and acknowledgement, and once at rest. Publishers use QoS 1 and 2,
    subscribers have persistent sessions. Exit 0: no acknowledged message was lost, none arrived twice at QoS 2, none arrived out of order.

    Example: `dockbridge torture --kills 100 --events 100000`
    """
    # Imported here: no other command needs the simulator.
    from firmware_sim.torture.plan import plan_run
    from firmware_sim.torture.server import ForeignServer
    from firmware_sim.torture.show import render, to_json

    if (against is None) != (restart_with is None):
        raise typer.BadParameter("--against and --restart-with must be given together")
    if password_file is not None:
        password = _first_line_of(password_file)
    plan = plan_run(
        seed,
        kills=kills,
        events=events,
        publishers=publishers,
        subscribers=subscribers,
        labels=() if against else POINTS,
        site=None if against else SITE,
        now_ms=anchored_clock().now_ms(),
    )
    if against is not None and restart_with is not None:
        passwords = dict.fromkeys(_clients(plan), (username, password or "")) if username is not None else {}
        result = _run(plan, ForeignServer(restart_with, *_address(against)), passwords)
    else:
        with _folder(keep) as folder:
            result = _run(plan, OwnServer(folder), _enrol(folder, plan))
    if as_json:
        print_json(to_json(result))
    else:
        print_rich(render(result))
    if not result.ledger.ok:
        raise typer.Exit(1)


def _first_line_of(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").partition("\n")[0].rstrip("\r")
    except (OSError, UnicodeDecodeError) as error:
        raise typer.BadParameter(f"{path} can't be read: {error}", param_hint="--password-file") from error


class OwnServer(ServerProcess):
    """`dockbridge serve` on a fixed port of a new site in a folder."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.address = ("127.0.0.1", _free_port())
        self._folder = folder
        from bridge.site_folder import make_site

        make_site(folder, Settings(listen=ListenSettings(mqtt="{}:{}".format(*self.address))))

    async def start(self, kill_at: str | None) -> bool:
        line = await asyncio.to_thread(self._first_line, ["--kill-at", kill_at] if kill_at is not None else [])
        if line and json.loads(line)["ready"]:
            return True
        if kill_at is None:
            raise BridgeError("the server did not start", fix=f"see why with `dockbridge serve {self._folder}`; --keep leaves the folder there")
        return False

    def _first_line(self, options: list[str]) -> str:
        """Start it. Returns the line that it prints when it is ready, or an empty text if it ended before."""
        command = [sys.executable, "-m", "bridge.entrypoints.cli.main", "serve", str(self._folder), "--json", *options]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, start_new_session=True)  # noqa: S603 -- our own program
        assert self.process.stdout is not None
        return self.process.stdout.readline()

    def stored(self) -> Counter[bytes] | None:
        """Ids of the stored events, read from the file that the server left, without the server's own code."""
        with closing(sqlite3.connect(f"{(self._folder / DATABASE_NAME).absolute().as_uri()}?mode=ro", uri=True)) as connection:
            return Counter(row[0] for row in connection.execute("SELECT id FROM events"))


def _run(plan: Plan, server: Server, passwords: dict[str, tuple[str, str]]) -> Tortured:
    from firmware_sim.errors import SimError
    from firmware_sim.torture.run import torture as carry_out

    with progress() as bar:
        task = bar.add_task("answered", total=plan.total)
        try:
            return asyncio.run(
                carry_out(
                    plan,
                    server,
                    passwords,
                    token=secrets.token_hex(4),
                    on_progress=lambda p: bar.update(task, completed=p.answered, description=f"{p.kills} kills, answered"),
                ),
            )
        except SimError as error:
            raise BridgeError(str(error), fix=error.fix) from error


def _clients(plan: Plan) -> list[str]:
    return [*plan.messages, *(t.name for t in plan.takers)]


def _enrol(folder: Path, plan: Plan) -> dict[str, tuple[str, str]]:
    """Enrol every client of the plan as a device of its own. Returns their logins."""
    engine = open_engine(folder / DATABASE_NAME)
    registry = Registry(engine, engine, SITE)
    now_ms = anchored_clock().now_ms()
    return {name: (name, registry.add(name, _role(plan, name), now_ms=now_ms) or "") for name in _clients(plan)}


def _role(plan: Plan, name: str) -> Role:
    from firmware_sim.torture.plan import DESK

    if name in plan.systems:
        return Role.SYSTEM
    return Role.DESK if name == DESK else Role.LAB


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if not host or not port.isdecimal():
        raise typer.BadParameter(f"--against is {text!r}, but must be HOST:PORT")
    return host.strip("[]"), int(port)


@contextmanager
def _folder(keep: Path | None) -> Iterator[Path]:
    if keep is not None:
        yield keep
        say(f"The site is in {keep}.")
        return
    made = Path(tempfile.mkdtemp(prefix="dockbridge-torture-"))
    try:
        yield made / "site"
    finally:
        shutil.rmtree(made, ignore_errors=True)


def _free_port() -> int:
    """A port that stays free while the server is down: below those that the system uses for outgoing connections (Linux: from 32768)."""
    while True:
        port = 20_000 + secrets.randbelow(12_000)
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
