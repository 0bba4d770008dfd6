"""The texts of notices, read from their files: those that come with the program, or a site's own."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from pathlib import Path

from bridge.domain.notice_texts import Language, Texts, Wording, parse_language
from bridge.domain.notices import NEVER_CORRECTED, OF_ORDERS
from bridge.errors import ConfigError
from devices.protocol.states import Moment


@cache
def own_texts() -> Texts:
    """The texts that come with the program."""
    return {language: _parsed(files("bridge").joinpath("notice_texts", f"{language}.toml").read_text(encoding="utf-8")) for language in Language}


def texts_in(folder: Path) -> Texts:
    """A site's own texts.

    Raises:
        ConfigError: if a file or a text is missing, or can't be used.
    """
    found: dict[Language, Mapping[Moment, Wording]] = {}
    for language in Language:
        path = folder / f"{language}.toml"
        try:
            found[language] = _parsed(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise ConfigError(
                f"{path} can't be read: {error.strerror}", fix="copy config/notices/ to notices.texts_folder, and change the texts there"
            ) from error
        except (tomllib.TOMLDecodeError, UnicodeDecodeError, ValueError) as error:
            raise ConfigError(f"{path}: {error}", fix=f"compare it with config/notices/{language}.toml") from error
    return found


def _parsed(text: str) -> dict[Moment, Wording]:
    return parse_language(tomllib.loads(text), of_orders=OF_ORDERS, never_corrected=NEVER_CORRECTED)
