"""The descriptions of the contract: the text below each field, word, type and limit in the code.

They stand nowhere else, and Python does not keep them: the source is parsed when a document is made. For a reason of an event (`reasons.py`), its English
label is its description.
"""

from __future__ import annotations

import ast
import inspect
from collections.abc import Mapping
from enum import StrEnum
from functools import cache
from importlib import import_module
from itertools import pairwise
from typing import Any

from devices.protocol.reason_labels import REASON_LABELS


def of_class(kind: type) -> str:
    """The first paragraph of a class's docstring. `Event[Pack]` has the docstring of `Event`."""
    text = next((c.__doc__ for c in kind.__mro__ if c.__doc__ and c.__name__ == kind.__name__), "")
    return " ".join((text or "").strip().split("\n\n")[0].split())


def of_fields(struct: type) -> Mapping[str, str]:
    """The texts below the fields of a struct, inherited ones included; a field is named as in the code."""
    found: dict[str, str] = {}
    for kind in reversed(struct.__mro__):
        found |= _texts(kind.__module__).get(kind.__name__, {}) if kind.__module__.startswith("devices.protocol") else {}
    return found


def of_words(words: type[StrEnum]) -> Mapping[str, str]:
    """word → what it means."""
    if words in REASON_LABELS:
        return {str(word): en for word, (_, en) in REASON_LABELS[words].items()}
    below = _texts(words.__module__).get(words.__name__, {})
    return {word.value: below.get(word.name, "") for word in words}


def of_name(module: str, name: str) -> str:
    """The text below a name of a module: a limit, or a type of fields."""
    return _texts(module).get("", {}).get(name, "")


@cache
def _texts(module: str) -> dict[str, dict[str, str]]:
    """class, or "" for the module itself → name in it → the text below the name."""
    tree = ast.parse(inspect.getsource(import_module(module)))
    otherwise = (node.orelse for node in tree.body if isinstance(node, ast.If))  # what the type checker does not see
    names = {name: text for body in (tree.body, *otherwise) for name, text in _below(body).items()}
    return {"": names} | {node.name: _below(node.body) for node in tree.body if isinstance(node, ast.ClassDef)}


def _below(body: list[ast.stmt]) -> dict[str, str]:
    pairs = pairwise(body)
    return {name: text for statement, following in pairs if (name := _assigned(statement)) and (text := _said(following))}


def _assigned(statement: ast.stmt) -> str | None:
    """The name that a statement gives a type or a value."""
    target: Any = statement.target if isinstance(statement, ast.AnnAssign) else statement.targets[0] if isinstance(statement, ast.Assign) else None
    return target.id if isinstance(target, ast.Name) else None


def _said(statement: ast.stmt) -> str | None:
    if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant) and isinstance(statement.value.value, str):
        return " ".join(statement.value.value.split())
    return None
