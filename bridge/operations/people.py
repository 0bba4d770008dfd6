"""People: who they are, what they may do, and how their logins and their commands prove that they are theirs."""

from __future__ import annotations

from msgspec import Struct

from bridge.errors import Refused
from bridge.operations.people_ports import NewFactor, NewToken, Person, PersonRole, PersonToken
from bridge.operations.ports import SiteContext, SiteReader
from bridge.second_factor import is_secret, step_of


class Issued(Struct, frozen=True, kw_only=True):
    """A token was stored, and until when it is valid."""

    expires_ms: int


async def add(site: SiteContext, name: str, role: PersonRole, people_max: int) -> None:
    """Add a person.

    Raises:
        Refused: if the name is taken or can't be used, or there would be too many.
    """
    now_ms = site.clock.now_ms()
    await site.on_writer(lambda: site.people.add(name, role, now_ms=now_ms, people_max=people_max))


async def edit(site: SiteContext, name: str, role: PersonRole) -> None:
    """Give a person another role. It holds from their next command on.

    Raises:
        NotFound: if there is no such person.
    """
    await site.on_writer(lambda: site.people.edit(name, role))


async def disable(site: SiteContext, name: str, reason: str = "") -> None:
    """Shut a person out. Their password, second factor and tokens are void for good.

    Raises:
        NotFound: if there is no such person.
        Refused: if they are disabled already.
    """
    now_ms = site.clock.now_ms()
    await site.on_writer(lambda: site.people.disable(name, now_ms=now_ms))


async def enable(site: SiteContext, name: str, reason: str = "") -> None:
    """Let a person in again, who needs a new password and new tokens.

    Raises:
        NotFound: if there is no such person.
        Refused: if they are not disabled.
    """
    await site.on_writer(lambda: site.people.enable(name))


async def set_password(site: SiteContext, name: str, password_hash: str) -> None:
    """Replace a person's password, given its hash.

    Raises:
        NotFound: if there is no such person.
        Refused: if they are disabled.
    """
    await site.on_writer(lambda: site.people.set_password(name, password_hash))


async def add_token(site: SiteContext, name: str, token: str, token_sha256: str, valid_ms: int, tokens_max: int) -> Issued:
    """Store a person's new token, given its own name, its SHA-256 (hex), and for how long it is valid.

    Raises:
        NotFound: if there is no such person.
        Refused: if they are disabled, have a token of this name, or would have too many.
    """
    now_ms = site.clock.now_ms()
    new = NewToken(token, token_sha256, now_ms + valid_ms)
    await site.on_writer(lambda: site.people.add_token(name, new, now_ms=now_ms, tokens_max=tokens_max))
    return Issued(expires_ms=new.expires_ms)


async def revoke_token(site: SiteContext, name: str, token: str, reason: str = "") -> None:
    """Revoke a token of a person, by its name.

    Raises:
        NotFound: if there is no such person or token.
    """
    await site.on_writer(lambda: site.people.revoke_token(name, token))


async def set_totp(site: SiteContext, name: str, totp_secret: str, totp_code: str, recovery_sha256: list[str], reason: str = "") -> None:
    """Replace a person's second factor, given its secret (Base32), the present code of it, which is used up, and the SHA-256 (hex) of each recovery code.

    Raises:
        NotFound: if there is no such person.
        Refused: if they are disabled, or the code is not of this secret and moment.
    """
    step = step_of(totp_secret, totp_code, site.clock.phone_ms()) if is_secret(totp_secret) else None
    if step is None:
        raise Refused("this is not the present code of the new secret", fix="type the code that the app shows now; its clock and the server's must be right")
    sealed = site.vault.seal(totp_secret.encode(), about_factor(name))
    now_ms = site.clock.now_ms()
    await site.on_writer(lambda: site.people.set_factor(name, NewFactor(sealed, step, tuple(recovery_sha256)), now_ms=now_ms))


async def remove_totp(site: SiteContext, name: str, reason: str = "") -> None:
    """Take a person's second factor away, with its recovery codes.

    Raises:
        NotFound: if there is no such person, or they have none.
    """
    await site.on_writer(lambda: site.people.remove_factor(name))


def about_factor(name: str) -> bytes:
    """What the sealed secret of a second factor is about."""
    return b"totp\0" + name.encode()


async def list_people(site: SiteReader) -> list[Person]:
    """Everyone, by name."""
    return site.people.everyone()


async def show_person(site: SiteReader, name: str) -> Person:
    """One person.

    Raises:
        NotFound: if there is no such person.
    """
    return site.people.get(name)


async def list_tokens(site: SiteReader, name: str | None = None) -> list[PersonToken]:
    """The tokens of everyone, or of one person.

    Raises:
        NotFound: if there is no such person.
    """
    if name is not None:
        site.people.get(name)
    return site.people.tokens(name)
