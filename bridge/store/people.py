"""People and their tokens. Every change goes into a file beside the database first, so that no restore lets someone in again who was shut out."""

from __future__ import annotations

import hmac
from typing import NamedTuple

from sqlalchemy import Engine, func, select

from bridge.errors import NotFound, Refused
from bridge.ingest.people import PersonRow, PersonTokenRow
from bridge.operations.people_ports import Credential, NewToken, Person, PersonRole, PersonToken
from bridge.passwords import person_token_digest
from bridge.store.credentials import CredentialsLog, write_person
from bridge.store.fleet import check_name
from bridge.store.sqlite import translated
from bridge.store.tables import people, person_tokens
from bridge.words import counted


class _Stored(NamedTuple):
    """A person with all tokens."""

    row: PersonRow
    tokens: tuple[PersonTokenRow, ...]


class People:
    """The people of one site. Changes use the same engine as all other writes; call them on the writer's thread.

    Args:
        log: keeps every change beside the database; None for a site that is only read.
    """

    def __init__(self, engine: Engine, reader: Engine, log: CredentialsLog | None = None) -> None:
        self._engine = engine
        self._reader = reader
        self._log = log

    # --- reading ----------------------------------------------------------------------------------------------------------

    def everyone(self) -> list[Person]:
        count = select(func.count()).where(person_tokens.c.person == people.c.name).scalar_subquery()
        with translated(), self._reader.connect() as connection:
            rows = connection.execute(select(people, count).order_by(people.c.name)).all()
        return [_person(PersonRow(*row[:-1]), row[-1]) for row in rows]

    def get(self, name: str) -> Person:
        stored = self._stored(name)
        return _person(stored.row, len(stored.tokens))

    def tokens(self, name: str | None = None) -> list[PersonToken]:
        query = select(person_tokens).order_by(person_tokens.c.person, person_tokens.c.name)
        with translated(), self._reader.connect() as connection:
            rows = connection.execute(query if name is None else query.where(person_tokens.c.person == name)).all()
        return [PersonToken(person=r.person, name=r.name, created_ms=r.created_ms, expires_ms=r.expires_ms) for r in rows]

    def proven(self, credential: Credential, *, now_ms: int) -> Person:
        stored = self._find(credential.person)
        if stored is not None and stored.row.disabled_ms is not None:
            raise Refused(f"{credential.person} is disabled", fix=f"`dockbridge people enable {credential.person}` lets them in again")
        digest = person_token_digest(credential.token)
        found = next((t for t in stored.tokens if hmac.compare_digest(t.token_sha256, digest)), None) if stored is not None else None
        fix = f"the owner of the site's folder makes a new one: `dockbridge people token {credential.person}`"
        if stored is None or found is None:
            raise Refused(f"this is not a token of {credential.person}: it is wrong, or it was revoked", fix=fix)
        if found.expires_ms <= now_ms:
            raise Refused(f"token {found.name} of {credential.person} has expired", fix=fix)
        return _person(stored.row, len(stored.tokens))

    def _find(self, name: str) -> _Stored | None:
        tokens = select(person_tokens).where(person_tokens.c.person == name).order_by(person_tokens.c.name)
        with translated(), self._reader.connect() as connection:
            row = connection.execute(select(people).where(people.c.name == name)).one_or_none()
            return _Stored(PersonRow(*row), tuple(PersonTokenRow(*t) for t in connection.execute(tokens))) if row is not None else None

    def _stored(self, name: str) -> _Stored:
        stored = self._find(name)
        if stored is None:
            raise NotFound(f"there is no person {name}", fix="list them with `dockbridge people list`")
        return stored

    # --- changing ---------------------------------------------------------------------------------------------------------

    def add(self, name: str, role: PersonRole, *, now_ms: int, people_max: int) -> None:
        check_name("person", name)
        if self._find(name) is not None:
            raise Refused(f"there is a person {name} already", fix=f"choose another name, or change their role: `dockbridge people edit {name} --role {role}`")
        if len(self.everyone()) >= people_max:
            raise Refused(f"there are {counted(people_max, 'person', 'people')} already, as many as may be", fix="raise people.people_max in bridge.toml")
        self._write(_Stored(PersonRow(name, role.value, None, now_ms, None), ()))

    def edit(self, name: str, role: PersonRole) -> None:
        stored = self._stored(name)
        self._write(stored._replace(row=stored.row._replace(role=role.value)))

    def disable(self, name: str, *, now_ms: int) -> None:
        row = self._enabled(name).row
        self._write(_Stored(row._replace(disabled_ms=now_ms, password_hash=None), ()))

    def enable(self, name: str) -> None:
        stored = self._stored(name)
        if stored.row.disabled_ms is None:
            raise Refused(f"{name} is not disabled", fix="list people with `dockbridge people list`")
        self._write(stored._replace(row=stored.row._replace(disabled_ms=None)))

    def set_password(self, name: str, password_hash: str) -> None:
        stored = self._enabled(name)
        self._write(stored._replace(row=stored.row._replace(password_hash=password_hash)))

    def add_token(self, name: str, token: NewToken, *, now_ms: int, tokens_max: int) -> None:
        stored = self._enabled(name)
        check_name("token", token.name)
        held = tuple(t for t in stored.tokens if t.expires_ms > now_ms)  # the place of one that has expired is free
        if any(t.name == token.name for t in held):
            fix = f"choose another with --name, or revoke it: `dockbridge people revoke-token {name} {token.name}`"
            raise Refused(f"{name} has a token named {token.name} already", fix=fix)
        if len(held) >= tokens_max:
            fix = f"revoke one (`dockbridge people tokens {name}` lists them), or raise people.tokens_max in bridge.toml"
            raise Refused(f"{name} has {counted(tokens_max, 'token')} already, as many as may be", fix=fix)
        self._write(stored._replace(tokens=(*held, PersonTokenRow(name, token.name, token.token_sha256, now_ms, token.expires_ms))))

    def revoke_token(self, name: str, token: str) -> None:
        stored = self._stored(name)
        kept = tuple(t for t in stored.tokens if t.name != token)
        if len(kept) == len(stored.tokens):
            raise NotFound(f"{name} has no token named {token}", fix=f"list them with `dockbridge people tokens {name}`")
        self._write(stored._replace(tokens=kept))

    def _enabled(self, name: str) -> _Stored:
        stored = self._stored(name)
        if stored.row.disabled_ms is not None:
            raise Refused(f"{name} is disabled", fix=f"`dockbridge people enable {name}` lets them in again")
        return stored

    def _write(self, stored: _Stored) -> None:
        person, tokens = stored.row._asdict(), [t._asdict() for t in stored.tokens]
        if self._log is not None:
            self._log.append_person(person, tokens)
        with translated(), self._engine.begin() as connection:
            write_person(connection, person, tokens)


def _person(row: PersonRow, tokens: int) -> Person:
    return Person(
        name=row.name,
        role=PersonRole(row.role),
        created_ms=row.created_ms,
        disabled_ms=row.disabled_ms,
        has_password=row.password_hash is not None,
        tokens=tokens,
    )
