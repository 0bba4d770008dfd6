"""The one HTTP stack: Starlette on uvicorn, in the server's own event loop. What it serves is handed in as routes.

A client costs little, whatever it does: connections, heads of requests and the time for each are bounded, a connection is for one request, whose body is not
read, and nothing is logged per request.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Self, cast

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute
from uvicorn.protocols.http.h11_impl import H11Protocol

from bridge.addresses import split_address
from bridge.errors import SiteError, fault_of

logger = logging.getLogger("dockbridge.http")

BACKLOG: Final = 128
STOP_S: Final = 1
"""How long a stopping server waits for answers that are under way."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpBounds:
    """What clients may cost; `config/bridge.toml` describes each."""

    connections_max: int
    request_bytes_max: int
    request_timeout_s: float


class HttpServer:
    """Serves routes on an address until `stop`. Make it with `start`."""

    def __init__(self, server: uvicorn.Server, listener: socket.socket, bounds: HttpBounds) -> None:
        self.bounds = bounds
        self._server = server
        self._listener = listener
        self._ticking = asyncio.get_running_loop().create_task(server.main_loop(), name="http")

    @classmethod
    async def start(cls, setting: str, bind: str, routes: Sequence[BaseRoute], bounds: HttpBounds) -> Self:
        """Listen on `bind` (host:port), which is the value of `setting`.

        Raises:
            SiteError: if the address can't be had.
        """
        host, port = split_address(setting, bind)
        try:
            listener = socket.create_server((host, port), backlog=BACKLOG)
        except OSError as error:
            reason = os.strerror(error.errno) if error.errno else str(error)
            fix = f"end the program that uses that address, or give {setting} another in bridge.toml"
            raise SiteError(f"{setting}: can't listen on {bind}: {reason}", fix=fix) from error
        listener.setblocking(False)
        app = Starlette(routes=list(routes), exception_handlers={Exception: _failed})
        app.router.redirect_slashes = False  # it would send a client to whatever host its request names
        config = _Config(app, bounds)
        config.load()
        # Not `Server.serve`: that installs signal handlers, and those are `dockbridge serve`'s own.
        server = uvicorn.Server(config)
        server.lifespan = config.lifespan_class(config)
        await server.startup(sockets=[listener])
        return cls(server, listener, bounds)

    @property
    def address(self) -> tuple[str, int]:
        """The host and port that it listens on."""
        return cast("tuple[str, int]", self._listener.getsockname()[:2])

    async def stop(self) -> None:
        """Close it and its connections. Answers that are under way get `STOP_S`."""
        self._server.should_exit = True
        await self._ticking
        connections = list(self._server.server_state.connections)
        await self._server.shutdown(sockets=[self._listener])
        for connection in connections:
            cast("_Connection", connection).transport.abort()


class _Config(uvicorn.Config):
    """uvicorn's configuration, with our bounds."""

    def __init__(self, app: Starlette, bounds: HttpBounds) -> None:
        super().__init__(
            app,
            http=_Connection,
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            headers=[("connection", "close")],
            timeout_graceful_shutdown=STOP_S,
            h11_max_incomplete_event_size=bounds.request_bytes_max,
        )
        self.bounds = bounds


class _Connection(H11Protocol):
    """A connection that is closed if a request and its answer take too long: uvicorn itself would wait for ever for a client that stops in the middle.

    An answer that is a stream is cut off as well: whoever adds one gives it a deadline of its own.
    """

    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in uvicorn
        super().connection_made(transport)
        if len(self.connections) > self._bounds.connections_max:
            transport.abort()
        else:
            self._set_deadline()

    def on_response_complete(self) -> None:
        self._set_deadline()
        super().on_response_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
        super().connection_lost(exc)

    def _set_deadline(self) -> None:
        """From now on, the client has `request_timeout_s` for a request and for reading what it is answered."""
        if self._deadline is not None:
            self._deadline.cancel()
        self._deadline = self.loop.call_later(self._bounds.request_timeout_s, self.transport.abort)

    @property
    def _bounds(self) -> HttpBounds:
        return cast("_Config", self.config).bounds


async def _failed(request: Request, error: Exception) -> Response:
    logger.error("a request for %s failed: %s", request.url.path, fault_of(error))
    return PlainTextResponse("the server failed to answer; its log says why", status_code=500)
