"""A site as a service of systemd: its unit is written, removed, and compared with what it should be. Nothing here starts or stops the server."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

from msgspec import Struct

from bridge.config import CONFIG_NAME
from bridge.config_file import load
from bridge.errors import NoSite, Refused, SiteError
from bridge.service_unit import Unit, unit_of

BOOTED: Final = Path("/run/systemd/system")
"""Exists if systemd runs (sd_booted(3))."""
SYSTEMCTL_S: Final = 10.0


class ServiceState(Struct, frozen=True, kw_only=True):
    """A site's service: its unit, whether that is the one that `install` would write now, and what systemd says (None if it does not run)."""

    unit: str
    file: str
    is_installed: bool
    is_current: bool
    active: str | None
    enabled: str | None


def make_unit(directory: Path, user: str | None, *, is_for_here: bool = True) -> Unit:
    """The unit of a site.

    Args:
        user: who runs the server; the owner of the folder if it is None.
        is_for_here: whether the unit is for this machine: then the user must be there, and own the site.

    Raises:
        NoSite, ConfigError: if there is no site, or its configuration is wrong.
        Refused: if the server can't run so.
    """
    if not (directory / CONFIG_NAME).exists():
        raise NoSite(f"{directory} is not a site", fix=f"make one with `dockbridge init {directory}`")
    settings = load(directory / CONFIG_NAME)
    owner = _name(directory.stat().st_uid)
    if user is None:
        if directory.stat().st_uid == 0:
            raise Refused(f"{directory} belongs to root, and the server needs no rights of root", fix=_new_user("dockbridge", directory))
        user = owner
    if is_for_here:
        _check_user(user, owner, directory)
    return unit_of(settings, directory, user, _program())


def install(unit: Unit, folder: Path) -> bool:
    """Write a unit. Returns False if it is there already.

    Raises:
        Refused: if there is another unit of this name.
        SiteError: if the folder can't be written.
    """
    path = folder / unit.name
    there = _read(path)
    if there == unit.text:
        return False
    if there is not None and there.splitlines()[:1] != unit.text.splitlines()[:1]:
        raise Refused(f"{path} is not the unit of this site: it begins with {there.splitlines()[:1]}", fix="move it away, or name the site differently")
    part = path.with_name(f".{path.name}.part")
    try:
        part.write_text(unit.text, encoding="utf-8")
        part.chmod(0o644)
        part.replace(path)
    except OSError as error:
        raise SiteError(f"{path} can't be written: {error.strerror}", fix="run this command with sudo, or write what --print prints there yourself") from error
    return True


def uninstall(unit: Unit, folder: Path) -> bool:
    """Remove the unit of a site. Returns False if there is none.

    Raises:
        Refused: if the service runs, or the unit is not of this site.
        SiteError: if the folder can't be written.
    """
    path = folder / unit.name
    there = _read(path)
    if there is None:
        return False
    if there.splitlines()[:1] != unit.text.splitlines()[:1]:
        raise Refused(f"{path} is not the unit of this site", fix="remove it yourself if you know what it is for")
    if _systemctl("is-active", unit.name) == "active":
        raise Refused(f"{unit.name} is running", fix=f"stop it first: sudo systemctl disable --now {unit.name}")
    try:
        path.unlink()
    except OSError as error:
        raise SiteError(f"{path} can't be removed: {error.strerror}", fix="run this command with sudo") from error
    return True


def state_of(unit: Unit, folder: Path) -> ServiceState:
    """How a site's service stands."""
    there = _read(folder / unit.name)
    return ServiceState(
        unit=unit.name,
        file=str(folder / unit.name),
        is_installed=there is not None,
        is_current=there == unit.text,
        active=_systemctl("is-active", unit.name),
        enabled=_systemctl("is-enabled", unit.name),
    )


def user_in(unit: Unit, folder: Path) -> str | None:
    """The user in the unit that is installed under this name; None if there is none."""
    lines = (_read(folder / unit.name) or "").splitlines()
    return next((line.removeprefix("User=") for line in lines if line.startswith("User=")), None)


def _check_user(user: str, owner: str, directory: Path) -> None:
    try:
        pwd.getpwnam(user)
    except KeyError:
        raise Refused(f"there is no user {user} on this machine", fix=_new_user(user, directory)) from None
    if user != owner:
        raise Refused(f"{directory} belongs to {owner}, not to {user}", fix=f"sudo chown -R {user}: {directory} {directory}.keys; then run this again")


def _new_user(user: str, directory: Path) -> str:
    make = f"sudo useradd --system --home-dir {directory} --shell /usr/sbin/nologin {user} && sudo chown -R {user}: {directory} {directory}.keys"
    return f"{make}; then run this again with --user {user}"


def _program() -> list[str]:
    """`dockbridge` of this environment, so that an upgrade of it is one of the service."""
    script = Path(sys.executable).with_name("dockbridge")
    return [str(script)] if os.access(script, os.X_OK) else [sys.executable, "-m", "bridge.entrypoints.cli.main"]


def _read(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    except OSError as error:
        raise SiteError(f"{path} can't be read: {error.strerror}", fix="run this command with sudo") from error


def _systemctl(question: str, unit: str) -> str | None:
    """systemd's answer, such as active or enabled; None if it does not run."""
    program = shutil.which("systemctl")
    if program is None or not BOOTED.is_dir():
        return None
    done = subprocess.run([program, question, unit], capture_output=True, text=True, timeout=SYSTEMCTL_S, check=False)  # noqa: S603 -- no shell
    return done.stdout.strip() or "unknown"


def _name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"


__all__ = ["ServiceState", "install", "make_unit", "state_of", "uninstall", "user_in"]
