"""Errors of the simulator. A class's docstring is the sentence that a user reads.

SimError
├── NotReachable     nothing listens at the address
├── NotAdmitted      the bridge refuses a device's credentials
├── NoPassword       a device of the workload has no password here
├── BadCredentials   the credentials file can't be used
├── ServerEnded      the server under torture does not run, or ended by itself
└── ClientFailed     a program that stands for devices ended, or broke its protocol
"""

from __future__ import annotations


class SimError(Exception):
    """Something went wrong in the simulator."""

    def __init__(self, message: str | None = None, *, fix: str | None = None) -> None:
        super().__init__(message or type(self).__doc__)
        self.fix = fix


class NotReachable(SimError):
    """Nobody listens at this address."""


class NotAdmitted(SimError):
    """The bridge refuses a device's credentials."""


class NoPassword(SimError):
    """A device has no password."""


class BadCredentials(SimError):
    """The credentials can't be used."""


class ServerEnded(SimError):
    """The server ended by itself."""


class ClientFailed(SimError):
    """A program that stands for a device failed."""


class BadScenario(SimError):
    """A scenario that can't be read, or that can't be lived through here."""
