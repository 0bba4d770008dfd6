"""The table of normative statements is complete, and every test that it names exists."""

from __future__ import annotations

import ast
from collections import Counter
from functools import cache
from pathlib import Path
from typing import Final

import pytest
from conformance.statements import HIGHEST, STATEMENTS, TOTAL, UNNUMBERED, Statement, Whom

HERE: Final = Path(__file__).parent
TESTS: Final = HERE.parent
TABLES: Final = {"test_statements.py", "test_amqtt_findings.py"}
"""Modules whose tests are named in other tables, or test tables."""


@cache
def functions(path: Path) -> frozenset[str]:
    """The test functions of a module, which is parsed and not imported."""
    return frozenset(node.name for node in ast.parse(path.read_text()).body if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"))


def exists(test: str) -> bool:
    """Whether the test exists that a table names as `file.py::function`."""
    file, _, function = test.partition("::")
    path = TESTS / file if "/" in file else HERE / file
    return path.exists() and function in functions(path)


def by_id(statement: Statement) -> str:
    return statement.id


def test_every_statement_of_the_standard_is_in_the_table_once() -> None:
    assert [s.id for s in STATEMENTS] == [f"{section}-{n}" for section, highest in HIGHEST.items() for n in range(1, highest + 1)]
    assert len(STATEMENTS) == sum(HIGHEST.values()) == TOTAL


def test_every_statement_is_put_in_words_of_its_own() -> None:
    said = Counter(s.says for s in (*STATEMENTS, *UNNUMBERED))
    assert [text for text, times in said.items() if times > 1] == []
    assert [s.id for s in (*STATEMENTS, *UNNUMBERED) if not s.says.endswith(".") or "MUST" in s.says] == []


@pytest.mark.parametrize("statement", [*STATEMENTS, *UNNUMBERED], ids=by_id)
def test_a_statement_has_tests_or_a_reason_why_not(statement: Statement) -> None:
    assert bool(statement.tests) != bool(statement.why_not)
    assert len(set(statement.tests)) == len(statement.tests)


def test_what_binds_a_client_alone_has_a_reason_and_what_binds_a_server_has_tests() -> None:
    without = {s.id for s in STATEMENTS if not s.tests}
    assert {s.id for s in STATEMENTS if s.whom is Whom.CLIENT} == without - {"7.0.0-1"}


@pytest.mark.parametrize("statement", [s for s in (*STATEMENTS, *UNNUMBERED) if s.tests], ids=by_id)
def test_every_test_that_a_statement_names_exists(statement: Statement) -> None:
    assert [test for test in statement.tests if not exists(test)] == []


def test_every_conformance_test_proves_a_statement() -> None:
    named = {test for s in (*STATEMENTS, *UNNUMBERED) for test in s.tests}
    there = {f"{path.name}::{function}" for path in HERE.glob("test_*.py") if path.name not in TABLES for function in functions(path)}
    assert sorted(there - named) == []
