"""People, their tokens and their second factors. Every change goes into a file beside the database first, so that no restore lets someone in again who was
shut out."""

from __future__ import annotations

import hmac
from collections.abc import Callable
from contextlib import suppress
from typing import NamedTuple

from sqlalchemy import Engine, func, select, update

from bridge.errors import NotFound, Refused
from bridge.ingest.people import PersonRow, PersonTokenRow, RecoveryCodeRow, SecondFactorRow
from bridge.operations.people_ports import Credential, Login, NewFactor, NewToken, Person, PersonRole, PersonToken, UsedCode
from bridge.passwords import person_token_digest
from bridge.store.credentials import CredentialsLog, PersonRows, factor_as_text, write_person
from bridge.store.fleet import check_name
from bridge.store.sqlite import translated
from bridge.store.tables import people, person_tokens, recovery_codes, second_factors
from bridge.vault import SealError
from bridge.words import counted


class _Stored(NamedTuple):
    """A person with all that belongs to them."""

    row: PersonRow
    tokens: tuple[PersonTokenRow, ...] = ()
    factor: SecondFactorRow | None = None
    recovery: tuple[RecoveryCodeRow, ...] = ()


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
        tokens, recovery = (select(func.count()).where(t.c.person == people.c.name).scalar_subquery() for t in (person_tokens, recovery_codes))
        since = select(second_factors.c.created_ms).where(second_factors.c.person == people.c.name).scalar_subquery()
        with translated(), self._reader.connect() as connection:
            rows = connection.execute(select(people, tokens, since, recovery).order_by(people.c.name)).all()
        return [_person(PersonRow(*row[:-3]), *row[-3:]) for row in rows]

    def get(self, name: str) -> Person:
        return _person_of(self._stored(name))

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
        return _person_of(stored)

    def login(self, name: str) -> Login | None:
        stored = self._find(name)
        return _login_of(stored) if stored is not None else None

    def _find(self, name: str) -> _Stored | None:
        tokens = select(person_tokens).where(person_tokens.c.person == name).order_by(person_tokens.c.name)
        factor = select(second_factors).where(second_factors.c.person == name)
        recovery = select(recovery_codes).where(recovery_codes.c.person == name).order_by(recovery_codes.c.code_sha256)
        with translated(), self._reader.connect() as connection:
            row = connection.execute(select(people).where(people.c.name == name)).one_or_none()
            if row is None:
                return None
            found = connection.execute(factor).one_or_none()
            return _Stored(
                PersonRow(*row),
                tuple(PersonTokenRow(*t) for t in connection.execute(tokens)),
                SecondFactorRow(*found) if found is not None else None,
                tuple(RecoveryCodeRow(*r) for r in connection.execute(recovery)),
            )

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
        self._write(_Stored(PersonRow(name, role.value, None, now_ms, None)))

    def edit(self, name: str, role: PersonRole) -> None:
        stored = self._stored(name)
        self._write(stored._replace(row=stored.row._replace(role=role.value)))

    def disable(self, name: str, *, now_ms: int) -> None:
        row = self._enabled(name).row
        self._write(_Stored(row._replace(disabled_ms=now_ms, password_hash=None)))

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

    def set_factor(self, name: str, factor: NewFactor, *, now_ms: int) -> None:
        stored = self._enabled(name)
        recovery = tuple(RecoveryCodeRow(name, digest) for digest in sorted(set(factor.recovery_sha256)))
        self._write(stored._replace(factor=SecondFactorRow(name, factor.secret, now_ms, factor.step), recovery=recovery))

    def remove_factor(self, name: str) -> None:
        stored = self._stored(name)
        if stored.factor is None:
            raise NotFound(f"{name} has no second factor", fix=f"make one with `dockbridge people totp {name}`")
        self._write(stored._replace(factor=None, recovery=()))

    def wrap_factors_anew(self, wrap: Callable[[bytes], bytes], *, rows_max: int) -> int:
        """Wrap the keys of some second factors with the site's newest key, here and in the file; not those whose key is missing. Returns how many."""
        changed = 0
        for person in self.everyone():
            stored = self._stored(person.name)
            with suppress(SealError):
                if changed < rows_max and stored.factor is not None and (secret := wrap(stored.factor.secret)) != stored.factor.secret:
                    self._write(stored._replace(factor=stored.factor._replace(secret=secret)))
                    changed += 1
        return changed

    def admit(self, login: Login, code: UsedCode) -> bool:
        stored = self._find(login.name)
        now = _login_of(stored) if stored is not None else None
        if stored is None or now is None or not now.is_enabled or (now.password_hash, now.secret) != (login.password_hash, login.secret):
            return False
        if code.step is not None:
            return now.last_step < code.step and self._use_step(login.name, code.step)
        if code.recovery_sha256 is not None:
            left = tuple(r for r in stored.recovery if r.code_sha256 != code.recovery_sha256)
            if len(left) == len(stored.recovery):
                return False
            self._write(stored._replace(recovery=left))
        return True

    def _use_step(self, name: str, step: int) -> bool:
        """Not in the file: after a restore no code from before is good, and the file does not grow with each login."""
        with translated(), self._engine.begin() as connection:
            connection.execute(update(second_factors).where(second_factors.c.person == name).values(last_step=step))
        return True

    def _enabled(self, name: str) -> _Stored:
        stored = self._stored(name)
        if stored.row.disabled_ms is not None:
            raise Refused(f"{name} is disabled", fix=f"`dockbridge people enable {name}` lets them in again")
        return stored

    def _write(self, stored: _Stored) -> None:
        rows = PersonRows(
            stored.row._asdict(),
            [t._asdict() for t in stored.tokens],
            factor_as_text(stored.factor) if stored.factor is not None else None,
            [r._asdict() for r in stored.recovery],
        )
        if self._log is not None:
            self._log.append_person(rows)
        with translated(), self._engine.begin() as connection:
            write_person(connection, rows)


def _login_of(stored: _Stored) -> Login:
    row, factor = stored.row, stored.factor
    return Login(
        name=row.name,
        role=PersonRole(row.role),
        is_enabled=row.disabled_ms is None,
        password_hash=row.password_hash,
        secret=factor.secret if factor is not None else None,
        last_step=factor.last_step if factor is not None else 0,
        recovery_sha256=frozenset(r.code_sha256 for r in stored.recovery),
    )


def _person_of(stored: _Stored) -> Person:
    return _person(stored.row, len(stored.tokens), stored.factor.created_ms if stored.factor is not None else None, len(stored.recovery))


def _person(row: PersonRow, tokens: int, totp_ms: int | None, recovery_codes: int) -> Person:
    return Person(
        name=row.name,
        role=PersonRole(row.role),
        created_ms=row.created_ms,
        disabled_ms=row.disabled_ms,
        has_password=row.password_hash is not None,
        totp_ms=totp_ms,
        recovery_codes=recovery_codes,
        tokens=tokens,
    )
