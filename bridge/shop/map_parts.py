"""Parts of a mapping in TOML that every kind of file has: how its table is read, its times, the rows that are left out, and how its numbers look."""

from __future__ import annotations

import codecs
import re
import tomllib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple, Protocol
from zoneinfo import ZoneInfo

from bridge.errors import BridgeError
from bridge.shop.map_checks import fault_of

PATTERN_CHARS_MAX: Final = 200
SKIP_LINES_MAX: Final = 100
ISO: Final = "iso"
"""The `time_format` of ISO 8601, such as 2026-11-23T06:00:00+00:00."""


class MapError(BridgeError):
    """The mapping file can't be used."""


class Layout(Protocol):
    """How a file is read as a table. `time_format` is a format of `strptime` or `ISO`, in `timezone` unless a time has its own zone."""

    @property
    def encoding(self) -> str: ...

    @property
    def delimiter(self) -> str: ...

    @property
    def quote(self) -> str: ...

    @property
    def skip_lines(self) -> int: ...

    @property
    def sheet(self) -> str | None: ...

    @property
    def decimal(self) -> str: ...

    @property
    def time_format(self) -> str: ...

    @property
    def timezone(self) -> ZoneInfo: ...

    @property
    def time_words(self) -> tuple[tuple[str, str], ...]:
        """Texts in times and what stands for them, the longest first."""
        ...

    @property
    def patterns(self) -> Mapping[str, re.Pattern[str]]:
        """How the ids of some columns look, by our names."""
        ...

    @property
    def file_columns(self) -> tuple[str, ...]:
        """Every column of the file that is read."""
        ...


class Setting(NamedTuple):
    """A setting of a mapping: whether a value can be used, and what can."""

    fits: Callable[[Any], bool]
    fix: str


def one_of(*choices: Any) -> Setting:
    return Setting(lambda v: v in choices and type(v) is type(choices[0]), "choose " + " or ".join(f'"{c}"' for c in choices))


def _is_encoding(value: Any) -> bool:
    try:
        return isinstance(value, str) and codecs.lookup(value)._is_text_encoding
    except LookupError:
        return False


def is_text(value: Any) -> bool:
    return isinstance(value, str) and 0 < len(value) <= PATTERN_CHARS_MAX


def is_texts(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(map(is_text, value))


COUNTRY: Final = Setting(lambda v: isinstance(v, str) and bool(re.fullmatch("[A-Z]{2}", v)), 'use the code of ISO 3166, for example "DE"')
READING: Final[dict[str, Setting]] = {
    "timezone": Setting(is_text, 'for example timezone = "Europe/Berlin"'),
    "time_format": Setting(is_text, 'use the codes of strptime, such as "%d.%m.%Y %H:%M", or "iso"'),
    "encoding": Setting(_is_encoding, 'for example "utf-8", "latin-1", "cp1252", "utf-16" or "gb18030"'),
    "delimiter": Setting(lambda v: isinstance(v, str) and len(v) == 1, 'it is one character, for example delimiter = ";"'),
    "quote": Setting(lambda v: isinstance(v, str) and len(v) <= 1, 'it is one character; quote = "" if quotes are ordinary characters'),
    "skip_lines": Setting(
        lambda v: type(v) is int and 0 <= v <= SKIP_LINES_MAX, f"give the number of lines before the one with the columns' names, at most {SKIP_LINES_MAX}"
    ),
    "sheet": Setting(is_text, "give the name of a sheet of the workbook"),
    "decimal": one_of(".", ","),
}
"""The settings that say how a file is read."""


def load_toml(path: Path, missing_fix: str) -> dict[str, Any]:
    """A mapping file as it is written.

    Raises:
        MapError: if there is none, or it is not TOML.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise MapError(f"{path} does not exist", fix=missing_fix) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise MapError(f"{path}: {error}", fix="fix that line") from error


def check_sections(path: Path, data: Mapping[str, Any], sections: Sequence[str]) -> None:
    unknown = sorted(set(data) - set(sections))
    if unknown:
        raise MapError(f"{path}: [{unknown[0]}] is not a section", fix=f"the sections are {', '.join(f'[{s}]' for s in sections)}")


def channel_of(path: Path, data: Mapping[str, Any], settings: Mapping[str, Setting], required: Sequence[str], example: str) -> dict[str, Any]:
    """The settings of [channel]: each can be used, and none contradicts another. `example` shows the required ones."""
    channel = data.get("channel", {})
    if not isinstance(channel, dict):
        raise MapError(f"{path}: channel is not a section", fix="write [channel] on a line of its own")
    for name, value in channel.items():
        if name not in settings:
            raise MapError(f"{path}: channel.{name} is not a setting", fix=f"choose one of {', '.join(sorted(settings))}")
        if not settings[name].fits(value) and (value or name not in required):
            raise MapError(f"{path}: channel.{name} is {value!r}", fix=settings[name].fix)
    for name in required:
        if not channel.get(name):
            raise MapError(f"{path}: channel.{name} is missing", fix=example)
    if (fault := fault_of(channel)) is not None:
        raise MapError(f"{path}: {fault[0]}", fix=fault[1])
    return channel


def zone_of(path: Path, section: str, name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (OSError, ValueError, KeyError):
        raise MapError(f"{path}: {section}.timezone {name!r} is not a known time zone", fix='use an IANA name, such as "Europe/Berlin"') from None


def texts_of(path: Path, data: dict[str, Any], name: str) -> dict[str, str]:
    table = data.get(name, {})
    if not isinstance(table, dict) or not all(isinstance(v, str) for v in table.values()):
        raise MapError(f"{path}: every value in [{name}] must be a string", fix='write name = "value"')
    return table


def countries_of(path: Path, data: dict[str, Any]) -> dict[str, str]:
    """The file's words for countries, each with its code."""
    countries = texts_of(path, data, "country")
    for word, code in countries.items():
        if not COUNTRY.fits(code):
            raise MapError(f"{path}: country.{word} is {code!r}", fix=COUNTRY.fix)
    return countries


def time_words_of(path: Path, data: dict[str, Any]) -> tuple[tuple[str, str], ...]:
    """Texts in times and what stands for them, the longest first."""
    return tuple(sorted(texts_of(path, data, "time_words").items(), key=lambda words: (-len(words[0]), words[0])))


def leave_out_of(path: Path, data: dict[str, Any]) -> dict[str, frozenset[str]]:
    table = data.get("leave_out", {})
    if not isinstance(table, dict) or not all(isinstance(v, list) and all(isinstance(w, str) for w in v) for v in table.values()):
        raise MapError(f"{path}: every value in [leave_out] must be a list of strings", fix='write "Column" = ["word", "other word"]')
    return {column: frozenset(words) for column, words in table.items()}


def patterns_of(path: Path, data: dict[str, Any], columns: tuple[str, ...]) -> dict[str, re.Pattern[str]]:
    patterns = {}
    for name, text in texts_of(path, data, "patterns").items():
        if name not in columns:
            raise MapError(f"{path}: patterns.{name} is not a column with a pattern", fix=f"choose one of {', '.join(columns)}")
        try:
            patterns[name] = re.compile(text)
        except re.error as error:
            raise MapError(f"{path}: patterns.{name}: {error}", fix='for example order = "[0-9]{9}"') from error
    return patterns
