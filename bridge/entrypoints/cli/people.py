"""`dockbridge people`: who works with the site under their own name, and what they may do."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Final

import typer

from bridge.config import CONFIG_NAME, PeopleSettings
from bridge.config_file import load
from bridge.entrypoints.cli.handing import print_first
from bridge.entrypoints.cli.output import JsonOption, Why, print_json, print_table, say, yes_no
from bridge.entrypoints.cli.reading import SiteOption, read
from bridge.entrypoints.cli.times import TzOption, dated, duration_ms, moment, now_ms, zone_name
from bridge.entrypoints.control.asker import TOKEN
from bridge.entrypoints.control.client import Caller, call
from bridge.errors import BridgeError, Refused
from bridge.ingest.ports import StoreUnavailable
from bridge.operations import logins, people
from bridge.operations.people_ports import MEANING, RIGHTS, Person, PersonRole
from bridge.passwords import hash_secret, new_person_token, person_token_digest
from bridge.second_factor import new_recovery_codes, new_secret, recovery_digest, uri_of
from bridge.words import counted

app = typer.Typer(
    no_args_is_help=True, help="Add people, say what they may do, and give them tokens for commands.\n\nExample: `dockbridge people add maria --role desk`"
)

NameArgument = Annotated[str, typer.Argument(help="The person's name.")]
RoleOption = Annotated[PersonRole, typer.Option(help="What the person is here; `people roles` says what each role may do.")]

_DAY_MS: Final = 86_400_000
CODES_ASKED_MAX: Final = 3
"""How often a code of a new second factor may be typed."""
OWNER: Final = "owner"
"""What `people roles` calls the owner of the site's folder."""


@app.command()
def add(name: NameArgument, role: RoleOption, site: SiteOption = Path()) -> None:
    """Add a person. A token lets them give commands under their own name.

    Example: `dockbridge people add maria --role desk`, then `dockbridge people token maria`
    """
    call(site, people.add, name, role, _limits(site).people_max)
    say(f"{name} is added with the role {role}.\n  next: dockbridge people token {name}")


@app.command(name="list")
def list_(site: SiteOption = Path(), as_json: JsonOption = False, tz: TzOption = None) -> None:
    """List people, with their roles.

    Example: `dockbridge people list`
    """
    found = read(site, people.list_people)
    if as_json:
        print_json(found)
        return
    rows = [(*_who(p), yes_no(p.has_password), yes_no(p.totp_ms is not None), p.recovery_codes, p.tokens) for p in found]
    print_table(("person", "role", dated("added"), "disabled", "password", "second factor", "recovery codes", "tokens"), rows)


@app.command()
def roles(as_json: JsonOption = False) -> None:
    """Print what each role may do. The owner of the site's folder, who gives commands without --as, may do everything.

    Example: `dockbridge people roles`
    """
    if as_json:
        print_json({role: [right for right in MEANING if right in RIGHTS[role]] for role in PersonRole})
        return
    rows = [(MEANING[right], *(_mark(right in RIGHTS[role]) for role in PersonRole), _mark(True)) for right in MEANING]
    print_table(("may", *PersonRole, OWNER), rows)


@app.command()
def edit(name: NameArgument, role: RoleOption, site: SiteOption = Path()) -> None:
    """Give a person another role. It holds from their next command on.

    Example: `dockbridge people edit maria --role lead`
    """
    call(site, people.edit, name, role)
    say(f"{name} has the role {role} now.")


@app.command()
def disable(name: NameArgument, reason: Why = "", site: SiteOption = Path()) -> None:
    """Shut a person out. Their password, second factor and tokens are void for good.

    Example: `dockbridge people disable maria --reason "has left"`
    """
    call(site, people.disable, name, reason)
    say(f"{name} is disabled: their password, second factor and tokens are void.")


@app.command()
def enable(name: NameArgument, reason: Why = "", site: SiteOption = Path()) -> None:
    """Let a disabled person in again. They need a new password and new tokens.

    Example: `dockbridge people enable maria`
    """
    call(site, people.enable, name, reason)
    say(f"{name} is enabled.\n  next: dockbridge people token {name}")


@app.command()
def password(name: NameArgument, site: SiteOption = Path()) -> None:
    """Set a person's password, typed twice, or one line of stdin if that is not a terminal. Commands are given with a token instead.

    Example: `dockbridge people password maria`
    """
    shortest = _limits(site).password_chars_min
    read(site, people.show_person, name)
    typed = typer.prompt("Password", hide_input=True, confirmation_prompt=True, err=True) if sys.stdin.isatty() else sys.stdin.readline().rstrip("\r\n")
    if len(typed) < shortest:
        raise Refused(f"the password has {len(typed)} characters, {shortest} at least", fix="choose a longer one, such as four words that nobody would guess")
    call(site, people.set_password, name, hash_secret(typed))
    say(f"{name} has a new password.")


@app.command()
def totp(
    name: NameArgument,
    remove: Annotated[bool, typer.Option("--remove", help="Take the second factor away, with its recovery codes.")] = False,
    reason: Why = "",
    site: SiteOption = Path(),
    as_json: JsonOption = False,
) -> None:
    """Give a person a second factor: a secret for an app on their phone (TOTP), and ten recovery codes. Both are printed once, here. Once a code of the app is
    typed in (or comes as one line of stdin), it takes the place of the one before.

    Example: `dockbridge people totp maria`, or `dockbridge people totp maria --remove --reason "the phone is lost"`
    """
    if remove:
        call(site, people.remove_totp, name, reason)
        say(f"{name} has no second factor now.")
        return
    before = read(site, people.show_person, name)
    if before.disabled_ms is not None:
        raise Refused(f"{name} is disabled", fix=f"`dockbridge people enable {name}` lets them in again")
    secret, recovery = new_secret(), new_recovery_codes()
    uri = uri_of(secret, load(site / CONFIG_NAME).site.name, name)
    shown = {"person": name, "uri": uri, "recovery_codes": recovery}
    print_first(lambda: print_json(shown) if as_json else _print_factor(uri, recovery))
    with _said_if_void(site, before):
        _confirm(site, name, secret, [recovery_digest(code) for code in recovery], reason)
    say(f"{name} has a new second factor. Keep the recovery codes: they are not shown again, and each is good once.")


@app.command()
def check(
    name: NameArgument,
    address: Annotated[str, typer.Option("--from", help="The address from which the person would log in.")] = "127.0.0.1",
    site: SiteOption = Path(),
    as_json: JsonOption = False,
) -> None:
    """Try whether a person can log in. Password and code are typed, or two lines of stdin. It counts as a login: the code is used up, and failures slow down.

    Example: `dockbridge people check maria --from 203.0.113.7`
    """
    if sys.stdin.isatty():
        password = typer.prompt("Password", hide_input=True, err=True)
        code = typer.prompt("Code (empty: none)", default="", show_default=False, err=True)
    else:
        password, code = (sys.stdin.readline().rstrip("\r\n") for _ in range(2))
    done = call(site, logins.log_in, name, password, code, address)
    if as_json:
        print_json(done)
    left = f" {counted(done.recovery_codes, 'recovery code')} left." if done.recovery_codes is not None else ""
    say(f"{name} can log in, with the role {done.role}.{left}")


@app.command()
def token(
    name: NameArgument,
    valid: Annotated[str | None, typer.Option("--for", help="For how long it is valid, such as 90d.", show_default="people.token_days")] = None,
    own_name: Annotated[str, typer.Option("--name", help="The token's own name, such as that of the machine that it is for.")] = "commands",
    site: SiteOption = Path(),
    as_json: JsonOption = False,
    tz: TzOption = None,
) -> None:
    """Make a token for a person's commands, given with `dockbridge --as NAME`. It is printed once, here.

    Example: `dockbridge people token maria --name laptop --for 30d`
    """
    limits = _limits(site)
    valid_ms = duration_ms(valid, "--for") if valid is not None else limits.token_days * _DAY_MS
    if valid_ms <= 0:
        raise Refused("--for: a token is valid for some time", fix="give it a time, such as 90d")
    made = new_person_token()
    with Caller(site) as caller:
        issued = caller.call(people.add_token, name, own_name, person_token_digest(made), valid_ms, limits.tokens_max)
    shown = {"person": name, "name": own_name, "token": made, "expires_ms": issued.expires_ms}
    print_first(lambda: print_json(shown) if as_json else print(made))
    say(f"Keep it: it is not shown again. It is valid until {moment(issued.expires_ms)} {zone_name()}.\n  use: {TOKEN}=… dockbridge --as {name} …")


@app.command()
def tokens(
    name: Annotated[str | None, typer.Argument(help="Only those of this person.", show_default=False)] = None,
    site: SiteOption = Path(),
    as_json: JsonOption = False,
    tz: TzOption = None,
) -> None:
    """List the tokens of people, without what they are.

    Example: `dockbridge people tokens maria`
    """
    found = read(site, people.list_tokens, name)
    if as_json:
        print_json(found)
        return
    rows = [(t.person, t.name, moment(t.created_ms), moment(t.expires_ms), yes_no(t.expires_ms > now_ms())) for t in found]
    print_table(("person", "token", dated("made"), "expires", "valid"), rows)


@app.command(name="revoke-token")
def revoke_token(
    name: NameArgument,
    own_name: Annotated[str, typer.Argument(metavar="TOKEN", help="The token's own name.")] = "commands",
    reason: Why = "",
    site: SiteOption = Path(),
) -> None:
    """Revoke a token, by its name. The next command that is given with it is refused.

    Example: `dockbridge people revoke-token maria laptop --reason "the laptop is lost"`
    """
    call(site, people.revoke_token, name, own_name, reason)
    say(f"Token {own_name} of {name} is revoked.")


def _print_factor(uri: str, recovery: Sequence[str]) -> None:
    from bridge.claim_cards import terminal_code

    print("\n".join((terminal_code(uri, colours=sys.stdout.isatty()), uri, "", *recovery)))


def _confirm(site: Path, name: str, secret: str, recovery_sha256: list[str], reason: str) -> None:
    """Ask for a code, and store the second factor once one is right. In a terminal, a wrong one may be typed again."""
    for left in reversed(range(CODES_ASKED_MAX if sys.stdin.isatty() else 1)):
        code = typer.prompt("Code that the app shows", err=True) if sys.stdin.isatty() else sys.stdin.readline()
        try:
            call(site, people.set_totp, name, secret, code.strip(), recovery_sha256, reason)
        except Refused as error:
            if not left:
                raise
            say(f"{error}: {error.fix}")
        else:
            return


@contextmanager
def _said_if_void(site: Path, before: Person) -> Iterator[None]:
    """Store a second factor inside the block, after it was shown. If the block fails, it is said what holds now."""
    try:
        yield
    except BaseException:
        try:
            now = read(site, people.show_person, before.name)
        except (BridgeError, StoreUnavailable):
            say("It is not known whether it was stored: keep what was shown until `dockbridge people list` shows it.")
            raise
        if now.totp_ms != before.totp_ms:
            say("It was stored, although the command did not end well: what was shown is valid.")
        else:
            holds = "the second factor from before still holds" if before.totp_ms is not None else f"{now.name} has no second factor"
            say(f"What was shown is void: {holds}.")
        raise


def _who(person: Person) -> tuple[str, str, str, str]:
    return person.name, person.role, moment(person.created_ms), moment(person.disabled_ms)


def _limits(site: Path) -> PeopleSettings:
    return load(site / CONFIG_NAME).people


def _mark(may: bool) -> str:
    return "yes" if may else "-"
