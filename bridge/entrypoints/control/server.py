"""The control socket of a running server: commands that change something are carried out here.

A client that can open the socket may call every operation: the mode of the socket's file (0600) is the authentication.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import time
from contextlib import suppress
from pathlib import Path
from typing import Final

from bridge.config import SOCKET_NAME
from bridge.entrypoints.control.users import user_behind
from bridge.entrypoints.control.wire import LINE_BYTES_MAX, at_socket, decode_call, encode_error, encode_progress, encode_result
from bridge.errors import BridgeError, fault_of
from bridge.ingest.ports import StoreUnavailable
from bridge.operations.acts import carry_out
from bridge.operations.ports import OnProgress, SiteContext

logger = logging.getLogger("dockbridge")

_ONLY_OWNER: Final = 0o177
PROGRESS_EVERY_S: Final = 0.2


class ControlServer:
    """Listens on a site's control socket.

    Args:
        site: what operations are carried out on.
        directory: the site's folder.
    """

    def __init__(self, site: SiteContext, directory: Path) -> None:
        self._site = site
        self._path = directory / SOCKET_NAME
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        self._path.unlink(missing_ok=True)
        before = os.umask(_ONLY_OWNER)
        try:
            listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            at_socket(self._path, listener.bind)
        finally:
            os.umask(before)
        listener.setblocking(False)
        self._server = await asyncio.start_unix_server(self._serve, sock=listener, limit=LINE_BYTES_MAX)

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
            self._path.unlink(missing_ok=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # The command has gone away, or its line has no end: there is no one to answer.
        with suppress(ConnectionError, ValueError):
            who = user_behind(writer.get_extra_info("socket"))
            while line := await reader.readline():
                writer.write(await self._answer(line, writer, who))
                await writer.drain()
        writer.close()

    async def _answer(self, line: bytes, writer: asyncio.StreamWriter, who: str) -> bytes:
        try:
            call = decode_call(line)
            if call.has_progress:
                call.arguments["on_progress"] = _reporter(writer)
            return encode_result(await carry_out(self._site, who, call.operation, call.arguments, call.credential))
        except BridgeError as error:
            return encode_error(str(error), error.fix)
        except StoreUnavailable as error:
            return encode_error(f"the database can't take writes: {error}", error.fix)
        except Exception as error:  # noqa: BLE001 -- it fails the command that found it, and no other
            logger.error("a command failed: %s", fault_of(error))
            return encode_error(f"the server failed to carry it out ({type(error).__name__})", "see its log, and report what it says")


def _reporter(writer: asyncio.StreamWriter) -> OnProgress:
    """Write progress to the command now and then. It is called on the thread that does the work."""
    loop = asyncio.get_running_loop()
    reported_s = 0.0

    def report(done: int, total: int) -> None:
        nonlocal reported_s
        if (now_s := time.monotonic()) - reported_s >= PROGRESS_EVERY_S:
            reported_s = now_s
            loop.call_soon_threadsafe(writer.write, encode_progress(done, total))

    return report


__all__ = ["ControlServer"]
