"""The rows of the people who work with a site, of the tokens with which their commands prove who gives them, and of the second factors of their logins.
Names of people are personal data: they stand in no log line, no topic and no label of a metric."""

from __future__ import annotations

from typing import Final, NamedTuple

from bridge.ingest.relation import Origin, Relation


class PersonRow(NamedTuple):
    """A person. Who is disabled has no password and no tokens."""

    name: str
    role: str
    password_hash: str | None
    created_ms: int
    disabled_ms: int | None


class PersonTokenRow(NamedTuple):
    """A token of a person, which has a name of its own; `token_sha256` is in hex."""

    person: str
    name: str
    token_sha256: str
    created_ms: int
    expires_ms: int


class SecondFactorRow(NamedTuple):
    """The second factor of a person. `secret` is sealed; `last_step` is the step of time whose code was used last: it and those before are void."""

    person: str
    secret: bytes
    created_ms: int
    last_step: int


class RecoveryCodeRow(NamedTuple):
    """A recovery code that was not used; its SHA-256 is in hex."""

    person: str
    code_sha256: str


PEOPLE: Final = Relation(name="people", row=PersonRow, key=("name",), origin=Origin.KEPT, note="people who work with the site")
PERSON_TOKENS: Final = Relation(name="person_tokens", row=PersonTokenRow, key=("person", "name"), origin=Origin.KEPT, note="tokens of people's commands")
SECOND_FACTORS: Final = Relation(name="second_factors", row=SecondFactorRow, key=("person",), origin=Origin.KEPT, note="sealed: second factors of people")
RECOVERY_CODES: Final = Relation(
    name="recovery_codes", row=RecoveryCodeRow, key=("person", "code_sha256"), origin=Origin.KEPT, note="hashes of people's recovery codes"
)
