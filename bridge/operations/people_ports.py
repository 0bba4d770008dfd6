"""People, what they may do by their role, and what operations need of the store of them."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final, NamedTuple, Protocol

from msgspec import Struct


class PersonRole(StrEnum):
    """What a person is for the site."""

    VIEWER = "viewer"
    DESK = "desk"
    LEAD = "lead"
    PRIVACY = "privacy"


class Right(StrEnum):
    """Something that a role may do or not."""

    LOOK = "look"
    WORK = "work"
    LIFT_GUARDED = "lift_guarded"
    MOVED_LABELS = "moved_labels"
    DEVICES = "devices"
    MEND = "mend"
    CONTACTS = "contacts"
    POSITIONS = "positions"
    WORKERS = "workers"
    EXPOSED = "exposed"
    AUDIT = "audit"
    FORGET = "forget"
    OWN = "own"


MEANING: Final[Mapping[Right, str]] = {
    Right.LOOK: "see what the server does and holds",
    Right.WORK: "act on orders, jobs and alerts, import orders",
    Right.LIFT_GUARDED: "lift holds for fraud, payment, chargeback and customs, and take back holds",
    Right.MOVED_LABELS: "acknowledge and silence alerts about labels that were moved",
    Right.DEVICES: "enrol devices, change them and shut them out",
    Right.MEND: "import articles and places, and replay, fix and drop messages in quarantine",
    Right.CONTACTS: "see who gets an order, and notes about it",
    Right.POSITIONS: "see when couriers were at places",
    Right.WORKERS: "see which worker did what, and name workers and couriers",
    Right.EXPOSED: "see what a lost phone could hold",
    Right.AUDIT: "read the audit log",
    Right.FORGET: "forget people, and export what is stored about them",
    Right.OWN: "change people, the server and the database",
}
"""What each right allows, in the order in which it is printed."""

_DESK: Final = frozenset({Right.LOOK, Right.WORK, Right.CONTACTS, Right.POSITIONS})

RIGHTS: Final[Mapping[PersonRole, frozenset[Right]]] = {
    PersonRole.VIEWER: frozenset({Right.LOOK}),
    PersonRole.DESK: _DESK,
    PersonRole.LEAD: _DESK | {Right.LIFT_GUARDED, Right.MOVED_LABELS, Right.DEVICES, Right.MEND, Right.AUDIT, Right.WORKERS, Right.EXPOSED},
    PersonRole.PRIVACY: frozenset({Right.LOOK, Right.CONTACTS, Right.AUDIT, Right.FORGET, Right.EXPOSED}),
}
"""What each role may do. The owner of the site's folder, who gives commands without a person's name, may do everything."""


class Person(Struct, frozen=True, kw_only=True):
    """Someone who works with the site. `tokens` counts those of their commands, expired ones included; `totp_ms` is since when they have a second factor, None
    if they have none, and `recovery_codes` how many of its recovery codes were not used."""

    name: str
    role: PersonRole
    created_ms: int
    disabled_ms: int | None
    has_password: bool
    totp_ms: int | None
    recovery_codes: int
    tokens: int


class PersonToken(Struct, frozen=True, kw_only=True):
    """What is known of a token: not the token itself."""

    person: str
    name: str
    created_ms: int
    expires_ms: int


class Credential(Struct, frozen=True, kw_only=True):
    """Whose command it is, and the token that proves it."""

    person: str
    token: str

    def __repr__(self) -> str:
        return f"Credential(person={self.person!r})"  # a token stands in no traceback


class NewToken(NamedTuple):
    """A token to be stored: its name, its SHA-256 (hex), and until when it is valid."""

    name: str
    token_sha256: str
    expires_ms: int


class NewFactor(NamedTuple):
    """A second factor to be stored: its secret (sealed), the step of time of the code that confirmed it, the SHA-256 (hex) of each recovery code."""

    secret: bytes
    step: int
    recovery_sha256: tuple[str, ...]


class Login(NamedTuple):
    """What a person's login is checked against. `secret` is that of their second factor, sealed."""

    name: str
    role: PersonRole
    is_enabled: bool
    password_hash: str | None
    secret: bytes | None
    last_step: int
    recovery_sha256: frozenset[str]

    def __repr__(self) -> str:
        return f"Login(name={self.name!r})"  # no hash stands in a traceback


class UsedCode(NamedTuple):
    """The code that came with a login: one of a step of time, or a recovery code. Both are None if none was needed."""

    step: int | None = None
    recovery_sha256: str | None = None


class PeopleReader(Protocol):
    """The people of a site, for reading."""

    def everyone(self) -> list[Person]:
        """All of them, by name."""
        ...

    def get(self, name: str) -> Person:
        """Raises:
        NotFound: if there is no such person.
        """
        ...

    def tokens(self, name: str | None = None) -> list[PersonToken]:
        """The tokens of everyone, or of one person."""
        ...

    def proven(self, credential: Credential, *, now_ms: int) -> Person:
        """The person whom a token proves.

        Raises:
            Refused: if it is wrong, revoked or expired, or the person is disabled.
        """
        ...

    def login(self, name: str) -> Login | None:
        """What a login under this name is checked against; None if there is no such person."""
        ...


class People(PeopleReader, Protocol):
    """The people of a site, for changing on the writer's thread.

    Raises:
        NotFound: if there is no such person or token.
        Refused: if a change can't be made, and why.
    """

    def add(self, name: str, role: PersonRole, *, now_ms: int, people_max: int) -> None: ...

    def edit(self, name: str, role: PersonRole) -> None: ...

    def disable(self, name: str, *, now_ms: int) -> None:
        """Shut a person out. Their password and tokens are void for good."""
        ...

    def enable(self, name: str) -> None:
        """Let a person in again, who needs a new password and new tokens."""
        ...

    def set_password(self, name: str, password_hash: str) -> None: ...

    def add_token(self, name: str, token: NewToken, *, now_ms: int, tokens_max: int) -> None: ...

    def revoke_token(self, name: str, token: str) -> None: ...

    def set_factor(self, name: str, factor: NewFactor, *, now_ms: int) -> None:
        """Replace a person's second factor, and all its recovery codes."""
        ...

    def remove_factor(self, name: str) -> None: ...

    def admit(self, login: Login, code: UsedCode) -> bool:
        """Let a person in whose login was checked, and use up the code. Returns False if the code was used, or their credentials were changed, meanwhile."""
        ...
