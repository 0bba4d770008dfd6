"""The codes of a second factor, and the brake on logins that fail: the vectors of RFC 6238, clocks that differ, and who has to wait how long."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import parse_qs, unquote, urlsplit

import pytest

from bridge.errors import Refused
from bridge.operations.login_brake import Allowance, LoginBrake, LoginRules, TotpRule, source_of
from bridge.second_factor import DRIFT_STEPS, RECOVERY_CODES, STEP_S, code_of, is_secret, new_recovery_codes, new_secret, recovery_digest, step_of, uri_of

SECRET: Final = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"
VECTORS: Final = {
    59: "94287082",
    1_111_111_109: "07081804",
    1_111_111_111: "14050471",
    1_234_567_890: "89005924",
    2_000_000_000: "69279037",
    20_000_000_000: "65353130",
}
"""RFC 6238, appendix B, SHA-1: seconds → code of 8 digits."""


def code_at(at_s: int) -> str:
    return code_of(SECRET, at_s // STEP_S)


@pytest.mark.parametrize(("at_s", "code"), VECTORS.items())
def test_the_vectors_of_the_standard(at_s: int, code: str) -> None:
    """A code of 6 digits is the end of one of 8 (RFC 4226 §5.3)."""
    assert step_of(SECRET, code[-6:], at_s * 1000) == at_s // STEP_S


@pytest.mark.parametrize("late", range(-3, 4))
def test_a_code_is_good_one_step_before_its_time_and_one_after(late: int) -> None:
    now_s = 1_111_111_111
    found = step_of(SECRET, code_at(now_s), (now_s + late * STEP_S) * 1000)
    assert found == (now_s // STEP_S if abs(late) <= DRIFT_STEPS else None)


@pytest.mark.parametrize("typed", ["{} {}", "{}-{}", " {}{} ", "{}\t{}"])
def test_a_code_may_be_typed_in_groups(typed: str) -> None:
    code = code_at(59)
    assert step_of(SECRET, typed.format(code[:3], code[3:]), 59_000) == 1


@pytest.mark.parametrize("typed", ["", "0", "94287082", "二八七〇八二", "٢٨٧٠٨٢", "x" * 100_000, "287082\0"])
def test_anything_else_is_no_code(typed: str) -> None:
    assert step_of(SECRET, typed, 59_000) is None


def test_what_an_app_reads() -> None:
    read = urlsplit(uri_of(SECRET, "north+south", "maria"))
    assert (read.scheme, read.netloc, unquote(read.path)) == ("otpauth", "totp", "/Dockbridge north+south:maria")
    assert parse_qs(read.query) == {
        "secret": [SECRET],
        "issuer": ["Dockbridge north+south"],
        "digits": ["6"],
        "period": ["30"],
        "algorithm": ["SHA1"],
    }
    assert "+" not in read.query, "some apps show it as it is"


def test_secrets_and_recovery_codes_are_random_and_long() -> None:
    assert is_secret(new_secret())
    assert new_secret() != new_secret()
    assert not any(map(is_secret, ("", "GEZDGNBV", SECRET.lower(), SECRET + SECRET, "é")))
    codes = new_recovery_codes()
    assert len(set(codes)) == RECOVERY_CODES
    assert all(re.fullmatch("[A-Z2-7]{4}(-[A-Z2-7]{4}){3}", code) for code in codes)
    assert recovery_digest(codes[0].lower().replace("-", " ")) == recovery_digest(codes[0])


# --- who needs a code -------------------------------------------------------------------------------------------------------

INSIDE: Final = (
    *("10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", "127.0.0.1", "127.8.8.8"),
    *("::1", "fc00::1", "fdff::1", "::ffff:10.1.1.1", "fd00::1%eth0"),
)
OUTSIDE: Final = (
    *("9.255.255.255", "11.0.0.1", "172.15.255.255", "172.32.0.0", "192.167.1.1", "203.0.113.7", "169.254.1.1", "100.64.0.1", "0.0.0.0"),
    *("2001:db8::1", "fe80::1", "::", "fe00::1", "::ffff:203.0.113.7"),
)


def rules(totp: TotpRule = TotpRule.OUTSIDE, *, of_name: int = 3, of_address: int = 5, remembered_max: int = 100) -> LoginRules:
    return LoginRules(totp, Allowance(of_name, 60.0), Allowance(of_address, 10.0), remembered_max, at_once_max=2)


@pytest.mark.parametrize("totp", TotpRule)
def test_from_where_a_login_needs_a_code(totp: TotpRule) -> None:
    brake = LoginBrake(rules(totp))
    needed = {address: brake.needs_code(source_of(address)) for address in (*INSIDE, *OUTSIDE)}
    assert needed == {**dict.fromkeys(INSIDE, totp is TotpRule.ALWAYS), **dict.fromkeys(OUTSIDE, totp is not TotpRule.NEVER)}


@pytest.mark.parametrize("address", ["", "localhost", "10.0.0", "10.0.0.1:80", "10.0.0.0/8"])
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(Refused, match="is not an IP address"):
        source_of(address)


# --- who has to wait --------------------------------------------------------------------------------------------------------


def waits(brake: LoginBrake, name: str, address: str, now_s: float) -> float:
    slowed = brake.take(name, source_of(address), now_s)
    return slowed.wait_s if slowed is not None else 0.0


def test_after_some_failures_a_name_waits_wherever_the_logins_come_from() -> None:
    brake = LoginBrake(rules())
    assert [waits(brake, "maria", f"203.0.113.{n}", 0.0) for n in range(5)] == [0, 0, 0, 60, 60]
    assert waits(brake, "lea", "203.0.113.9", 0.0) == 0
    assert [waits(brake, "maria", "203.0.113.9", at_s) for at_s in (59.0, 60.0, 61.0, 1_000.0, 1_000.0, 1_000.0, 1_000.0)] == [1, 0, 59, 0, 0, 0, 60]


def test_a_stranger_outside_does_not_slow_down_the_person_inside() -> None:
    brake = LoginBrake(rules())
    assert [waits(brake, "maria", f"203.0.113.{n}", 0.0) for n in range(4)] == [0, 0, 0, 60]
    assert waits(brake, "maria", "192.168.1.20", 0.0) == 0


def test_after_some_failures_an_address_waits_under_whatever_names() -> None:
    brake = LoginBrake(rules())
    assert [waits(brake, f"n{n}", "203.0.113.7", 0.0) for n in range(6)] == [0, 0, 0, 0, 0, 10]
    assert waits(brake, "maria", "203.0.113.8", 0.0) == 0


def test_all_addresses_that_one_home_has_count_as_one() -> None:
    brake = LoginBrake(rules())
    assert [waits(brake, f"n{n}", f"2001:db8::{n}", 0.0) for n in range(6)][-1] == 10
    assert waits(brake, "maria", "2001:db8:0:1::1", 0.0) == 0


def test_a_login_that_succeeds_takes_no_place() -> None:
    brake, source = LoginBrake(rules()), source_of("203.0.113.7")
    for _ in range(20):
        assert waits(brake, "maria", source.address, 0.0) == 0
        brake.give_back("maria", source)


def test_a_success_does_not_forget_the_failures_before_it() -> None:
    """Otherwise a stranger could guess on each time that the person logs in, or log in to an account of his own in between."""
    brake, source = LoginBrake(rules()), source_of("203.0.113.7")
    assert [waits(brake, "maria", source.address, 0.0) for _ in range(3)] == [0, 0, 0]
    brake.give_back("maria", source)
    assert [waits(brake, "maria", source.address, 0.0) for _ in range(2)] == [0, 60]


def test_only_the_first_login_that_waits_is_told_apart() -> None:
    brake, source = LoginBrake(rules()), source_of("203.0.113.7")
    for _ in range(3):
        brake.take("maria", source, 0.0)
    slowed = [brake.take("maria", source, at_s) for at_s in (0.0, 1.0, 60.0, 60.0)]
    assert [s.is_first if s is not None else None for s in slowed] == [True, False, None, True]


def test_what_is_remembered_is_bounded() -> None:
    brake = LoginBrake(rules(remembered_max=10))
    for n in range(100):
        brake.take("x" * 1_000 + str(n), source_of(f"203.0.113.{n}"), 0.0)
        brake.take(f"n{n}", source_of(f"203.0.113.{n}"), 0.0)
    kept = {key for places in (brake._names, brake._addresses) for key in places._kept}
    assert len(kept) <= 20
    assert max(map(len, kept)) < 200


def test_only_so_many_logins_are_checked_at_once_and_strangers_turn_nobody_inside_away() -> None:
    brake, outside, inside = LoginBrake(rules()), source_of("203.0.113.7"), source_of("192.168.1.20")
    with brake.under_way(outside), brake.under_way(outside):
        with pytest.raises(Refused, match="too many people log in at this moment"), brake.under_way(outside):
            pass
        with brake.under_way(inside):
            pass
    with brake.under_way(outside):
        pass
