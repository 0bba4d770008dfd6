"""How a command calls operations: on the running server, or in this process if none runs."""

from __future__ import annotations

import asyncio
import inspect
import socket
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, Self, TypeVar

from bridge.config import SOCKET_NAME
from bridge.entrypoints.control.asker import credential
from bridge.entrypoints.control.users import own_user
from bridge.entrypoints.control.wire import Progress, at_socket, decode_answer, encode_call, progress_of
from bridge.errors import BridgeError, Refused
from bridge.operations.acts import carry_out
from bridge.operations.people_ports import Credential
from bridge.operations.ports import SiteContext

if TYPE_CHECKING:
    from bridge.app import Application

P = ParamSpec("P")
R = TypeVar("R")


class Caller:
    """Calls operations of one site, in the name of a person if the command has `--as`. Use it as a context manager: it is connected to the server, or has the
    site open, inside the block.

    Raises:
        NoSite: if there is no site in the folder.
        Refused: if `--as` comes without a token that can be used.
        SiteError: if no server runs and the site can't be opened.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._credential = credential()
        self._socket: socket.socket | None = None
        self._runner: asyncio.Runner | None = None
        self._app: Application | None = None
        self._life = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as life:
            self._socket = _connected(self._directory)
            if self._socket is not None:
                life.enter_context(self._socket)
            else:
                self._runner = runner = life.enter_context(asyncio.Runner())
                self._app = app = runner.run(_open(self._directory))
                life.callback(lambda: runner.run(app.close()))
            self._life = life.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._life.close()

    @property
    def is_remote(self) -> bool:
        """Whether operations are carried out by the server: then this process can do something else meanwhile."""
        return self._socket is not None

    def hang_up(self) -> None:
        """End the connection to the server at once: a call that waits for its answer fails."""
        if self._socket is not None:
            self._socket.shutdown(socket.SHUT_RDWR)

    def call(self, operation: Callable[Concatenate[SiteContext, P], Awaitable[R]], *args: P.args, **kwargs: P.kwargs) -> R:
        """Carry out an operation.

        Raises:
            BridgeError: if it can't be carried out.
        """
        if self._socket is not None:
            return _ask(self._socket, self._credential, operation, *args, **kwargs)
        assert self._runner is not None
        assert self._app is not None
        arguments = inspect.signature(operation).bind(self._app, *args, **kwargs).arguments
        result: R = self._runner.run(carry_out(self._app, own_user(), operation, dict(list(arguments.items())[1:]), self._credential))
        return result


def call(directory: Path, operation: Callable[Concatenate[SiteContext, P], Awaitable[R]], *args: P.args, **kwargs: P.kwargs) -> R:
    """Carry out one operation; see `Caller`."""
    with Caller(directory) as caller:
        return caller.call(operation, *args, **kwargs)


def ask(directory: Path, operation: Callable[Concatenate[SiteContext, P], Awaitable[R]], *args: P.args, **kwargs: P.kwargs) -> R | None:
    """Carry out an operation on the running server, in the name of a person if the command has `--as`. Returns None if none runs.

    Raises:
        BridgeError: if it can't be carried out.
    """
    connection = _connected(directory)
    if connection is None:
        return None
    with connection:
        return _ask(connection, credential(), operation, *args, **kwargs)


async def _open(directory: Path) -> Application:
    # Imported here: while a server runs, a command does without everything that a server is made of, and starts in half the time.
    from bridge.app import Application

    return await Application.open(directory)


def _connected(directory: Path) -> socket.socket | None:
    """A connection to the running server; None if none runs.

    Raises:
        Refused: if the server is another user's.
    """
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        at_socket(directory / SOCKET_NAME, connection.connect)
    except PermissionError as error:
        connection.close()
        raise Refused(
            f"{directory / SOCKET_NAME} is the server's, and {own_user()} may not use it",
            fix="run the command as the owner of the site's folder, with sudo -u NAME",
        ) from error
    except OSError:
        connection.close()
        return None
    return connection


def _ask(connection: socket.socket, credential: Credential | None, operation: Callable[..., Awaitable[R]], *args: Any, **kwargs: Any) -> R:
    try:
        result: R = _answered(connection, credential, operation, *args, **kwargs)
    except ConnectionError as error:
        fix = "see its log, then run the command again: nothing is done twice"
        raise BridgeError("the server ended the connection before it answered", fix=fix) from error
    return result


def _answered(connection: socket.socket, credential: Credential | None, operation: Callable[..., Awaitable[R]], *args: Any, **kwargs: Any) -> R:
    """The server's answer.

    Raises:
        ConnectionError: if the server ended the connection first.
    """
    connection.sendall(encode_call(credential, operation, *args, **kwargs))
    on_progress = progress_of(operation, *args, **kwargs)
    with connection.makefile("rb") as lines:
        while (line := lines.readline()).endswith(b"\n"):
            answer = decode_answer(line, operation)
            if not isinstance(answer, Progress):
                result: R = answer
                return result
            if on_progress is not None:
                on_progress(*answer)
    raise ConnectionError("the connection has ended")


__all__ = ["Caller", "ask", "call"]
