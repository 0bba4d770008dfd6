"""Redeem a claim: a device that has only the text of its QR code finds out whether it talks to the right server, and gets its password, once.

The password is in the store before it is acknowledged. Until then the same claim brings another one, so that a lost connection costs nothing.
"""

from __future__ import annotations

import hashlib
import json
import os
import socket
import ssl
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from devices.errors import ClaimRefused, ClaimStoreError, InvalidClaim, ServerNotReached, WrongServer
from devices.protocol.bridge_messages import Credentials
from devices.protocol.claims import Claim, parse_claim
from devices.protocol.encoding import PayloadError, decode
from devices.protocol.topics import Topics

TIMEOUT_S: Final = 30.0
TURN_S: Final = 0.2
_BAD_CREDENTIALS: Final = (134, 135)
"""CONNACK 4 and 5, as paho names them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Redeemed:
    """What a device needs to connect. `ca` is the certificate of the site's authority (PEM); None if the system's authorities are trusted."""

    site: str
    device: str
    password: str = field(repr=False)
    host: str
    port: int
    tls: bool
    ca: str | None = None

    def context(self) -> ssl.SSLContext | None:
        return ssl.create_default_context(cadata=self.ca) if self.tls else None

    def settings(self, store: str | Path) -> dict[str, Any]:
        """The keywords of `Scanner` and `Courier` for a device whose claim was redeemed into this store."""
        where = {"site": self.site, "device": self.device, "password": self.password, "host": self.host, "port": self.port, "tls": self.tls}
        return where | ({"ca_file": _ca_file(Path(store))} if self.ca is not None else {})


def redeem(claim: str, store: str | Path, *, timeout_s: float = TIMEOUT_S) -> Redeemed:
    """Redeem a claim into a file that only its owner may read, and log in with what it brought. Called again with the same store, it logs in again, and redeems
    the claim only if that fails.

    Raises:
        InvalidClaim: the text is not a claim.
        WrongServer: the server is not the one that the claim is of. Nothing was said to it.
        ClaimRefused: the claim was redeemed, has expired or was withdrawn; or somebody else redeems it at this moment.
        ServerNotReached: no address of the claim answers.
        ClaimStoreError: the file can't be written or read.
    """
    try:
        wanted = parse_claim(claim)
    except ValueError as error:
        raise InvalidClaim(str(error)) from None  # the cause would show the token
    path, ends_s = Path(store), time.monotonic() + timeout_s
    known = stored(path)
    if known is not None and _is_of(known, wanted) and _logs_in(known, ends_s):
        return known
    _check_writable(path)
    why: list[str] = []
    foreign: WrongServer | None = None
    for host, port in wanted.addresses:
        try:
            redeemed = _redeem_at(wanted, host, port, path, ends_s)
            break
        except WrongServer as error:
            foreign = error  # another program may have the port of one address; the site's own may have that of the next
        except (OSError, _Lost) as error:
            why.append(f"{host}:{port}: {error}")
    else:
        raise foreign or ServerNotReached("; ".join(why))
    if not _logs_in(redeemed, ends_s):
        raise ClaimRefused("another device has redeemed this claim at the same moment: make a new one")
    return redeemed


def _is_of(known: Redeemed, wanted: Claim) -> bool:
    """Whether a store is of the device and the server of a claim, as they are now."""
    is_there = (known.site, known.device, known.tls) == (wanted.site, wanted.device, wanted.tls) and (known.host, known.port) in wanted.addresses
    if known.ca is None:
        return is_there and not wanted.fingerprint
    return is_there and wanted.accepts(hashlib.sha256(ssl.PEM_cert_to_DER_cert(known.ca)).digest())


def stored(store: str | Path) -> Redeemed | None:
    """What a claim has brought; None if there is no such file.

    Raises:
        ClaimStoreError: the file can't be read.
    """
    try:
        return Redeemed(**json.loads(Path(store).read_text()))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError) as error:
        raise ClaimStoreError(f"{store}: {error}") from error


class _Lost(Exception):
    """The connection ended, or nothing came in time."""


class _Refused(Exception):
    """The server does not take the credentials."""


def _redeem_at(claim: Claim, host: str, port: int, store: Path, ends_s: float) -> Redeemed:
    ca = _authority(claim, host, port, ends_s) if claim.fingerprint else None
    context = ssl.create_default_context(cadata=ca) if claim.tls else None
    topic = Topics(claim.site).credentials(claim.device)
    came: list[mqtt.MQTTMessage] = []
    granted: list[bool] = []
    client = _client(claim.username, claim.token, f"claim-{os.urandom(6).hex()}", context)
    client.on_message = lambda _client, _data, message: came.append(message)
    client.on_subscribe = lambda _client, _data, _mid, reasons, _properties: granted.append(not reasons[0].is_failure)
    try:
        _connect(client, host, port, ends_s)
        client.subscribe(topic, 1)
        _turn_until(client, lambda: bool(came) or granted == [False], ends_s)
        if not came:
            raise ClaimRefused(f"the server does not let this claim read {topic}")
        redeemed = _read(bytes(came[0].payload), claim, host, port, ca)
        _write(store, redeemed)
        client.ack(came[0].mid, 1)
        client.disconnect()
    except _Refused:
        raise ClaimRefused("it was redeemed, has expired, or was withdrawn") from None
    finally:
        _free(client)
    return redeemed


def _read(payload: bytes, claim: Claim, host: str, port: int, ca: str | None) -> Redeemed:
    try:
        said = decode(payload, Credentials)
    except PayloadError as error:
        raise _Lost(f"the answer can't be read: {error}") from error
    if (said.site, said.device) != (claim.site, claim.device):
        raise _Lost("the answer is about another device")
    return Redeemed(site=said.site, device=said.device, password=said.password, host=host, port=port, tls=claim.tls, ca=ca)


def _logs_in(redeemed: Redeemed, ends_s: float) -> bool:
    """Whether the server takes the password.

    Raises:
        ServerNotReached: it does not answer.
    """
    client = _client(redeemed.device, redeemed.password, f"redeemed-{os.urandom(6).hex()}", redeemed.context())
    try:
        _connect(client, redeemed.host, redeemed.port, ends_s)
        client.disconnect()
    except _Refused:
        return False
    except (OSError, _Lost) as error:
        raise ServerNotReached(f"{redeemed.host}:{redeemed.port}: {error}; run it again with the same claim and store") from error
    finally:
        _free(client)
    return True


# --- the right server ---------------------------------------------------------------------------------------------------------


def _authority(claim: Claim, host: str, port: int, ends_s: float) -> str:
    """The certificate (PEM) with the claim's fingerprint among those that the server shows. Nothing is said to the server on this connection."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with socket.create_connection((host, port), _left_s(ends_s)) as plain, context.wrap_socket(plain, server_hostname=host) as connection:
        chain = _chain(connection)
    for certificate in chain:
        if claim.accepts(hashlib.sha256(certificate).digest()):
            return ssl.DER_cert_to_PEM_cert(certificate)
    raise WrongServer(f"{host}:{port}")


def _chain(connection: ssl.SSLSocket) -> list[bytes]:
    """The certificates that a server shows (DER). Python has this since 3.13, and before that under a private name."""
    public = getattr(connection, "get_unverified_chain", None)
    if public is not None:
        return [bytes(certificate) for certificate in public()]
    shown: Any = getattr(connection, "_sslobj").get_unverified_chain() or []  # noqa: B009 -- a private name
    return [ssl.PEM_cert_to_DER_cert(certificate.public_bytes()) for certificate in shown]


# --- MQTT ---------------------------------------------------------------------------------------------------------------------


def _client(username: str, password: str, client_id: str, context: ssl.SSLContext | None) -> mqtt.Client:
    client = mqtt.Client(
        CallbackAPIVersion.VERSION2, client_id=client_id, clean_session=True, protocol=mqtt.MQTTv311, reconnect_on_failure=False, manual_ack=True
    )
    client.username_pw_set(username, password)
    if context is not None:
        client.tls_set_context(context)
    return client


def _connect(client: mqtt.Client, host: str, port: int, ends_s: float) -> None:
    """Raises:
    _Refused: the server does not take the credentials.
    OSError, _Lost: it can't be reached.
    """
    answers: list[Any] = []
    client.on_connect = lambda _client, _data, _flags, reason, _properties: answers.append(reason)
    client.connect_timeout = _left_s(ends_s)
    client.connect(host, port)
    _turn_until(client, lambda: bool(answers), ends_s)
    if answers[0].is_failure:
        raise _Refused if answers[0].value in _BAD_CREDENTIALS else _Lost(str(answers[0]))


def _turn_until(client: mqtt.Client, is_done: Callable[[], bool], ends_s: float) -> None:
    while not is_done():
        if client.loop(min(TURN_S, _left_s(ends_s))) != mqtt.MQTT_ERR_SUCCESS and not is_done():
            raise _Lost("the server closed the connection")


def _left_s(ends_s: float) -> float:
    left_s = ends_s - time.monotonic()
    if left_s <= 0:
        raise _Lost("no answer in time")
    return left_s


def _free(client: mqtt.Client) -> None:
    """Close what is left open, once what was written is on its way."""
    ends_s = time.monotonic() + TURN_S
    while client.socket() is not None and client.want_write() and time.monotonic() < ends_s:
        client.loop_write()
    left_open = client.socket()
    if left_open is not None:
        left_open.close()


# --- the store ----------------------------------------------------------------------------------------------------------------


def _write(store: Path, redeemed: Redeemed) -> None:
    """Durable, or as before."""
    try:
        if redeemed.ca is not None:
            _replace(_ca_file(store), redeemed.ca.encode())
        _replace(store, json.dumps(asdict(redeemed), indent=2).encode())
        folder = os.open(store.absolute().parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        raise ClaimStoreError(f"{store}: {error.strerror}") from error


def _check_writable(store: Path) -> None:
    """Make sure that there is a place for the password, before the server makes one."""
    part = store.with_name(f"{store.name}.part")
    try:
        part.touch(mode=0o600)
        part.unlink()
    except OSError as error:
        raise ClaimStoreError(f"{store}: {error.strerror}") from error


def _replace(path: Path, data: bytes) -> None:
    part = path.with_name(f"{path.name}.part")
    part.unlink(missing_ok=True)
    with open(part, "xb", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)


def _ca_file(store: Path) -> Path:
    return store.with_name(f"{store.name}.ca.pem")
