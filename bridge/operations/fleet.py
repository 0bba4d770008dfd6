"""Changes of the registry, one or many: enrolled, edited, given a new secret or a claim, shut out, removed. They are made whole or not at all."""

from __future__ import annotations

from collections.abc import Sequence, Set
from enum import StrEnum
from typing import Final, NamedTuple, Protocol

from msgspec import Struct

from devices.protocol.vocabulary import Role

ALL_ORDERS: Final = "all"
"""What stands in place of a prefix for a system that serves every order of the site."""


class Action(StrEnum):
    """What is done with a device."""

    ADD = "add"
    EDIT = "edit"
    ROTATE = "rotate"
    CLAIM = "claim"
    REVOKE = "revoke"
    REMOVE = "remove"


class NewClaim(Struct, frozen=True, kw_only=True):
    """A claim to be issued: the SHA-256 of its token (hex), and for how long it can be redeemed, by the server's clock."""

    token_sha256: str
    valid_ms: int


class DeviceChange(Struct, frozen=True, kw_only=True):
    """A change of one device.

    `courier`, `orders` and `at` are as they are typed: `orders` is a prefix or `ALL_ORDERS`. In an edit, None leaves a value as it is, an empty text takes it
    away. `password_hash` is that of a new secret. `readmit` lets a revoked device in again that gets a secret; `revoke` lets a device be removed that was not
    revoked before.
    """

    action: Action
    device: str
    role: Role | None = None
    courier: str | None = None
    orders: str | None = None
    at: str | None = None
    password_hash: str | None = None
    claim: NewClaim | None = None
    readmit: bool = False
    revoke: bool = False


class Fault(NamedTuple):
    """Why a change can't be made: which one of several (from 0), and what to do."""

    nth: int
    text: str
    fix: str | None


class OpenClaim(Struct, frozen=True, kw_only=True):
    """A claim that is not redeemed. `handed` is how often a secret was sent for it that its client has not acknowledged."""

    device: str
    created_ms: int
    expires_ms: int
    handed: int


class ClaimReader(Protocol):
    """The claims that are not redeemed, for reading."""

    def devices(self) -> Set[str]:
        """The devices that have one, expired or not."""
        ...


class Claims(ClaimReader, Protocol):
    """The claims that are not redeemed."""

    def open(self, *, now_ms: int) -> Sequence[OpenClaim]:
        """Those that can be redeemed, by device."""
        ...

    def revoke(self, names: Sequence[str]) -> None:
        """End the claims of devices; call it on the writer's thread."""
        ...
