"""Errors of the bridge. A class's docstring is the sentence that a user reads; facts are attributes.

BridgeError
├── ConfigError          a setting that is wrong, with its name and the fix
├── SiteError            a site's folder that can't be used as it is
│   ├── SiteInUse        another process serves it
│   └── NoSite           there is none
├── NotFound             a device, order, job or entry that does not exist
├── Refused              a request that can't be carried out, with its reason
└── StoreError           the database is damaged, or newer than this program
"""

from __future__ import annotations


class BridgeError(Exception):
    """Something went wrong in the bridge."""

    def __init__(self, message: str | None = None, *, fix: str | None = None) -> None:
        super().__init__(message or type(self).__doc__)
        self.fix = fix


class ConfigError(BridgeError):
    """The configuration has a setting that can't be used."""


class SiteError(BridgeError):
    """The site's folder can't be used."""


class SiteInUse(SiteError):
    """Another process serves this site."""


class NoSite(SiteError):
    """There is no site here."""


class NotFound(BridgeError):
    """There is no such thing."""


class Refused(BridgeError):
    """The request can't be carried out."""


class StoreError(BridgeError):
    """The database can't be used by this program."""
