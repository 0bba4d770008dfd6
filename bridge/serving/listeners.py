"""The listeners of a site, from its settings."""

from __future__ import annotations

import ssl

from bridge.broker.embedded import Listener, ListenError
from bridge.config import ListenSettings
from bridge.errors import SiteError


def listeners(listen: ListenSettings, tls: ssl.SSLContext | None) -> list[Listener]:
    """Those that have an address."""
    every = (
        Listener(name="mqtt", bind=listen.mqtt),
        Listener(name="mqtts", bind=listen.mqtts, tls=tls),
        Listener(name="ws", bind=listen.websocket, websocket=True),
        Listener(name="wss", bind=listen.wss, websocket=True, tls=tls),
    )
    return [x for x in every if x.bind]


def cant_listen(error: BaseException) -> SiteError:
    """What to raise if a listener can't be opened: names its setting, its address and the reason."""
    while not isinstance(error, ListenError) and error.__cause__ is not None:
        error = error.__cause__
    if not isinstance(error, ListenError):
        return SiteError(f"can't listen: {error}", fix="look at [listen] in bridge.toml")
    setting = f"listen.{'websocket' if error.listener == 'ws' else error.listener}"
    fix = f"end the program that uses that address, or give {setting} another in bridge.toml"
    return SiteError(f"{setting}: can't listen on {error.bind}: {error.reason}", fix=fix)
