"""Dockbridge: the scans of a warehouse and its couriers become the state of every order."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("dockbridge")
except PackageNotFoundError:  # run from a checkout that is not installed
    __version__ = "0+unknown"
