"""A site's folder, and its certificates."""

from __future__ import annotations

import os
import pwd
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

from bridge import certificates
from bridge.config import CERTIFICATES_NAME, Settings
from bridge.errors import BridgeError
from bridge.operations.doctor.patient import Certificate, FileSystem, SiteFile
from bridge.site_certificates import is_made_here
from bridge.site_folder import HALF_MADE
from bridge.tls import server_context


class SiteFolder:
    """See `operations.doctor.patient.Folder`."""

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()

    @cached_property
    def owner(self) -> str:
        return _user(self.path.stat().st_uid)

    @property
    def is_writable(self) -> bool:
        return os.access(self.path, os.W_OK)

    @cached_property
    def file_system(self) -> FileSystem:
        found = os.statvfs(self.path)
        free, every = found.f_bavail * found.f_frsize, found.f_blocks * found.f_frsize
        return FileSystem(_kind(self.path), free, every, bool(found.f_flag & os.ST_RDONLY))

    def files(self) -> Sequence[SiteFile]:
        below = (path for path in sorted(self.path.iterdir()) if path.is_dir() and not path.is_symlink() and os.access(path, os.R_OK | os.X_OK))
        folders = [self.path, *below]
        found = []
        for path in (file for folder in folders for file in sorted(folder.iterdir()) if not file.is_dir()):
            try:
                status = path.lstat()
            except FileNotFoundError:
                continue  # a server works in this folder
            found.append(SiteFile(str(path.relative_to(self.path)), status.st_mode, _user(status.st_uid), int(status.st_mtime * 1000)))
        return found

    def has(self, name: str) -> bool:
        return (self.path / name).exists()

    @property
    def half_made(self) -> Path | None:
        places = (self.path / HALF_MADE, self.path.with_name(f".{self.path.name}{HALF_MADE}"))
        return next((path for path in places if path.exists()), None)


def _user(number: int) -> str:
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return str(number)


def _kind(path: Path) -> str:
    """The kind of the file system of a path; empty if it can't be told."""
    try:
        mounts = [line.split(" ") for line in Path("/proc/self/mounts").read_text().splitlines()]
    except OSError:
        return ""
    text = str(path.resolve())
    holding = [(where, kind) for _, where, kind, *_ in mounts if where == "/" or text == where or text.startswith(f"{where}/")]
    return max(holding, key=lambda mount: len(mount[0]), default=("", ""))[1]


class SiteCertificates:
    """See `operations.doctor.patient.Certificates`."""

    def __init__(self, directory: Path, settings: Settings) -> None:
        self._directory = directory
        self._listen = settings.listen

    @cached_property
    def fault(self) -> BridgeError | None:
        try:
            server_context(self._listen, self._directory)
        except BridgeError as error:
            return error
        return None

    @property
    def is_unreadable(self) -> bool:
        files = [self._directory / name for name in (self._listen.tls_cert_file, self._listen.tls_key_file)]
        return any(path.exists() and not os.access(path, os.R_OK) for path in files)

    @cached_property
    def authority_fault(self) -> BridgeError | None:
        folder = self._directory / CERTIFICATES_NAME
        try:
            if not certificates.is_new(folder):
                certificates.check_authority(folder)
        except BridgeError as error:
            return error
        return None

    @cached_property
    def server(self) -> Certificate | None:
        return self._certificate(Path(self._listen.tls_cert_file))

    @cached_property
    def authority(self) -> Certificate | None:
        return self._certificate(Path(CERTIFICATES_NAME) / certificates.AUTHORITY_FILE)

    @property
    def is_made_here(self) -> bool:
        return is_made_here(self._listen)

    def _certificate(self, file: Path) -> Certificate | None:
        try:
            pem = (self._directory / file).read_bytes()
            found = certificates.describe(pem)
            is_signed = certificates.is_signed_by(pem, (self._directory / CERTIFICATES_NAME / certificates.AUTHORITY_FILE).read_bytes())
        except FileNotFoundError:
            is_signed = False
            if not (self._directory / file).exists():
                return None
        except (OSError, BridgeError):
            return None
        return Certificate(
            file=str(file),
            names=found.names,
            begins_ms=int(found.not_before.timestamp() * 1000),
            ends_ms=int(found.not_after.timestamp() * 1000),
            sha256=found.fingerprint,
            is_of_authority=is_signed,
        )
