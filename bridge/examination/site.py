"""A whole site, as `operations.doctor` examines it."""

from __future__ import annotations

import os
import shlex
import socket
import time
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Final

from bridge import __version__
from bridge.config import CONFIG_NAME, LOCK_NAME, SOCKET_NAME, Settings
from bridge.config_file import load
from bridge.errors import BridgeError
from bridge.examination.books import SiteDatabase
from bridge.examination.files import SiteCertificates, SiteFolder
from bridge.examination.machine import ThisMachine
from bridge.operations.doctor.patient import Backup, Running
from bridge.serving.backups import backups_of
from bridge.site_reader import ReadableSite

Ask = Callable[[Path], Running | None]
ANSWER_S: Final = 10.0
"""How long the server may take to answer."""
COMMAND_S: Final = 2.0
"""How long a command that changes something may have the site open before the doctor takes it for a server that is silent."""
ITS_PLACE: Final = frozenset({"serve", "doctor"})
"""Commands that take the site's folder as an argument, not as an option."""


class SiteServer:
    """See `operations.doctor.patient.Server`."""

    def __init__(self, directory: Path, ask: Ask) -> None:
        self._directory = directory
        self._ask = ask

    @property
    def pid(self) -> int | None:
        return self._heard[0]

    @property
    def says(self) -> Running | BridgeError | None:
        return self._heard[1]

    def _holder(self) -> int | None:
        """Read from the kernel's list of locks: trying the lock could keep a server from starting."""
        path = self._directory / LOCK_NAME
        try:
            file, noted = path.stat(), path.read_text().strip()
            locks = [line.split() for line in Path("/proc/locks").read_text().splitlines()]
        except OSError:
            return None
        device = f"{os.major(file.st_dev):02x}:{os.minor(file.st_dev):02x}:"
        held = [words for words in locks if words[1] == "FLOCK" and words[5].endswith(f":{file.st_ino}")]
        # Some file systems have another number there (btrfs); then the process that noted itself in the file decides.
        return next((int(words[4]) for words in held if words[5].startswith(device) or words[4] == noted), None)

    @cached_property
    def _heard(self) -> tuple[int | None, Running | BridgeError | None]:
        """Who has the site open, and what it says. A command has it open only for a moment, and says nothing."""
        until_s = time.monotonic() + COMMAND_S
        while (pid := self._holder()) is not None and (says := self._says()) is None and time.monotonic() < until_s:
            time.sleep(COMMAND_S / 10)
        return (pid, says) if pid is not None else (None, self._says())

    def _says(self) -> Running | BridgeError | None:
        before = socket.getdefaulttimeout()
        socket.setdefaulttimeout(ANSWER_S)
        try:
            return self._ask(self._directory)
        except BridgeError as error:
            return error
        except OSError as error:
            return BridgeError(f"no answer in {ANSWER_S:g} s ({error})")
        finally:
            socket.setdefaulttimeout(before)

    @property
    def has_left_socket(self) -> bool:
        return (self._directory / SOCKET_NAME).exists()


class ExaminedSite:
    """See `operations.doctor.patient.Patient`.

    Args:
        ask: asks the running server what it says of itself; None if none runs.
        typed: the folder as commands have to name it; None if they know it already.
    """

    def __init__(self, directory: Path, ask: Ask, *, now_ms: int, is_stopped: bool = False, typed: Path | None = None) -> None:
        self.now_ms = now_ms
        self.version = __version__
        self.is_stopped = is_stopped
        self.machine = ThisMachine()
        self.folder = SiteFolder(directory)
        self.server = SiteServer(directory, ask)
        self._directory = directory
        self._typed = typed

    @cached_property
    def settings(self) -> Settings | BridgeError:
        try:
            return load(self._directory / CONFIG_NAME)
        except BridgeError as error:
            return error
        except OSError as error:
            return BridgeError(f"{CONFIG_NAME} can't be read: {error.strerror}", fix=f"run this command as {self.folder.owner}")

    @cached_property
    def certificates(self) -> SiteCertificates:
        return SiteCertificates(self._directory, self._known)

    @cached_property
    def database(self) -> SiteDatabase:
        return SiteDatabase(self._directory, self._known.site.name, self.server.pid)

    @cached_property
    def site(self) -> ReadableSite:
        return ReadableSite(self._directory)

    @cached_property
    def backups(self) -> Sequence[Backup]:
        backups = backups_of(self._directory, self._known)
        return [Backup(path, int(at.timestamp() * 1000)) for at, path in (backups.made() if backups is not None else ())]

    @property
    def _known(self) -> Settings:
        if isinstance(self.settings, BridgeError):
            raise self.settings
        return self.settings

    def command(self, *words: str | Path) -> str:
        return self.for_site(shlex.join(["dockbridge", *map(str, words)]))

    def for_site(self, command: str) -> str:
        if self._typed is None:
            return command
        takes_place = command.split()[1] in ITS_PLACE
        return f"{command} {'' if takes_place else '--site '}{shlex.quote(str(self._typed))}"

    def shell(self, *words: str | Path) -> str:
        files = {file.name for file in self.folder.files()}
        return shlex.join([str(self.folder.path / word) if word in files else str(word) for word in words])
