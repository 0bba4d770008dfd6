"""A scenario's file: TOML that reads like a story. Every mistake in it is named with its line and field."""

from __future__ import annotations

import json
import re
import tomllib
from fnmatch import fnmatchcase
from importlib import resources
from pathlib import Path
from typing import Any, Final

import msgspec

from bridge.errors import ConfigError
from firmware_sim.crew import build, settings_of
from firmware_sim.errors import BadScenario
from firmware_sim.faults import FAULTS
from firmware_sim.scenario import Scenario
from firmware_sim.workload import Fate

FOLDER: Final = "scenarios"
KINDS: Final = tuple(sorted(str(kind.__struct_config__.tag) for kind in FAULTS))
"""The words for faults."""


def names() -> list[str]:
    """The scenarios that come with the program."""
    return sorted(p.name.removesuffix(".toml") for p in _folder().iterdir() if p.name.endswith(".toml"))


def read_scenario(name: str) -> Scenario:
    """A scenario that comes with the program, by its name, or one from a file, by its path.

    Raises:
        BadScenario: there is none, or it is wrong: with line and field.
    """
    path = Path(name)
    if name in names():
        return parse(_folder().joinpath(f"{name}.toml").read_text(encoding="utf-8"), f"{name}.toml")
    if path.suffix != ".toml":
        raise BadScenario(f"there is no scenario {name!r}", fix=f"take one of {', '.join(names())}, or the path of a .toml file")
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BadScenario(f"{path} can't be read: {error}", fix="give the path of a scenario file") from error
    return parse(text, str(path))


def parse(text: str, source: str) -> Scenario:
    """A scenario from its text.

    Raises:
        BadScenario: it is wrong: with line and field.
    """
    try:
        plain = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise BadScenario(f"{source}: {error}", fix="write it as TOML; `firmware-sim new` makes one to begin with") from error
    return from_plain(plain, source, text)


def from_plain(plain: dict[str, Any], source: str, text: str = "") -> Scenario:
    """A scenario from its tables; `text` is where they stand, so that mistakes can be named with their line.

    Raises:
        BadScenario: it is wrong.
    """
    try:
        scenario = msgspec.convert(plain, Scenario, strict=True)
    except msgspec.ValidationError as error:
        what, _, where = str(error).partition(" - at ")
        field = where.rpartition("$")[2].rstrip("`").lstrip(".")
        raise BadScenario(f"{_place(source, text, field, what)}: {field or 'the file'}: {_plainly(what)}", fix=_fix(what, field)) from None
    _check(scenario, text, source)
    return scenario


def _place(source: str, text: str, field: str, what: str) -> str:
    return f"{source}, line {_line(text, field, what)}" if text else source


def render(scenario: Scenario) -> str:
    """A scenario as the text of its file; what stands at its default is left out."""
    plain: dict[str, Any] = msgspec.to_builtins(scenario)
    lines = [f"{key} = {_toml(plain.pop(key))}" for key in list(plain) if not isinstance(plain[key], dict) and not _is_tables(plain[key])]
    for key, value in plain.items():
        for table in value if isinstance(value, list) else [value]:
            lines += _table(key, table, is_listed=isinstance(value, list))
    return "\n".join(lines) + "\n"


def _table(name: str, table: dict[str, Any], *, is_listed: bool) -> list[str]:
    if not is_listed and table and all(isinstance(v, dict) for v in table.values()):
        return [line for key, below in table.items() for line in _table(f"{name}.{key}", below, is_listed=False)]
    lines = ["", f"[[{name}]]" if is_listed else f"[{name}]"]
    lines += [f"{key} = {_toml(value)}" for key, value in table.items() if not _is_tables(value)]
    for key, value in table.items():
        if _is_tables(value):
            lines += [line for below in value for line in _table(f"{name}.{key}", below, is_listed=True)]
    return lines


def _is_tables(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and isinstance(value[0], dict)


def _toml(value: Any) -> str:
    if isinstance(value, str) and "\n" in value:
        return '"""\n' + value.strip("\n").replace("\\", "\\\\").replace('"""', '\\"\\"\\"') + '\n"""'
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{k} = {_toml(v)}" for k, v in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(_toml(v) for v in value) + "]"
    return json.dumps(value, ensure_ascii=False)


def _check(scenario: Scenario, text: str, source: str) -> None:
    """What the types can't say."""

    def wrong(field: str, what: str, fix: str) -> BadScenario:
        return BadScenario(f"{_place(source, text, field, '')}: {field}: {what}", fix=fix)

    devices = list(build(scenario, scenario.seed, load=0.001).firmwares) if scenario.scanners or scenario.belts else []
    if scenario.scanners and not scenario.couriers:
        raise wrong("couriers", "there are scanners, and no couriers to deliver", "add a [[couriers]] table")
    if scenario.couriers and not scenario.scanners:
        raise wrong("scanners", "there are couriers, and no scanners to pack", "add a [[scanners]] table")
    if not devices:
        raise wrong("scanners", "there are no devices", "add [[scanners]] and [[couriers]], or [belts]")
    try:
        settings_of(scenario)
    except ConfigError as error:
        where = ".".join(re.findall(r"\w+", str(error).split(" ")[0]))
        raise wrong(f"settings.{where}", str(error), error.fix or "see config/bridge.toml") from None
    for n, fault in enumerate(scenario.faults):
        if not any(fnmatchcase(d, fault.on) for d in devices):
            raise wrong(f"faults[{n}].on", f"{fault.on!r} is none of the devices", f"name some of {', '.join(devices)}; * stands for any text")
        if fault.to_s is not None and fault.to_s <= fault.from_s:
            raise wrong(f"faults[{n}].to_s", "it ends before it begins", "make to_s later than from_s")


_MISSING: Final = re.compile(r"missing required field `(\w+)`")
_UNKNOWN: Final = re.compile(r"unknown field `(\w+)`")


def _line(text: str, field: str, what: str) -> int:
    """The line of a field like `faults[1].share`: that of its key, else that of its table, else the first."""
    lines = text.splitlines()
    parts = re.findall(r"(\w+)(?:\[(\d+|\.\.\.)\])?", field)
    at = 0
    for name, index in parts:
        nth = int(index) if index.isdigit() else 0
        heads = [n for n, line in enumerate(lines) if n >= at and re.match(rf"\s*\[\[?\s*(?:\w+\.)*{name}\s*\]", line)]
        keys = [n for n, line in enumerate(lines) if n >= at and re.match(rf"\s*{name}\s*=", line)]
        found = heads[nth : nth + 1] or heads[:1] or keys[:1]
        if found:
            at = found[0]
    unknown = _UNKNOWN.search(what)
    if unknown is not None:
        at = next((n for n, line in enumerate(lines) if n >= at and re.match(rf"\s*(?:\[\[?\s*)?{unknown[1]}\b", line)), at)
    return at + 1


def _plainly(what: str) -> str:
    """A validation error in words for the author of the file."""
    what = what.removeprefix("Object ").replace("contains unknown field", "there is no field").replace("missing required field", "it lacks the field")
    return re.sub(r"^Expected `(\w+)` ([<>]=?) ", lambda m: f"should be a number {m[2]} ", what)


def _fix(what: str, field: str) -> str:
    if (missing := _MISSING.search(what)) is not None:
        return f"add {missing[1]} = …"
    if (unknown := _UNKNOWN.search(what)) is not None:
        return f"take {unknown[1]} out, or spell it as the README of firmware-sim does"
    if field.startswith("faults") and field.endswith("kind"):
        return f"take one of {', '.join(KINDS)}"
    if "fates" in field:
        return f"take some of {', '.join(Fate)}"
    return "see the README of firmware-sim for what may stand there"


def _folder() -> Any:
    return resources.files("firmware_sim").joinpath(FOLDER)
