"""Errors of the bridge. A class's docstring is the sentence that a user reads; facts are attributes.

BridgeError
├── ConfigError          a setting is wrong; names it, with the fix
├── SiteError            a site's folder can't be used as it is
│   ├── SiteInUse        another process serves it
│   └── NoSite           the folder is not a site
├── NotFound             a device, order, job or entry does not exist
├── Refused              a request can't be carried out, with its reason
└── StoreError           the database is damaged, or newer than this program
"""

from __future__ import annotations

from pathlib import Path
from traceback import extract_tb
from typing import Final


class BridgeError(Exception):
    """Something went wrong in the bridge."""

    def __init__(self, message: str | None = None, *, fix: str | None = None) -> None:
        super().__init__(message or type(self).__doc__)
        self.fix = fix


class ConfigError(BridgeError):
    """A setting in the configuration is wrong."""


class SiteError(BridgeError):
    """The site's folder can't be used."""


class SiteInUse(SiteError):
    """Another process serves this site."""


class NoSite(SiteError):
    """The folder is not a site."""


class NotFound(BridgeError):
    """It does not exist."""


class Refused(BridgeError):
    """The request can't be carried out."""


class StoreError(BridgeError):
    """This program can't use the database."""


FRAMES_MAX: Final = 4


def fault_of(error: BaseException) -> str:
    """Which kind of error it is and where it was raised, the innermost place first. Its text stays out of logs: it may quote what a client sent."""
    places = [f"{Path(frame.filename).name}:{frame.lineno}" for frame in reversed(extract_tb(error.__traceback__)[-FRAMES_MAX:])]
    return f"{type(error).__name__} at {' < '.join(places) or 'an unknown place'}"
