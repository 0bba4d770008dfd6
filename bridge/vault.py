"""The site's keys: what is sealed with them, and the folder in which they lie.

The folder is outside the site's own, and in no backup: a stolen copy of the database, or of a backup, says nothing about a customer. A sealed part is

    version (1 byte) · id of the site's key (8) · nonce (12) · the part's own key, wrapped (48) · what is sealed

Both are AES-256-GCM (NIST SP 800-38D). The part's own key is random and used once, so its nonce is zero; it is wrapped with the site's key under a random
nonce. `keys rotate` wraps the parts' keys anew, without opening what they seal.
"""

from __future__ import annotations

import base64
import hmac
import json
import os
import secrets
from collections.abc import Callable, Sequence
from functools import cached_property
from hashlib import blake2b, sha256
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple, Self

from bridge.durable import replace_file, sync_folder
from bridge.errors import SiteError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    from bridge.config import Settings

VERSION: Final = b"\x01"
KEY_BYTES: Final = 32
ID_BYTES: Final = 8
NONCE_BYTES: Final = 12
MAC_BYTES: Final = 16
_WRAPPED_BYTES: Final = KEY_BYTES + 16
_ZERO: Final = bytes(NONCE_BYTES)
_HEAD: Final = 1 + ID_BYTES
_BODY: Final = _HEAD + NONCE_BYTES + _WRAPPED_BYTES
SUFFIX: Final = ".key"
FOLDER_MODE: Final = 0o700
KEY_MODE: Final = 0o600

_DAMAGED: Final = "restore a backup; `dockbridge db check` compares the rest"
_FROM_SHEET: Final = "type the key in from its recovery sheet: `dockbridge keys restore`"

RandomBytes = Callable[[int], bytes]


class SealError(SiteError):
    """Sealed data can't be opened."""


class KeyMissing(SealError):
    """The key is missing with which this was sealed."""


class SiteKey(NamedTuple):
    """A key of the site. `backed_up_ms` is when its recovery sheet was made, 0 if none was."""

    id: bytes
    site: str
    key: bytes
    created_ms: int
    backed_up_ms: int = 0

    def __repr__(self) -> str:
        return f"SiteKey(id={self.id.hex()})"  # the key stands in no traceback


class Vault:
    """Seals with the newest of a site's keys, and opens with each of them. It may be used from any thread.

    Args:
        keys: reads the site's keys, the oldest first, when the first one is needed.
    """

    def __init__(self, keys: Callable[[], Sequence[SiteKey]], random_bytes: RandomBytes = secrets.token_bytes) -> None:
        self._read_keys = keys
        self._known: dict[bytes, SiteKey] = {}
        self._random_bytes = random_bytes

    @cached_property
    def keys(self) -> tuple[SiteKey, ...]:
        """All of them, the oldest first. A key that was read once is used until the end, also if its file is lost meanwhile."""
        for key in self._read_keys():
            self._known[key.id] = key
        return tuple(sorted(self._known.values(), key=lambda key: (key.created_ms, key.id)))

    @property
    def current(self) -> SiteKey:
        """The newest, with which is sealed.

        Raises:
            KeyMissing: if there is none.
        """
        if not self.keys:
            raise KeyMissing("this site has no key", fix=_FROM_SHEET)
        return self.keys[-1]

    def forget(self, key_id: bytes) -> None:
        """Use a key no more: it was destroyed."""
        self._known.pop(key_id, None)
        self.reload()

    def reload(self) -> None:
        """Read the keys again, when one is needed: one was made, or put back."""
        for name in ("keys", "_boxes", "_box", "_head", "_begun", "_all_begun"):
            self.__dict__.pop(name, None)

    @cached_property
    def _boxes(self) -> dict[bytes, AESGCM]:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # most commands open nothing, and start faster without it

        return {key.id: AESGCM(key.key) for key in self.keys}

    @cached_property
    def _box(self) -> AESGCM:
        return self._boxes[self.current.id]

    @cached_property
    def _head(self) -> bytes:
        return VERSION + self.current.id

    @cached_property
    def _begun(self) -> blake2b:
        return _begun(self.current)

    @cached_property
    def _all_begun(self) -> list[blake2b]:
        return [_begun(key) for key in reversed(self.keys)]

    def seal(self, plain: bytes, about: bytes) -> bytes:
        """Seal something, under a key of its own; it can only be opened again as being about the same."""
        fresh = self._random_bytes(KEY_BYTES + NONCE_BYTES)
        own, nonce = fresh[:KEY_BYTES], fresh[KEY_BYTES:]
        return b"".join((self._head, nonce, self._box.encrypt(nonce, own, self._head), type(self._box)(own).encrypt(_ZERO, plain, about)))

    def open(self, sealed: bytes, about: bytes) -> bytes:
        """Open something that was sealed with one of the site's keys.

        Raises:
            KeyMissing: if the key that it was sealed with is not here.
            SealError: if it is damaged, or about something else.
        """
        own = self._own_key(sealed)
        try:
            return type(self._box)(own).decrypt(_ZERO, sealed[_BODY:], about)
        except _invalid_tag():
            raise SealError("sealed data is damaged", fix=_DAMAGED) from None

    def wrap_anew(self, sealed: bytes) -> bytes:
        """The same sealed part, its own key wrapped with the newest of the site's keys.

        Raises:
            KeyMissing: if the key that it was sealed with is not here.
        """
        if sealed.startswith(self._head):
            return sealed
        nonce = self._random_bytes(NONCE_BYTES)
        return b"".join((self._head, nonce, self._box.encrypt(nonce, self._own_key(sealed), self._head), sealed[_BODY:]))

    def draw(self, count: int) -> bytes:
        """See `ingest.sealing.Sealer`."""
        return self._random_bytes(count)

    def mac(self, plain: bytes) -> bytes:
        """See `ingest.sealing.Recogniser`."""
        return _mac(self._begun, plain)

    def macs(self, plain: bytes) -> list[bytes]:
        """See `ingest.sealing.Recogniser`."""
        return [_mac(begun, plain) for begun in self._all_begun]

    def _own_key(self, sealed: bytes) -> bytes:
        if len(sealed) < _BODY or sealed[:1] != VERSION:
            raise SealError("this is not sealed data", fix=_DAMAGED)
        head, nonce = sealed[:_HEAD], sealed[_HEAD : _HEAD + NONCE_BYTES]
        box = self._boxes.get(head[1:])
        if box is None:
            raise KeyMissing(
                f"key {head[1:].hex()} is missing, with which this was sealed", fix="type it in from its recovery sheet: `dockbridge keys restore`"
            )
        try:
            return box.decrypt(nonce, sealed[_HEAD + NONCE_BYTES : _BODY], head)
        except _invalid_tag():
            raise SealError("sealed data is damaged", fix=_DAMAGED) from None


def _begun(key: SiteKey) -> blake2b:
    """What every MAC with a key begins with: keyed BLAKE2b (RFC 7693, section 2.9), of all MACs the one that costs each contact the least."""
    return blake2b(digest_size=MAC_BYTES, key=hmac.digest(key.key, b"dockbridge: recognise", sha256))


def _mac(begun: blake2b, plain: bytes) -> bytes:
    mac = begun.copy()
    mac.update(plain)
    return mac.digest()


def lasting_part(sealed: bytes) -> bytes:
    """What of a sealed part stays the same when its key is wrapped anew."""
    return sealed[_BODY:]


def key_part(sealed: bytes) -> bytes:
    """The wrapped key of a sealed part. Without it, nobody can open it any more."""
    return sealed[_HEAD + NONCE_BYTES : _BODY]


def _invalid_tag() -> type[Exception]:
    from cryptography.exceptions import InvalidTag

    return InvalidTag


def folder_of_keys(directory: Path, setting: str) -> Path:
    """Where a site's keys are: outside its folder, whatever the setting says.

    Raises:
        SiteError: if the setting names a folder inside the site's.
    """
    directory = directory.resolve()
    folder = (directory.parent / setting).resolve() if setting else directory.with_name(f"{directory.name}.keys")
    if folder.is_relative_to(directory):
        raise SiteError(f"privacy.keys_folder is inside the site's folder: {folder}", fix="choose one outside: a copy of the site must not hold its keys")
    return folder


def open_vault(folder: KeyFolder, now_ms: int) -> Vault:
    """The vault of a site that is opened for writing; its first key is made now.

    Raises:
        SiteError: if the keys can't be read, or a key can't be written.
    """
    if not folder.keys():
        folder.make(now_ms=now_ms)
    vault = Vault(folder.keys)
    assert vault.keys  # they are read now: a server goes on without their folder
    return vault


class KeyFolder:
    """The folder of a site's keys: a file for each, named after its id.

    Raises:
        SiteError: from every method, if the folder or a file can't be used.
    """

    def __init__(self, path: Path, site: str) -> None:
        self.path = path
        self._site = site

    @classmethod
    def of(cls, directory: Path, settings: Settings) -> Self:
        """That of the site in a folder."""
        return cls(folder_of_keys(directory, settings.privacy.keys_folder), settings.site.name)

    def keys(self) -> list[SiteKey]:
        """The site's keys, the oldest first; none if there is no folder yet."""
        try:
            files = sorted(self.path.glob(f"*{SUFFIX}")) if self.path.is_dir() else []
            found = [_read_key(file) for file in files]
        except OSError as error:
            raise SiteError(f"{self.path} can't be read: {error.strerror}", fix="give the keys to the user who runs the server") from error
        return sorted((key for key in found if key.site == self._site), key=lambda key: (key.created_ms, key.id))

    def make(self, *, now_ms: int, random_bytes: RandomBytes = secrets.token_bytes) -> SiteKey:
        """Make a new key, newer than all others. It is on the disk when this returns."""
        created_ms = max([now_ms, *(key.created_ms + 1 for key in self.keys())])
        key = SiteKey(random_bytes(ID_BYTES), self._site, random_bytes(KEY_BYTES), created_ms)
        self.put(key)
        return key

    def put(self, key: SiteKey) -> None:
        """Write a key, in the place of the same key if it is there."""
        plain = {"key": base64.b64encode(key.key).decode(), "site": key.site, "created_ms": key.created_ms, "backed_up_ms": key.backed_up_ms}
        path = self.path / f"{key.id.hex()}{SUFFIX}"
        try:
            self.path.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
            replace_file(path, json.dumps(plain).encode("ascii"), KEY_MODE)
            sync_folder(self.path)
        except OSError as error:
            fix = "let the user who runs the server write there, or choose another folder with privacy.keys_folder"
            raise SiteError(f"the site's key can't be written to {self.path}: {error.strerror}", fix=fix) from error

    def destroy(self, key_id: bytes) -> None:
        """Overwrite a key, and remove its file."""
        path = self.path / f"{key_id.hex()}{SUFFIX}"
        try:
            with path.open("r+b") as file:
                file.write(bytes(path.stat().st_size))
                os.fsync(file.fileno())
            path.unlink()
            sync_folder(self.path)
        except OSError as error:
            raise SiteError(f"{path} can't be removed: {error.strerror}", fix="remove it by hand") from error


def _read_key(path: Path) -> SiteKey:
    try:
        plain = json.loads(path.read_text(encoding="ascii"))
        key_id, key = bytes.fromhex(path.stem), base64.b64decode(plain["key"], validate=True)
        if len(key) != KEY_BYTES or len(key_id) != ID_BYTES:
            raise ValueError("a key has another length")
        return SiteKey(key_id, plain["site"], key, int(plain["created_ms"]), int(plain["backed_up_ms"]))
    except (ValueError, KeyError, TypeError) as error:
        raise SiteError(f"{path} is not a key", fix=f"put the file back as it was, or {_FROM_SHEET}") from error
