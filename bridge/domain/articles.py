"""Articles: what a site sells, as its own list says."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

SKU_CHARS_MAX: Final = 96
"""As in the contract (`Id`)."""
WORD_CHARS_MAX: Final = 64
"""Of a bin and of each name, as in the contract (`Word`)."""
PICTURE_CHARS_MAX: Final = 500
QTY_MAX: Final = 1_000_000


class ArticleFlag(StrEnum):
    """What needs care: a serial number to be noted, a battery inside, an age to be checked at the door."""

    SERIAL = "serial"
    BATTERY = "battery"
    AGE = "age"


@dataclass(frozen=True, slots=True, kw_only=True)
class Article:
    """One article. `codes` has the key of each of its codes (`barcodes.code_key`) and how many pieces the package with this code holds."""

    sku: str
    codes: dict[str, int]
    name_zh: str | None = None
    name_en: str | None = None
    bin: str | None = None
    picture: str | None = None
    flags: tuple[ArticleFlag, ...] = ()

    def name(self, language: str) -> str | None:
        """Its name in a language (zh, en), or in the other one if it has no name in this one."""
        return (self.name_zh or self.name_en) if language == "zh" else (self.name_en or self.name_zh)
