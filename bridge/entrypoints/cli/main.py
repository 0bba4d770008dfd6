"""`dockbridge`: every command prints data to stdout and sentences to stderr; exit 0 done, 1 failed, 2 wrong usage."""

from __future__ import annotations

import errno
import logging
import os
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Annotated, Final

import typer

from bridge import __version__
from bridge.entrypoints.cli import (
    access,
    alerts,
    articles,
    audit,
    bench,
    carrier_board,
    carrier_handover,
    carrier_import,
    certificate,
    config,
    contacts,
    contract,
    couriers,
    db,
    demo,
    device,
    doctor,
    events,
    exposed,
    forget,
    jobs,
    keys,
    notices,
    order_acts,
    order_export,
    order_import,
    order_reads,
    order_stuck,
    orders,
    people,
    places,
    privacy,
    quarantine,
    report,
    server,
    service,
    sim,
    site,
    status,
    top,
    torture,
    trace,
    workers,
)
from bridge.entrypoints.cli.logs import is_json, start_log
from bridge.entrypoints.cli.output import say
from bridge.entrypoints.control.asker import TOKEN, TOKEN_FILE, ask_as
from bridge.errors import BridgeError
from bridge.ingest.ports import StoreUnavailable

logger = logging.getLogger("dockbridge")

app = typer.Typer(name="dockbridge", no_args_is_help=True, add_completion=False, rich_markup_mode="markdown", pretty_exceptions_enable=False)


PIPE_CLOSED: Final = 128 + signal.SIGPIPE
"""The exit code of a program whose output nobody reads any more, as shells report it."""
_FIXES: Final = {
    errno.EACCES: "let this user read it (and write it, if the command does), or run the command as its owner",
    errno.EPERM: "run the command as the owner of the file",
    errno.ENOENT: "check the name",
    errno.EISDIR: "name a file, not a folder",
    errno.ENOTDIR: "check the name: a part of it is a file, not a folder",
    errno.ENOSPC: "free some space on the disk",
    errno.EDQUOT: "free some space: this user's quota is used up",
    errno.EROFS: "choose a file system that is mounted read-write",
}
"""The fix for an error of the operating system."""
_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO})
PASSED_ON = {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}


def _version(wanted: bool) -> None:
    if wanted:
        print(__version__)
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")] = False,
    person: Annotated[
        str | None,
        typer.Option(
            "--as", metavar="NAME", envvar="DOCKBRIDGE_AS", help=f"Act as this person, with the token in {TOKEN}, or in the file that {TOKEN_FILE} names."
        ),
    ] = None,
) -> None:
    """Turn the scans of a warehouse and its couriers into the state of every order, and never lose one.

    Start with `dockbridge demo`, then make a site of your own.

    Example: `dockbridge init ams1 --host bridge.example.com`, then `dockbridge serve ams1`
    """
    ask_as(person)


app.command()(site.init)
app.command()(site.serve)
app.command()(status.status)
app.command()(doctor.doctor)
app.command()(top.top)
app.command()(trace.trace)
app.command()(demo.demo)
app.command()(torture.torture)
app.command()(forget.forget)
app.command(name="export-subject")(forget.export_subject)
# What is typed after these two, `--help` included, is for the simulator and for the suite.
app.command(context_settings=PASSED_ON, add_help_option=False)(sim.sim)
app.command(context_settings=PASSED_ON, add_help_option=False)(bench.bench)
app.add_typer(device.app, name="device")
app.add_typer(access.app, name="access")
for commands in (
    *(order_import.COMMANDS, order_export.COMMANDS, order_reads.COMMANDS, order_stuck.COMMANDS, order_acts.COMMANDS),
    *(contacts.COMMANDS, forget.COMMANDS),
):
    for name, command in commands.items():
        orders.app.command(name)(command)
app.add_typer(orders.app, name="orders")
app.add_typer(order_acts.parcels, name="parcels")
app.add_typer(contacts.app, name="contacts")
app.add_typer(workers.app, name="workers")
app.add_typer(jobs.app, name="jobs")
app.add_typer(couriers.app, name="couriers")
for name, command in {**carrier_board.COMMANDS, **carrier_handover.COMMANDS, **carrier_import.COMMANDS}.items():
    carrier_board.app.command(name)(command)
app.add_typer(carrier_board.app, name="carriers")
app.add_typer(notices.app, name="notices")
app.add_typer(people.app, name="people")
app.add_typer(articles.app, name="articles")
app.add_typer(places.app, name="places")
app.add_typer(events.app, name="events")
app.add_typer(quarantine.app, name="quarantine")
app.add_typer(alerts.app, name="alerts")
app.add_typer(report.app, name="report")
app.add_typer(contract.app, name="contract")
app.add_typer(config.app, name="config")
app.add_typer(certificate.app, name="certificate")
app.add_typer(audit.app, name="audit")
privacy.app.command()(exposed.exposed)
app.add_typer(privacy.app, name="privacy")
app.add_typer(keys.app, name="keys")
app.add_typer(db.app, name="db")
app.add_typer(server.app, name="server")
app.add_typer(service.app, name="service")


def main() -> None:
    """Run the command. This is the one place that prints an error: what happened, and what to do."""
    start_log()
    sys.exit(_run())


def _run() -> int:
    """Run the command that was typed, and write out what it printed. Returns the exit code."""
    try:
        code = _code_of(lambda: app(prog_name="dockbridge"))
        sys.stdout.flush()
    except BrokenPipeError:
        code = PIPE_CLOSED
    except OSError as error:
        say(f"error: the output can't be written: {error.strerror}\n  fix: {_FIXES.get(error.errno or 0, 'check where it goes')}")
        code = 1
    else:
        return code
    with suppress(OSError):  # what is still buffered must not raise again at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return code


def _code_of(command: Callable[[], None]) -> int:
    """Run a command. On wrong usage Typer itself prints the right one and exits with 2.

    Raises:
        OSError: if its output can't be written.
    """
    try:
        command()
    except SystemExit as end:
        if isinstance(end.__context__, BrokenPipeError):  # Typer's way to end when the reader of our output has gone
            raise BrokenPipeError from end
        return end.code if isinstance(end.code, int) else 0
    except BridgeError as error:
        return _failed(str(error), error.fix)
    except StoreUnavailable as error:
        return _failed(f"the database can't be used: {error}", error.fix)
    except OSError as error:
        if error.filename is None and error.errno in _FULL:
            # What has failed has no name: one byte more raises the error again if it is the output.
            os.write(sys.stdout.fileno(), b"\n")
        where = f"{os.fsdecode(error.filename)}: " if isinstance(error.filename, str | bytes) else ""
        return _failed(f"{where}{error.strerror or error}", _FIXES.get(error.errno or 0, "check the file's name and permissions"))
    except (OverflowError, UnicodeError) as error:
        return _failed(str(error), "check the file's name, and that its text is UTF-8")
    return 0


def _failed(what: str, fix: str | None) -> int:
    """Say what happened, and what to do: for people, or as a line of the server's log if that is for programs."""
    if is_json():
        logger.critical("%s", "; ".join(filter(None, (what, fix))))
    else:
        say(f"error: {what}" + (f"\n  fix: {fix}" if fix else ""))
    return 1


if __name__ == "__main__":
    main()
