"""`dockbridge orders watch-folder`: a shop's files come in by themselves, each content once.

A file ends in `done/`, or in `refused/` with a text beside it that says why. Every step can be repeated: the events of a file are stored once however often
it is read, that it came in is stored before it is moved, and a file that was not moved is looked at again.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from stat import S_ISREG
from typing import Annotated, Final, NamedTuple

import typer

from bridge.config import CONFIG_NAME, ImportSettings
from bridge.config_file import load
from bridge.entrypoints.cli.importing import Import, Tally, described, sorted_file
from bridge.entrypoints.cli.output import STOPPED, JsonOption, Steps, print_json_line, say
from bridge.entrypoints.cli.reading import SiteOption, read
from bridge.entrypoints.cli.times import moment, now_ms, zone_name
from bridge.entrypoints.control.client import Caller
from bridge.errors import BridgeError, Refused
from bridge.ingest.ports import StoreUnavailable
from bridge.operations import imports
from bridge.shop import MapError, ShopMap, read_map
from bridge.words import counted

UNFINISHED: Final = (".part", ".partial", ".tmp", ".filepart", ".crdownload")
"""Endings of files that programs are still writing."""
_DAY_S: Final = 86_400
_CHANGED: Final = "it changed while it was read: it is read again once it is still"


class Outcome(StrEnum):
    """What became of a file. A known one goes where the done ones are; one that changed meanwhile stays where it is."""

    DONE = "done"
    KNOWN = "known"
    REFUSED = "refused"
    CHANGED = "changed"


_State = tuple[int, int, int]


class _Seen(NamedTuple):
    """A file as it was when it was last looked at, and since when it is like that."""

    state: _State
    since_s: float


class Folder:
    """A folder whose files come in. Times are those of a clock that only goes forward."""

    def __init__(self, path: Path, limits: ImportSettings) -> None:
        self.path = path
        self._limits = limits
        self._seen: dict[Path, _Seen] = {}
        self._stuck: dict[Path, _State] = {}
        self._skipped: set[Path] = set()
        for name in (Outcome.DONE, Outcome.REFUSED):
            (path / name).mkdir(exist_ok=True)

    def still(self, now_s: float) -> list[Path]:
        """The files that have not changed for long enough, the oldest first, `watch_files_max` at most."""
        seen = {}
        for file, state in self.files():
            before = self._seen.get(file)
            seen[file] = before if before is not None and before.state == state else _Seen(state, now_s)
        self._seen = seen
        ready = [f for f, s in seen.items() if now_s - s.since_s >= self._limits.watch_still_s and self._stuck.get(f) != s.state]
        return sorted(ready, key=lambda f: (seen[f].state[1], f.name))[: self._limits.watch_files_max]

    def files(self) -> Iterator[tuple[Path, _State]]:
        """The files that are there, each with its size and the time of its last change."""
        for file in self.path.iterdir():
            if file.name.startswith(".") or file.suffix.lower() in UNFINISHED:
                continue
            if not _is_text(file.name):
                self._skip(file)
                continue
            if (state := _state(file)) is not None:
                yield file, state

    def _skip(self, file: Path) -> None:
        """A name that is not UTF-8 can't be stored or printed: say so once."""
        if file not in self._skipped:
            self._skipped.add(file)
            say(f"{file.name!a} is left: its name is not UTF-8. Rename it.")

    def move(self, file: Path, to: Outcome, why: str = "") -> Path:
        """Move a file away; of a refused one, say why in a text beside it."""
        state = _state(file)
        target = _free(self.path / to / file.name)
        try:
            if why:
                target.with_name(target.name + ".txt").write_text(why, encoding="utf-8")
            file.rename(target)
        except OSError:
            if state is not None:
                self._stuck[file] = state
            raise
        return target

    def delete_done(self, now_s: float) -> int:
        """Delete the files that were moved to done/ more than `watch_keep_days` before `now_s`, in s since 1970 UTC. Returns how many."""
        keep_s = self._limits.watch_keep_days * _DAY_S
        if not keep_s:
            return 0
        old = [file for file in (self.path / Outcome.DONE).iterdir() if _state(file) is not None and now_s - file.lstat().st_ctime > keep_s]
        for file in old:
            file.unlink(missing_ok=True)
        return len(old)


def _state(file: Path) -> _State | None:
    """(size, time of the last change in ns, the file itself); None if there is no such file, or it is something else: a link may lead anywhere."""
    try:
        found = file.lstat()
    except OSError:
        return None
    return (found.st_size, found.st_mtime_ns, found.st_ino) if S_ISREG(found.st_mode) else None


def _is_text(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _free(target: Path) -> Path:
    """A path that no file has, and no text beside one: with a number, if it is taken."""
    number = 1
    found = target
    while found.exists() or found.with_name(f"{found.name}.txt").exists():
        number += 1
        found = target.with_stem(f"{target.stem}-{number}")
    return found


class Taker:
    """Takes in the files of a folder."""

    def __init__(self, site: Path, folder: Folder, mapping: Path, limits: ImportSettings, *, strict: bool, as_json: bool) -> None:
        self._site = site
        self._folder = folder
        self._mapping = mapping
        self._limits = limits
        self._strict = strict
        self._as_json = as_json
        self.refused = 0

    def take(self, file: Path) -> None:
        """Take in one file.

        Raises:
            BridgeError: if it can't be taken in now, for a reason that is not in the file.
        """
        shop = read_map(self._mapping)
        before = _state(file)
        if before is None:
            return
        if before[0] > self._limits.watch_file_bytes_max:
            self._refuse(file, Tally(), f"it has {before[0]} bytes, more than imports.watch_file_bytes_max ({self._limits.watch_file_bytes_max})")
            return
        sha256 = _sha256(file)
        known = read(self._site, imports.known_file, shop.channel, sha256)
        if known is not None:
            when = f"{moment(known.at_ms)} {zone_name()}"
            self._end(file, Outcome.KNOWN, Tally(), f"its content came in on {when} as {known.name}, and does not come in again")
            return
        try:
            tally, is_sent = self._import(file, shop)
        except MapError as error:
            if _state(file) != before:
                self._report(file, Outcome.CHANGED, Tally(), _CHANGED)
            else:
                self._refuse(file, Tally(), f"{error}\nfix: {error.fix}")
            return
        if _state(file) != before or _sha256(file) != sha256:
            self._report(file, Outcome.CHANGED, tally, _CHANGED)
            return
        if not tally.is_complete:
            self._refuse(file, tally, "\n".join(described(tally, sent=is_sent)))
            return
        with Caller(self._site) as caller:
            caller.call(imports.remember_file, shop.channel, sha256, file.name, self._limits.watch_remembered_max)
        if _state(file) != before:  # meanwhile the shop has put another one in its place
            self._report(file, Outcome.CHANGED, tally, _CHANGED)
            return
        self._end(file, Outcome.DONE, tally, "\n".join(described(tally, sent=True)))

    def _import(self, file: Path, shop: ShopMap) -> tuple[Tally, bool]:
        """Read a file and send what is new. The second value is False if nothing was sent, because something is wrong with it."""
        tally = Tally()
        with Steps() as steps, sorted_file(file, shop, steps) as opened:
            if self._strict:
                Import(self._site, shop, steps, tally, None).run({file: opened})
                if not tally.is_complete:
                    return tally, False
                tally = Tally()
            with Caller(self._site) as caller:
                Import(self._site, shop, steps, tally, caller).run({file: opened})
        return tally, True

    def _refuse(self, file: Path, tally: Tally, why: str) -> None:
        self.refused += 1
        self._end(file, Outcome.REFUSED, tally, why)

    def _end(self, file: Path, outcome: Outcome, tally: Tally, why: str) -> None:
        is_refused = outcome is Outcome.REFUSED
        self._folder.move(file, outcome if is_refused else Outcome.DONE, f"{why}\n" if is_refused else "")
        self._report(file, outcome, tally, why)

    def _report(self, file: Path, outcome: Outcome, tally: Tally, why: str) -> None:
        if self._as_json:
            print_json_line({"file": file.name, "outcome": outcome, "why": why, **tally.plain(sent=bool(tally.outcomes))})
        for line in why.splitlines():
            say(f"{file.name}: {line}")
        if outcome is Outcome.REFUSED:
            say(f"{file.name} is in {Outcome.REFUSED}/, with a text that says why. Mend it and put it into the folder again.")


def _sha256(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def watch_folder(
    folder: Annotated[Path, typer.Argument(help="Where the shop's files arrive.", readable=False)],
    mapping: Annotated[Path, typer.Option("--map", help="TOML: how to read them. It is read again for each file.", readable=False)],
    strict: Annotated[bool, typer.Option("--strict", help="Send nothing of a file in which anything is wrong.")] = False,
    once: Annotated[bool, typer.Option("--once", help="Take in what is there and end, for cron. Exit 1 if a file was refused or is left.")] = False,
    site: SiteOption = Path(),
    as_json: JsonOption = False,
) -> None:
    """Take in each file that arrives in a folder, until Ctrl-C. Done files are moved to done/, others to refused/, with a text that says why.
    What is in done/ is deleted after imports.watch_keep_days.

    A file is read once it has not changed for imports.watch_still_s. A content comes in once, whatever the file's name. Whenever this command is stopped,
    start it again: nothing is stored twice, and nothing is left out.

    Example: `dockbridge orders watch-folder /srv/shop --map orders.toml`
    """
    limits = load(site / CONFIG_NAME).imports
    shop = read_map(mapping)
    if shop.doubt is not None:
        say(shop.doubt)
    if not folder.is_dir():
        raise Refused(f"{folder} is not a folder", fix="make it, and have the shop's files put there")
    watched = Folder(folder, limits)
    taker = Taker(site, watched, mapping, limits, strict=strict, as_json=as_json)
    say(f"Watching {folder} for channel {shop.channel}. Press Ctrl-C to end.")
    try:
        left = _watch(watched, taker, limits, once=once)
    except KeyboardInterrupt:
        say("Stopped. Start it again to go on: nothing is stored twice.")
        raise typer.Exit(STOPPED) from None
    if left or taker.refused:
        raise typer.Exit(1)


def _delete_done(folder: Folder, limits: ImportSettings, failed: str) -> str:
    """Delete what is old enough. Returns why that failed, if so; said once, if it is not what was said before."""
    try:
        deleted = folder.delete_done(now_ms() / 1_000)
    except OSError as error:
        why = f"Files in {Outcome.DONE}/ can't be deleted: {error.strerror}. Let this user write there, or delete them by hand."
        if why != failed:
            say(why)
        return why
    if deleted:
        say(f"Deleted {counted(deleted, 'file')} in {Outcome.DONE}/, after {limits.watch_keep_days:g} days (imports.watch_keep_days).")
    return ""


def _watch(folder: Folder, taker: Taker, limits: ImportSettings, *, once: bool) -> bool:
    """Take in what is still. Returns whether something is left, with `once`."""
    failed = not_deleted = ""
    is_first = True
    while True:
        not_deleted = _delete_done(folder, limits, not_deleted)
        files = folder.still(time.monotonic())
        for file in files:
            try:
                taker.take(file)
                failed = ""
            except (BridgeError, StoreUnavailable, OSError) as error:
                if str(error) != failed:
                    say(f"{file.name} waits: {error}")
                failed = str(error)
        if once and not is_first:
            left = [file for file, _ in folder.files()]
            for file in left:
                say(f"{file.name} is left: it is still changing, or could not be taken in.")
            return bool(left)
        is_first = False
        time.sleep(limits.watch_still_s if once else limits.watch_every_s)
