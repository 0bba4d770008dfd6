"""People log in: name, password, and a code of their second factor where one is needed.

Whatever is wrong, the work and the answer are the same, so that a stranger learns neither who there is nor what of a guess was right. The audit log has the
reason, and nothing of what was typed: a name only if it is a person's.
"""

from __future__ import annotations

from functools import cache
from math import ceil
from typing import Final, NamedTuple, NoReturn

from msgspec import Struct

from bridge.errors import BridgeError, Refused
from bridge.ingest.ports import StoreUnavailable
from bridge.operations.login_brake import Slowed, Source, source_of
from bridge.operations.people import about_factor
from bridge.operations.people_ports import Login, PersonRole, UsedCode
from bridge.operations.ports import SiteContext
from bridge.operations.who import WHO
from bridge.second_factor import new_secret, recovery_digest, step_of

ACT: Final = "people.login"
_SERVER: Final = "(server)"
"""Who has a person's login in the audit log, if no user of the operating system asked for it."""
_WRONG: Final = "the login was refused: the name, the password or the code is wrong"
_FIX: Final = "check all three; a code is good once, for a minute, and outside the site's network no login goes without one"


class LoggedIn(Struct, frozen=True, kw_only=True):
    """A person has logged in. `recovery_codes` is how many are left, if one was used, else None."""

    name: str
    role: PersonRole
    recovery_codes: int | None = None


class _Asked(NamedTuple):
    """A login as it was typed, who asks for it, where it comes from, and whether it needs a code."""

    name: str
    password: str
    code: str
    who: str
    source: Source
    needs_code: bool

    def __repr__(self) -> str:
        return "_Asked()"  # what was typed stands in no traceback


class _Checked(NamedTuple):
    """What a check found: the person under this name, the code that is to be used up, and what is wrong, None if nothing is."""

    login: Login | None
    used: UsedCode
    wrong: str | None


async def log_in(site: SiteContext, name: str, password: str, code: str, address: str) -> LoggedIn:
    """Log a person in, from the address of their client (not that of a proxy before the server: everyone would count as inside). `code` is of their second
    factor, or a recovery code; it may be empty where none is needed.

    Raises:
        Refused: if anything is wrong, not saying what; or if too many logins have failed under this name or from this address.
    """
    source = source_of(address)
    name, password, code = (typed.encode(errors="replace").decode() for typed in (name, password, code))  # halves of characters are wrong, and no fault
    asked = _Asked(name, password, code.strip(), WHO.get() or _SERVER, source, site.logins.needs_code(source))
    with site.logins.under_way(source):
        slowed = site.logins.take(name, source, site.clock.now_s())
        if slowed is not None:
            await _refuse(site, asked, slowed)
        try:
            checked = await site.off_loop(lambda: _check(site, asked))
            wrong = await site.on_writer(lambda: _settle(site, asked, checked))
        except StoreUnavailable:
            site.logins.give_back(name, source)  # it was not a guess that failed
            raise
    if checked.login is None or wrong is not None:
        raise Refused(_WRONG, fix=_FIX)
    site.logins.give_back(name, source)
    left = len(checked.login.recovery_sha256) - 1 if checked.used.recovery_sha256 is not None else None
    return LoggedIn(name=checked.login.name, role=checked.login.role, recovery_codes=left)


async def _refuse(site: SiteContext, asked: _Asked, slowed: Slowed) -> NoReturn:
    """Refuse a login without checking it. The audit log has the first such login only: a stranger must not fill the disk with them."""
    if slowed.is_first:
        await site.on_writer(lambda: _note(site, asked, site.people.login(asked.name), "too many logins have failed: the next ones have to wait"))
    raise Refused("too many logins have failed", fix=f"try again in {ceil(slowed.wait_s)} s")


def _check(site: SiteContext, asked: _Asked) -> _Checked:
    """Check all of a login, whatever of it is wrong. Slow on purpose; not on the event loop."""
    from bridge.passwords import matches  # commands that log nobody in start faster without it

    login = site.people.login(asked.name)
    stored = login.password_hash if login is not None and login.is_enabled else None
    is_password = matches(stored or _decoy_hash(), asked.password)
    used, lost = _check_code(site, login, asked.code)
    return _Checked(login, used or UsedCode(), _wrong(login, asked, is_password=is_password, wrong_code=None if used is not None else lost))


def _check_code(site: SiteContext, login: Login | None, code: str) -> tuple[UsedCode | None, str]:
    """(what a code is: of a step of time, or a recovery code; None if it is neither; why it is not)"""
    secret, why = _secret_of(site, login)
    step, digest = step_of(secret or _decoy_secret(), code, site.clock.phone_ms()), recovery_digest(code)
    if secret is not None and step is not None:
        return UsedCode(step=step), ""
    if login is not None and digest in login.recovery_sha256:
        return UsedCode(recovery_sha256=digest), ""
    return None, why


def _secret_of(site: SiteContext, login: Login | None) -> tuple[str | None, str]:
    """(the secret of a person's second factor, None if there is none, or it can't be opened; what is wrong if a code is not of it)"""
    if login is None or login.secret is None:
        return None, "they have no second factor"
    try:
        return site.vault.open(login.secret, about_factor(login.name)).decode(), "the code is wrong"
    except BridgeError as error:
        return None, f"their second factor can't be checked: {error}"


def _wrong(login: Login | None, asked: _Asked, *, is_password: bool, wrong_code: str | None) -> str | None:
    """What is wrong with a login, for the audit log; None if nothing is."""
    if login is None:
        return "there is no such person"
    faults = (
        (not login.is_enabled, "they are disabled"),
        (login.password_hash is None, "they have no password"),
        (not is_password, "the password is wrong"),
        (not asked.code and asked.needs_code, "a code is needed from this address"),
        (bool(asked.code) and wrong_code is not None, wrong_code),
    )
    return next((what for is_so, what in faults if is_so), None)


def _settle(site: SiteContext, asked: _Asked, checked: _Checked) -> str | None:
    """Use up the code, and write what came of the login into the audit log. Returns what is wrong."""
    wrong = checked.wrong
    if wrong is None and checked.login is not None and not site.people.admit(checked.login, checked.used):
        wrong = "the code was used before, or their credentials were changed meanwhile"
    _note(site, asked, checked.login, wrong, with_recovery_code=wrong is None and checked.used.recovery_sha256 is not None)
    return wrong


def _note(site: SiteContext, asked: _Asked, login: Login | None, wrong: str | None, *, with_recovery_code: bool = False) -> None:
    name = login.name if login is not None else None
    site.audit.append(
        at_ms=site.clock.now_ms(),
        who=asked.who,
        person=name if wrong is None else None,
        act=ACT,
        subject=name,
        reason=None,
        details={"address": asked.source.address} | ({"recovery_code": True} if with_recovery_code else {}),
        failed=wrong,
    )


@cache
def _decoy_hash() -> str:
    """A hash that no password has. It costs as much as that of a person."""
    from bridge.passwords import hash_secret, new_secret

    return hash_secret(new_secret())


@cache
def _decoy_secret() -> str:
    return new_secret()
