"""The control socket: commands that change something reach the running server here, or work in this process where none runs.

One JSON object a line, over a Unix socket with mode 0600: `{"call": name, "with": {…}}` is answered by `{"ok": …}` or
`{"error": …, "fix": …}`. Whoever may open the socket may do everything; the file's mode is the authentication.
"""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import socket
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import delete

from bridge.config import SOCKET_NAME
from bridge.domain.access import Kind, may_send
from bridge.errors import BridgeError, NotFound, Refused
from bridge.ingest.items import Incoming
from bridge.ingest.ports import StoreUnavailable
from bridge.shop_file import derived_event_id
from bridge.store import queries
from bridge.store.sqlite import translated
from bridge.store.tables import quarantine
from devices.protocol import messages
from devices.protocol.vocabulary import Outcome, Role

if TYPE_CHECKING:
    from bridge.app import Application

CONSOLE: Final = "console"
"""The device in whose name the command line speaks."""
LINE_BYTES_MAX: Final = 67_108_864
CALL_EVENTS_MAX: Final = 500
"""Events in one call, so that the server never holds a whole import in memory."""
SOCKET_PATH_MAX: Final = 100
"""Unix socket paths are short (sun_path has 108 bytes); a longer one is reached through the folder's file descriptor."""


class Operations:
    """What can be asked of a site, each with plain arguments and a plain result."""

    def __init__(self, app: Application) -> None:
        self._app = app
        self._log = secrets.token_bytes(8)
        self._seq = 0

    async def call(self, name: str, arguments: dict[str, Any]) -> Any:
        """Do one thing by its name.

        Raises:
            BridgeError: where it can't be done.
        """
        operation: Callable[..., Any] | None = getattr(self, f"do_{name}", None)
        if operation is None:
            raise Refused(f"the server does not know {name!r}", fix="the server is of another version; restart it")
        result = operation(**arguments)
        return await result if asyncio.iscoroutine(result) else result

    # --- devices ----------------------------------------------------------------------------------------------------------

    async def do_device_add(self, device: str, role: str, courier: str | None, orders_prefix: str | None, at: str | None) -> dict[str, Any]:
        now_ms = self._app.clock.now_ms()

        def work() -> str | None:
            return self._app.registry.add(device, Role(role), now_ms=now_ms, courier=courier, orders_prefix=orders_prefix, at=at)

        return {"device": device, "role": role, "secret": await self._app.on_writer(work)}

    async def do_device_rotate(self, device: str, readmit: bool = False) -> dict[str, Any]:
        secret = await self._app.on_writer(lambda: self._app.registry.rotate(device, now_ms=self._app.clock.now_ms(), readmit=readmit))
        self._app.disconnect(device, "its password was changed", end_sessions=False)
        return {"device": device, "secret": secret}

    async def do_device_revoke(self, device: str) -> dict[str, Any]:
        await self._app.on_writer(lambda: self._app.registry.revoke(device, now_ms=self._app.clock.now_ms()))
        self._app.disconnect(device, "the device was revoked", end_sessions=True)
        return {"device": device}

    async def do_device_certificate(self, device: str, sha256: str) -> dict[str, Any]:
        await self._app.on_writer(lambda: self._app.registry.certify(device, sha256))
        self._app.disconnect(device, "it has a new certificate", end_sessions=False)
        return {"device": device, "sha256": sha256}

    def do_certificate_reload(self) -> bool:
        return self._app.reload_certificate()

    def do_connected(self) -> list[str]:
        return sorted(self._app.connected)

    def do_logins(self) -> dict[str, tuple[int, int, str]]:
        return self._app.failed_logins

    def do_counters(self) -> dict[str, int]:
        return self._app.counters

    async def do_channel(self, channel: str) -> None:
        await self._ensure(channel, Role.SYSTEM)

    async def _ensure(self, device: str, role: Role) -> None:
        """Enrol a channel that only this side uses: without a secret, so that nobody can log in as it."""
        known = {d.device: d for d in self._app.registry.list()}.get(device)
        if known is None:
            now_ms = self._app.clock.now_ms()
            await self._app.on_writer(lambda: self._app.registry.add(device, role, now_ms=now_ms, with_secret=False))
        elif known.role is not role:
            raise Refused(f"{device} is enrolled as {known.role}, not as {role}", fix="choose another name for the channel")

    # --- events -----------------------------------------------------------------------------------------------------------

    async def do_submit(self, device: str, events: list[list[str]]) -> list[dict[str, Any]]:
        identity = self._app.registry.identity(device)
        receipts = await self._app.submit(identity, [(kind, bytes.fromhex(payload)) for kind, payload in events])
        return [_plain(r) for r in receipts]

    async def do_tell(self, event_type: str, order: str | None, body: dict[str, Any]) -> dict[str, Any]:
        """One event in the name of the command line."""
        await self._ensure(CONSOLE, Role.DESK)
        self._seq += 1
        now_ms = self._app.clock.now_ms()
        event = {
            "id": derived_event_id(now_ms, secrets.token_hex(16)),
            "log": self._log,
            "seq": self._seq,
            "boot": self._log,
            "mono_ms": now_ms,
            "at_ms": now_ms,
            "sent_boot": self._log,
            "sent_mono_ms": now_ms,
            "body": body,
            **({"order": order} if order is not None else {}),
        }
        (receipt,) = await self._app.submit(self._app.registry.identity(CONSOLE), [(event_type, messages.encode_cbor(event))])
        return _plain(receipt)

    # --- quarantine -------------------------------------------------------------------------------------------------------

    async def do_quarantine_replay(self, no: int) -> dict[str, Any]:
        """Judge a quarantined message again; it leaves quarantine where it is no longer rejected."""
        row = self._quarantined(no)
        identity = self._app.registry.identity(row["device"])
        kind, detail = Kind.EVENTS, None
        if row["event_type"] is None or not (answer := may_send(identity.role, row["event_type"])).allowed:
            kind, detail = Kind.DENIED, "its topic is still not allowed" if row["event_type"] is None else answer.rule
        incoming = Incoming(identity, kind, row["event_type"], row["payload"], self._app.clock.now_ms(), detail)
        receipt = await self._app.offer(incoming)
        if receipt.get("outcome") != Outcome.REJECTED:
            await self.do_quarantine_drop(no)
        return _plain(receipt)

    async def do_quarantine_drop(self, no: int) -> dict[str, Any]:
        self._quarantined(no)

        def work() -> None:
            with translated(), self._app.engine.begin() as connection:
                connection.execute(delete(quarantine).where(quarantine.c.no == no))

        await self._app.on_writer(work)
        return {"no": no}

    def _quarantined(self, no: int) -> dict[str, Any]:
        row = queries.quarantined(self._app.reader, no)
        if row is None:
            raise NotFound(f"there is no entry {no} in quarantine", fix="see them with `dockbridge quarantine list`")
        return row

    # --- database ---------------------------------------------------------------------------------------------------------

    async def do_rebuild(self) -> dict[str, Any]:
        done = await self._app.rebuild()
        return {"events": done.events, "orders": done.orders, "changed": done.changed}


def _plain(receipt: dict[str, Any]) -> dict[str, Any]:
    """A receipt as JSON can hold it: bytes as lowercase hex."""
    plain: dict[str, Any] = json.loads(messages.encode_json(receipt))
    return plain


# --- the server's end -------------------------------------------------------------------------------------------------------


class ControlServer:
    """Listens on a site's control socket."""

    def __init__(self, app: Application) -> None:
        self._operations = Operations(app)
        self._path = app.directory / SOCKET_NAME
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        self._path.unlink(missing_ok=True)
        old = os.umask(0o177)
        try:
            listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            _in_folder(self._path, listener.bind)
        finally:
            os.umask(old)
        listener.setblocking(False)
        self._server = await asyncio.start_unix_server(self._serve, sock=listener, limit=LINE_BYTES_MAX)

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
            self._path.unlink(missing_ok=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while line := await reader.readline():
                writer.write(json.dumps(await self._answer(line)).encode() + b"\n")
                await writer.drain()
        except (ConnectionError, ValueError):
            pass  # the command is gone, or spoke a line without end
        finally:
            writer.close()

    async def _answer(self, line: bytes) -> dict[str, Any]:
        try:
            request = json.loads(line)
            return {"ok": await self._operations.call(request["call"], request["with"])}
        except BridgeError as error:
            return {"error": str(error), "fix": error.fix}
        except StoreUnavailable as error:
            return {"error": f"the database can't take writes: {error}", "fix": error.fix}
        except (ValueError, KeyError, TypeError) as error:
            return {"error": f"the server did not understand the command ({error})", "fix": "use the same version for both"}


def _in_folder(path: Path, use: Callable[[str], Any]) -> None:
    """Bind or connect a Unix socket, also where the path to it is longer than a socket address can hold."""
    if len(os.fsencode(path.absolute())) <= SOCKET_PATH_MAX:
        use(str(path.absolute()))
        return
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        use(f"/proc/self/fd/{folder}/{path.name}")
    finally:
        os.close(folder)


# --- the command's end ------------------------------------------------------------------------------------------------------


class Caller:
    """Calls operations: of the running server, or of a site that is opened here for as long as the caller is."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._socket: socket.socket | None = None
        self._loop: asyncio.Runner | None = None
        self._app: Application | None = None
        self._operations: Operations | None = None

    def __enter__(self) -> Caller:
        try:
            connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            _in_folder(self._directory / SOCKET_NAME, connection.connect)
            self._socket = connection
        except OSError:
            connection.close()
            # Imported here: where a server runs, a command does without everything that a server is made of, and starts in half the time.
            from bridge.app import Application

            self._loop = asyncio.Runner()
            try:
                self._app = self._loop.run(Application.open(self._directory))
            except BaseException:
                self._loop.close()
                raise
            self._operations = Operations(self._app)
        return self

    def __exit__(self, *_: object) -> None:
        if self._socket is not None:
            self._socket.close()
        if self._loop is not None and self._app is not None:
            self._loop.run(self._app.close())
            self._loop.close()

    def call(self, name: str, **arguments: Any) -> Any:
        """Do one thing.

        Raises:
            BridgeError: where it can't be done.
        """
        if self._socket is None:
            assert self._loop is not None
            assert self._operations is not None
            return self._loop.run(self._operations.call(name, arguments))
        self._socket.sendall(json.dumps({"call": name, "with": arguments}).encode() + b"\n")
        line = _read_line(self._socket)
        answer = json.loads(line)
        if "error" in answer:
            raise Refused(answer["error"], fix=answer["fix"])
        return answer["ok"]


def _read_line(connection: socket.socket) -> bytes:
    parts = []
    while True:
        part = connection.recv(1_048_576)
        if not part:
            raise BridgeError("the server went away before it answered", fix="see its log; then try again: nothing is done twice")
        parts.append(part)
        if part.endswith(b"\n"):
            return b"".join(parts)


def ask(directory: Path, name: str) -> Any | None:
    """Ask the running server something; None where none runs.

    Raises:
        BridgeError: where it can't answer.
    """
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        _in_folder(directory / SOCKET_NAME, connection.connect)
    except OSError:
        connection.close()
        return None
    with connection:
        connection.sendall(json.dumps({"call": name, "with": {}}).encode() + b"\n")
        answer = json.loads(_read_line(connection))
    if "error" in answer:
        raise Refused(answer["error"], fix=answer["fix"])
    return answer["ok"]


def call(directory: Path, name: str, **arguments: Any) -> Any:
    """One call; see `Caller`."""
    with Caller(directory) as caller:
        return caller.call(name, **arguments)


__all__ = ["CALL_EVENTS_MAX", "CONSOLE", "Caller", "ControlServer", "Operations", "ask", "call"]
