"""`dockbridge torture`: kill a server again and again under load, and account for every message."""

from __future__ import annotations

import asyncio
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from bridge.clock import anchored_clock
from bridge.entrypoints.cli.output import JsonOption, print_json, print_rich, progress, say
from bridge.errors import BridgeError
from bridge.ingest.points import POINTS
from devices.protocol.vocabulary import Role

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
    password_file: Annotated[Path | None, typer.Option(help="A file whose first line is the password for the other broker.", readable=False)] = None,
    keep: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Make the site in this folder, and keep it.", show_default="a temporary folder", readable=False)
    ] = None,
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
        from bridge.entrypoints.cli.own_server import OwnServer

        with _folder(keep) as folder:
            server = OwnServer(folder, SITE)
            result = _run(plan, server, server.enrol(_roles(plan)))
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


def _roles(plan: Plan) -> dict[str, Role]:
    """Every client of the plan, which becomes a device of its own, with its role."""
    from firmware_sim.torture.plan import DESK

    roles = dict.fromkeys(_clients(plan), Role.LAB) | dict.fromkeys(plan.systems, Role.SYSTEM)
    return roles | ({DESK: Role.DESK} if DESK in roles else {})


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
