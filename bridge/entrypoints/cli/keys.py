"""`dockbridge keys`: the keys with which personal data is sealed."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from bridge.config import CONFIG_NAME
from bridge.config_file import load
from bridge.entrypoints.cli.handing import print_first
from bridge.entrypoints.cli.output import JsonOption, Why, print_json, print_table, progress, say, yes_no
from bridge.entrypoints.cli.reading import SiteOption
from bridge.entrypoints.cli.times import TzOption, dated, moment
from bridge.entrypoints.control.asker import check_owner
from bridge.entrypoints.control.client import call
from bridge.errors import NotFound
from bridge.key_sheets import read_typed, sheet_of
from bridge.operations import keys
from bridge.vault import KeyFolder
from bridge.words import counted

app = typer.Typer(
    no_args_is_help=True,
    help="Keep and change the keys that seal personal data. They are outside the site's folder, and in no backup.\n\nExample: `dockbridge keys status`",
)

KeyArgument = Annotated[str, typer.Argument(metavar="KEY", help="The key's id, as `keys status` prints it.")]


@app.command()
def status(site: SiteOption = Path(), as_json: JsonOption = False, tz: TzOption = None) -> None:
    """List the site's keys: when each was made, when its recovery sheet was, and how much is sealed with it.

    Example: `dockbridge keys status`
    """
    found = call(site, keys.status)
    if as_json:
        print_json(found)
        return
    rows = [(k.key, moment(k.created_ms or None), moment(k.backed_up_ms or None), yes_no(k.is_current), yes_no(k.is_here), k.rows) for k in found]
    print_table(("key", dated("made"), "sheet made", "seals now", "here", "rows"), rows)
    for key in found:
        if not key.is_here:
            say(f"Key {key.key} is missing: what was sealed with it can't be read.\n  fix: type it in from its recovery sheet: dockbridge keys restore")
        elif not key.backed_up_ms and key.rows:
            say(f"Key {key.key} has no recovery sheet: if this folder is lost, so is what was sealed with it.\n  fix: dockbridge keys backup")


@app.command()
def backup(site: SiteOption = Path(), tz: TzOption = None) -> None:
    """Print the recovery sheet of the newest key, to be printed on paper and kept away from the machine. Whoever has it and a backup can read everything.

    Example: `dockbridge keys backup | lpr`
    """
    check_owner("keys backup")
    found = _folder(site).keys()
    if not found:
        raise NotFound("this site has no key yet", fix="the server makes one when it starts: `dockbridge serve`")
    newest = found[-1]
    print_first(lambda: print(sheet_of(newest, moment(newest.created_ms))))
    call(site, keys.backed_up, newest.id.hex())
    say("Keep it away from this machine and from the backups; it is not shown in full anywhere else.")


@app.command()
def restore(site: SiteOption = Path()) -> None:
    """Put a key back from its recovery sheet, typed in or piped: the lines from `id` to `check`.

    Example: `dockbridge keys restore < sheet.txt`
    """
    check_owner("keys restore")
    if sys.stdin.isatty():
        say("Type the lines of the sheet from `id` to `check`, then Ctrl-D:")
    key = read_typed(sys.stdin.read(), load(site / CONFIG_NAME).site.name)
    _folder(site).put(key)
    call(site, keys.restored, key.id.hex())
    say(f"Key {key.id.hex()} is back.")


@app.command()
def rotate(
    go_on: Annotated[bool, typer.Option("--go-on", help="Go on with a rotation that was broken off, without another key.")] = False,
    reason: Why = "",
    site: SiteOption = Path(),
) -> None:
    """Make a new key, and wrap everything with it. The old key stays for backups until `keys destroy`.

    Example: `dockbridge keys rotate --reason "a laptop with the old one was stolen"`
    """
    with progress() as bar:
        task = bar.add_task("wrapping keys")
        wrapped = call(site, keys.rotate, lambda done, total: bar.update(task, completed=done, total=total), go_on, reason)
    say(f"{counted(wrapped, 'part')} wrapped anew.\n  next: dockbridge keys backup")


@app.command()
def destroy(key: KeyArgument, reason: Why = "", site: SiteOption = Path()) -> None:
    """Destroy an old key that nothing in the database needs any more. What older backups hold sealed with it, nobody can read after that.

    Example: `dockbridge keys destroy 8b77944455daa2ae --reason "all older backups are gone"`
    """
    call(site, keys.destroy, key, reason)
    say(f"Key {key} is destroyed. Destroy its recovery sheet, too.")


def _folder(site: Path) -> KeyFolder:
    return KeyFolder.of(site, load(site / CONFIG_NAME))
