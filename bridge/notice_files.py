"""The texts of notices, read from their files: those that come with the program, or a site's own."""

from __future__ import annotations

import tomllib
from functools import cache
from importlib.resources import files
from pathlib import Path

from bridge.domain.notice_texts import LANGUAGES, Texts, parse_language
from bridge.domain.notices import NEVER_CORRECTED, OF_ORDERS
from bridge.errors import ConfigError


@cache
def own_texts() -> Texts:
    """The texts that come with the program."""
    return {language: _parsed(files("bridge").joinpath("notice_texts", f"{language}.toml").read_text(encoding="utf-8")) for language in LANGUAGES}


def texts_in(folder: Path) -> Texts:
    """A site's own texts.

    Raises:
        ConfigError: if a file or a text is missing, or can't be used.
    """
    found = {}
    for language in LANGUAGES:
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


def _parsed(text: str) -> dict[str, object]:
    return parse_language(tomllib.loads(text), of_orders=OF_ORDERS, never_corrected=NEVER_CORRECTED)
