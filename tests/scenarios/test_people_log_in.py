"""People log in with a password and a code: each code is good once, whatever is wrong gets the same answer, failures slow down, and the second factor outlives
a restore and a kill. None of it is stored in the open, or logged."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import tarfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from signal import SIGKILL
from typing import Any, Final, NamedTuple

import helpers.confirmed_until_killed
import pytest
from argon2 import PasswordHasher
from helpers.events import SITE
from helpers.forked import Forked
from helpers.new_site import new_site
from helpers.shell import Shell
from helpers.site import Site
from helpers.waiting import DEADLINE_S

from bridge import passwords, recovery, second_factor
from bridge.app import ingest_of
from bridge.config import CREDENTIALS_NAME, DATABASE_NAME
from bridge.config_file import parse
from bridge.errors import BridgeError, Refused
from bridge.operations import keys, logins, people
from bridge.operations.acts import Operation, carry_out
from bridge.operations.login_brake import Allowance, LoginBrake, LoginRules, TotpRule
from bridge.operations.people_ports import PersonRole, UsedCode
from bridge.second_factor import code_of, new_recovery_codes, new_secret, recovery_digest, step_at
from bridge.store.credentials import CredentialsLog
from bridge.store.sqlite import open_engine

PASSWORD: Final = "correct horse battery"
QUICK_HASH: Final = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash(PASSWORD)
INSIDE, OUTSIDE = "192.168.1.20", "203.0.113.7"
GENEROUS: Final = LoginRules(TotpRule.OUTSIDE, Allowance(1_000, 1.0), Allowance(1_000, 1.0), remembered_max=100, at_once_max=100)


class Person(NamedTuple):
    """A person with their app and their sheet of recovery codes."""

    name: str
    secret: str
    recovery: list[str]

    def code(self, step: int) -> str:
        return code_of(self.secret, step)


class Hall:
    """A site, with a clock that the test moves: steps of 30 s."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.step = step_at(site.now_ms())
        self.set_up()

    def set_up(self, rules: LoginRules = GENEROUS) -> None:
        """Start with this clock, and nothing that has failed."""
        app = self.site.app
        app.clock = replace(app.clock, wall_ms=lambda: (self.step * second_factor.STEP_S + 11) * 1000)
        app.logins = LoginBrake(rules)

    def act(self, operation: Operation, **arguments: Any) -> Any:
        return self.site.wait_for(carry_out(self.site.app, "root", operation, arguments))

    def add(self, name: str, *, with_factor: bool = True, password_hash: str = QUICK_HASH) -> Person:
        """A new person with a password. The code that confirms a second factor is of the step before."""
        self.act(people.add, name=name, role=PersonRole.DESK, people_max=10)
        self.act(people.set_password, name=name, password_hash=password_hash)
        return self.equip(name) if with_factor else Person(name, new_secret(), [])

    def equip(self, name: str) -> Person:
        """Give a person a new second factor."""
        person = Person(name, new_secret(), new_recovery_codes())
        self.confirm(person, person.code(self.step - 1))
        return person

    def confirm(self, person: Person, code: str) -> None:
        digests = [recovery_digest(recovery) for recovery in person.recovery]
        self.act(people.set_totp, name=person.name, totp_secret=person.secret, totp_code=code, recovery_sha256=digests)

    def log_in(self, name: str, code: str, address: str = OUTSIDE, password: str = PASSWORD) -> logins.LoggedIn:
        done: logins.LoggedIn = self.site.wait_for(logins.log_in(self.site.app, name, password, code, address))
        return done

    def refusal(self, name: str, code: str, address: str = OUTSIDE, password: str = PASSWORD) -> Refused:
        with pytest.raises(Refused) as refused:
            self.log_in(name, code, address, password)
        assert refused.value.fix
        return refused.value

    def last_entry(self) -> Any:
        return list(self.site.app.audit.entries())[-1]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with Site(tmp_path_factory.mktemp("logins") / "site") as site:
        yield site


@pytest.fixture
def hall(served: Site) -> Hall:
    """Nobody is known yet."""
    with closing(sqlite3.connect(served.directory / DATABASE_NAME)) as connection:
        connection.executescript("DELETE FROM people; DELETE FROM second_factors; DELETE FROM recovery_codes")
    return Hall(served)


# --- codes ------------------------------------------------------------------------------------------------------------------


def test_each_code_is_good_once_and_none_from_before_it(hall: Hall) -> None:
    maria = hall.add("maria")
    assert hall.log_in("maria", maria.code(hall.step)).role is PersonRole.DESK
    hall.refusal("maria", maria.code(hall.step))
    assert "was used before" in hall.last_entry().failed
    hall.log_in("maria", maria.code(hall.step + 1))
    hall.step += 1
    hall.refusal("maria", maria.code(hall.step - 1))
    hall.step += 1
    hall.log_in("maria", maria.code(hall.step))


def test_a_code_that_comes_twice_at_once_lets_one_in(hall: Hall) -> None:
    maria = hall.add("maria")

    async def both() -> list[Any]:
        attempts = (logins.log_in(hall.site.app, "maria", PASSWORD, maria.code(hall.step), OUTSIDE) for _ in range(2))
        return await asyncio.gather(*attempts, return_exceptions=True)

    assert sorted(type(done).__name__ for done in hall.site.wait_for(both())) == ["LoggedIn", "Refused"]


def test_the_code_that_confirms_a_second_factor_is_used_up(hall: Hall) -> None:
    maria = hall.add("maria", with_factor=False)
    hall.confirm(maria, maria.code(hall.step))
    hall.refusal("maria", maria.code(hall.step))


def test_each_recovery_code_is_good_once(hall: Hall) -> None:
    maria = hall.add("maria")
    assert hall.log_in("maria", maria.recovery[0]).recovery_codes == 9
    assert hall.last_entry().details == {"address": OUTSIDE, "recovery_code": True}
    hall.refusal("maria", maria.recovery[0])
    assert hall.log_in("maria", maria.recovery[1].lower().replace("-", " ")).recovery_codes == 8
    assert hall.site.app.people.get("maria").recovery_codes == 8


def test_a_new_second_factor_takes_the_place_of_the_old_one_once_a_code_of_it_is_right(hall: Hall) -> None:
    old = hall.add("maria")
    new = Person("maria", new_secret(), new_recovery_codes())
    for wrong in (old.code(hall.step), new.code(hall.step - 5), ""):
        with pytest.raises(Refused, match="this is not the present code of the new secret"):
            hall.confirm(new, wrong)
    hall.log_in("maria", old.code(hall.step))
    hall.confirm(new, new.code(hall.step))
    hall.step += 1
    for void in (old.code(hall.step), old.recovery[0]):
        hall.refusal("maria", void)
    hall.log_in("maria", new.code(hall.step))


def test_a_second_factor_that_was_removed_is_not_asked_for_inside(hall: Hall) -> None:
    maria = hall.add("maria")
    hall.act(people.remove_totp, name="maria", reason="the phone is lost")
    assert hall.last_entry().reason == "the phone is lost"
    hall.log_in("maria", "", INSIDE)
    hall.refusal("maria", maria.recovery[0])
    with pytest.raises(BridgeError, match="maria has no second factor"):
        hall.act(people.remove_totp, name="maria")


def test_the_clock_of_the_system_counts_not_the_one_of_the_log(hall: Hall) -> None:
    """The system's clock was set a day forward since the server has started."""
    maria = hall.add("maria")
    hall.step += 2_880
    hall.log_in("maria", maria.code(hall.step))


# --- refused ----------------------------------------------------------------------------------------------------------------


class Wrong(NamedTuple):
    """A login that is refused, and what the audit log says of it."""

    says: str
    name: str = "maria"
    password: str = PASSWORD
    code: Callable[[Person, int], str] = Person.code
    address: str = OUTSIDE


def no_code(_maria: Person, _step: int) -> str:
    return ""


def wrong_code(maria: Person, step: int) -> str:
    return maria.code(step + 9)


WRONG: Final = (
    Wrong("there is no such person", name="piet"),
    Wrong("there is no such person", name=PASSWORD, password="maria"),
    Wrong("there is no such person", name="maria\ud800"),
    Wrong("the password is wrong", password="correct horse batterx"),
    Wrong("the password is wrong", password="correct horse batterx", code=wrong_code),
    Wrong("the password is wrong", password="correct horse batterx", address=INSIDE),
    Wrong("the password is wrong", password="half a character \ud800"),
    Wrong("the code is wrong", code=wrong_code),
    Wrong("the code is wrong", code=lambda _maria, _step: "\ud800"),
    Wrong("a code is needed from this address", code=no_code),
    Wrong("a code is needed from this address", name="lea", code=no_code),
    Wrong("they have no second factor", name="lea"),
    Wrong("they are disabled", name="vera"),
    Wrong("they have no password", name="kim"),
)


def test_whatever_is_wrong_takes_the_same_path_and_gets_the_same_answer(hall: Hall, monkeypatch: pytest.MonkeyPatch) -> None:
    slow = passwords.hash_secret(PASSWORD)
    maria = hall.add("maria", password_hash=slow)
    for name in ("lea", "vera", "kim"):
        hall.add(name, with_factor=False, password_hash=slow)
    hall.act(people.disable, name="vera")
    hall.act(people.disable, name="kim")
    hall.act(people.enable, name="kim")
    hashed, matches = [], passwords.matches
    monkeypatch.setattr(passwords, "matches", lambda stored, secret: bool(hashed.append(stored.split("$")[3])) or matches(stored, secret))
    answers = set()
    for wrong in WRONG:
        before = hall.last_entry().no
        code = wrong.code(maria, hall.step)
        refused = hall.refusal(wrong.name, code, wrong.address, wrong.password)
        answers.add((str(refused), refused.fix))
        entry = hall.last_entry()
        known = wrong.name if wrong.name in ("maria", "lea", "vera", "kim") else None
        assert (entry.no, entry.act, entry.subject, entry.person, entry.failed) == (before + 1, "people.login", known, None, wrong.says)
        assert entry.details == {"address": wrong.address}
    assert len(answers) == 1
    assert hashed == [hashed[0]] * len(WRONG), "each costs the same work"
    hall.log_in("maria", maria.code(hall.step))
    assert (hall.last_entry().person, hall.last_entry().failed) == ("maria", None)


def test_inside_a_login_goes_without_a_code_unless_the_site_wants_one(hall: Hall) -> None:
    hall.add("maria")
    hall.log_in("maria", "", INSIDE)
    hall.set_up(GENEROUS._replace(totp=TotpRule.ALWAYS))
    hall.refusal("maria", "", INSIDE)
    hall.set_up(GENEROUS._replace(totp=TotpRule.NEVER))
    hall.log_in("maria", "", OUTSIDE)


@pytest.mark.parametrize(
    "change",
    [
        lambda hall: hall.act(people.disable, name="maria"),
        lambda hall: hall.act(people.set_password, name="maria", password_hash="$argon2id$another"),
        lambda hall: hall.act(people.remove_totp, name="maria"),
        lambda hall: hall.equip("maria"),
    ],
    ids=["disabled", "another password", "no second factor", "another second factor"],
)
def test_a_login_is_void_if_what_it_was_checked_against_has_changed_meanwhile(hall: Hall, change: Callable[[Hall], None]) -> None:
    hall.add("maria")
    checked = hall.site.app.people.login("maria")
    assert checked is not None
    assert hall.site.wait_for(hall.site.app.on_writer(lambda: hall.site.app.people.admit(checked, UsedCode())))
    change(hall)
    assert not hall.site.wait_for(hall.site.app.on_writer(lambda: hall.site.app.people.admit(checked, UsedCode())))


def test_a_second_factor_whose_key_is_missing_lets_nobody_in(hall: Hall) -> None:
    maria = hall.add("maria")
    with closing(sqlite3.connect(hall.site.directory / DATABASE_NAME)) as connection, connection:
        connection.execute("UPDATE second_factors SET secret = CAST(substr(secret, 1, 1) || zeroblob(8) || substr(secret, 10) AS BLOB)")
    hall.refusal("maria", maria.code(hall.step))
    assert "their second factor can't be checked: key 0000000000000000 is missing" in hall.last_entry().failed
    assert hall.log_in("maria", maria.recovery[0]).recovery_codes == 9


def test_failures_slow_down_even_those_that_come_at_once(hall: Hall) -> None:
    maria = hall.add("maria")
    hall.set_up(GENEROUS._replace(of_name=Allowance(3, 300.0)))
    before = hall.last_entry().no

    async def many() -> list[Any]:
        attempts = (logins.log_in(hall.site.app, "maria", "wrong password", "", OUTSIDE) for _ in range(10))
        return await asyncio.gather(*attempts, return_exceptions=True)

    said = sorted(str(refused) for refused in hall.site.wait_for(many()))
    assert [s.startswith("the login was refused") for s in said] == [True] * 3 + [False] * 7
    said = [entry.failed for entry in hall.site.app.audit.entries(after=before)]
    assert sorted(said) == ["the password is wrong"] * 3 + ["too many logins have failed: the next ones have to wait"]
    assert hall.refusal("maria", maria.code(hall.step)).fix in ("try again in 300 s", "try again in 299 s")
    hall.log_in("maria", maria.code(hall.step), INSIDE)


# --- what outlives a restore and a kill -------------------------------------------------------------------------------------


def test_second_factors_survive_a_restore_as_they_were_last(tmp_path: Path) -> None:
    with Site(tmp_path / "site") as site:
        hall = Hall(site)
        old, kept, gone = hall.add("maria"), hall.add("lea"), hall.add("vera")
        site.app.database.backup(tmp_path / "backup.db")
        new = hall.equip("maria")
        hall.log_in("lea", kept.recovery[0])
        hall.log_in("lea", kept.code(hall.step))
        hall.act(people.remove_totp, name="vera")
        later = hall.add("piet")
        site.stop()
        restored = recovery.restore(site.directory, tmp_path / "backup.db", ingest_of, lambda _step: None)
        assert sorted(restored.people) == ["lea", "maria", "piet", "vera"]
        site.start()
        hall.set_up()
        hall.refusal("lea", kept.code(hall.step))
        hall.step = step_at(site.now_ms()) + 3
        for name, void in (("maria", old.code(hall.step)), ("lea", kept.recovery[0]), ("vera", gone.code(hall.step))):
            hall.refusal(name, void)
        for person in (new, kept, later):
            hall.log_in(person.name, person.code(hall.step))
        assert hall.log_in("lea", kept.recovery[1]).recovery_codes == 8


@pytest.mark.slow
def test_a_kill_between_the_code_and_the_commit_leaves_the_second_factor_from_before(tmp_path: Path) -> None:
    with Site(tmp_path / "site") as site:
        hall = Hall(site)
        maria = hall.add("maria")
        site.stop()
        new = new_secret()
        process = Forked([helpers.confirmed_until_killed.__file__, site.directory, "maria", new])
        assert process.wait(DEADLINE_S) == -SIGKILL
        process.stdout.close()
        site.start()
        hall.set_up()
        hall.refusal("maria", code_of(new, hall.step))
        hall.log_in("maria", maria.code(hall.step))


def test_second_factors_are_wrapped_with_a_new_key_here_and_in_the_file(hall: Hall, tmp_path: Path) -> None:
    maria, app = hall.add("maria"), hall.site.app
    hall.add("lea", with_factor=False)
    old = app.vault.current.id.hex()
    hall.act(keys.rotate, on_progress=lambda _done, _total: None, reason="a laptop was stolen")
    hall.act(keys.destroy, key=old, reason="a laptop was stolen")
    hall.log_in("maria", maria.code(hall.step))
    app.database.backup(tmp_path / "backup.db")
    engine = open_engine(tmp_path / "backup.db")
    with engine.begin() as connection:
        assert "maria" not in CredentialsLog(hall.site.directory / CREDENTIALS_NAME).apply_people(connection, 0)
    engine.dispose()


# --- nothing stands in the open ---------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_no_secret_of_a_login_is_stored_in_the_open_logged_or_bundled(hall: Hall, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    maria = hall.add("maria")
    code = maria.code(hall.step)
    hall.log_in("maria", code)
    hall.refusal("maria", code)
    hall.log_in("maria", maria.recovery[0])
    bundle = tmp_path / "site.tar.gz"
    Shell(hall.site.directory).attempt("doctor", "--bundle", bundle)
    with closing(sqlite3.connect(hall.site.directory / DATABASE_NAME)) as connection, tarfile.open(bundle) as archive:
        bundled = b"".join(file.read() for member in archive if (file := archive.extractfile(member)) is not None).decode()
        stored = "\n".join(connection.iterdump()) + (hall.site.directory / CREDENTIALS_NAME).read_text()
    audited = repr(list(hall.site.app.audit.entries()))
    told = bundled + audited + caplog.text
    digests = [recovery_digest(recovery) for recovery in maria.recovery]
    plain = [maria.secret, code, PASSWORD, *maria.recovery, *(r.replace("-", "") for r in maria.recovery)]
    assert not [secret for secret in plain if secret in told or (secret in stored and secret != code)]
    assert not [digest for digest in digests if digest in told]


# --- as commands ------------------------------------------------------------------------------------------------------------


class Piped:
    """Standard input that is not a terminal: lines that are known when they are asked for."""

    def __init__(self, *lines: Callable[[], str]) -> None:
        self._lines = list(lines)

    def isatty(self) -> bool:
        return False

    def readline(self) -> str:
        return self._lines.pop(0)() + "\n" if self._lines else ""


@pytest.mark.slow
def test_a_second_factor_as_commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    new_site(tmp_path / "site", parse({"site": {"name": SITE}, "listen": {"mqtt": "127.0.0.1:0"}}))
    shell = Shell(tmp_path / "site")

    def typed(*lines: Callable[[], str]) -> None:
        monkeypatch.setattr("sys.stdin", Piped(*lines))

    made: list[str] = []
    monkeypatch.setattr("bridge.entrypoints.cli.people.new_secret", lambda: made.append(new_secret()) or made[-1])

    def now() -> str:
        return code_of(made[-1], step_at(time.time_ns() // 1_000_000))

    shell("people", "add", "maria", "--role", "desk")
    typed(lambda: PASSWORD)
    shell("people", "password", "maria")
    typed(lambda: "000000")
    failed = shell("people", "totp", "maria", code=1)
    assert "What was shown is void: maria has no second factor." in failed.stderr
    typed(now)
    done = shell("people", "totp", "maria", "--reason", "her first phone")
    assert "otpauth://totp/Dockbridge" in done.stdout
    assert "▀" in done.stdout
    assert made[-1] not in done.stderr
    recovery = done.stdout.splitlines()[-1]
    (listed,) = shell.data("people", "list")
    assert (listed["totp_ms"] is not None, listed["recovery_codes"]) == (True, 10)
    for lines, address, code in ((PASSWORD, "127.0.0.1", 0), (PASSWORD, OUTSIDE, 1), (f"{PASSWORD}\n{recovery}", OUTSIDE, 0)):
        typed(*(lambda line=line: line for line in lines.split("\n")))
        shell("people", "check", "maria", "--from", address, code=code)
    shell("people", "totp", "maria", "--remove", "--reason", "the phone is lost")
    assert [p["totp_ms"] for p in shell.data("people", "list")] == [None]
    shell("people", "totp", "maria", "--remove", code=1)
    shell("people", "totp", "piet", code=1)
    shell("people", "check", "maria", "--from", "home", code=1)
