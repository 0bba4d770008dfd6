"""A list of articles as a CSV file: one article per line. A file is taken whole, or each line that stops it is named."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

from bridge.config import ArticleSettings
from bridge.domain.articles import PICTURE_CHARS_MAX, QTY_MAX, SKU_CHARS_MAX, WORD_CHARS_MAX, Article, ArticleFlag
from bridge.domain.barcodes import Kind, Unreadable, code_key
from bridge.errors import Refused
from bridge.words import counted

COLUMNS: Final = ("sku", "name_zh", "name_en", "codes", "bin", "picture", "flags")
"""What a file can contain; `sku` is required."""
_LENGTHS: Final = {
    "sku": SKU_CHARS_MAX,
    "name_zh": WORD_CHARS_MAX,
    "name_en": WORD_CHARS_MAX,
    "bin": WORD_CHARS_MAX,
    "picture": PICTURE_CHARS_MAX,
}
_NOT_ARTICLES: Final = {Kind.SSCC: "the number of a parcel (SSCC)", Kind.ORDER: "the number of an order", Kind.CONTAINER: "the number of a container"}
_PACKAGE: Final = re.compile(r"([^?]+)=([0-9]+)")
"""A code and how many pieces are in the package. After `?`, a GS1 Digital Link has other numbers, such as an expiry date."""
_QUOTE: Final = "put quotation marks around a cell that contains a comma"
_ROUNDED: Final = re.compile(r"[0-9]+(?:[.,][0-9]+)?E\+?[0-9]+", re.IGNORECASE)
"""A long number as a spreadsheet shows it."""


class BadCell(NamedTuple):
    """What stops a file: the line, the column if it is one, and two sentences, of which the second says what to do."""

    line: int
    column: str | None
    problem: str
    fix: str


class ReadArticles(NamedTuple):
    """What a file says: its articles, the line of each by SKU, and everything that stops it."""

    articles: list[Article]
    lines: dict[str, int]
    bad: list[BadCell]


class _Bad(Exception):
    def __init__(self, column: str, problem: str, fix: str) -> None:
        super().__init__(problem)
        self.column = column
        self.fix = fix


def read_articles(file: Path, limits: ArticleSettings) -> ReadArticles:
    """Read a file of articles.

    Raises:
        Refused: if the file can't be read, is too large, or its first line does not name known columns.
    """
    read = ReadArticles([], {}, [])
    owners: dict[str, str] = {}
    for line, row in _rows(file, limits):
        if row is None:
            read.bad.append(BadCell(line, None, "it has more cells than there are columns", _QUOTE))
            continue
        try:
            article = _article(row, limits.codes_per_article_max)
            if article.sku in read.lines:
                raise _Bad("sku", f"line {read.lines[article.sku]} has {article.sku} already", "put all that is known of an article into one line")
            for code in article.codes:
                if code in owners:
                    raise _Bad("codes", f"{code} is a code of {owners[code]} already, in line {read.lines[owners[code]]}", "leave it with one of the two")
        except _Bad as bad:
            read.bad.append(BadCell(line, bad.column, str(bad), bad.fix))
            continue
        owners |= dict.fromkeys(article.codes, article.sku)
        read.lines[article.sku] = line
        read.articles.append(article)
    if len(read.articles) > limits.articles_max:
        raise Refused(f"{file} has {counted(len(read.articles), 'article')}, {limits.articles_max} at most", fix="raise articles.articles_max in bridge.toml")
    return read


def _rows(file: Path, limits: ArticleSettings) -> Iterator[tuple[int, dict[str, str] | None]]:
    """(line, cells by column) of each line that is not empty; None for one that has too many cells."""
    reader = csv.DictReader(io.StringIO(_text(file, limits.file_bytes_max), newline=""), strict=True)
    columns = ",".join(COLUMNS)
    try:
        names = [name.strip() for name in reader.fieldnames or ()]
        reader.fieldnames = names
        if "sku" not in names:
            raise Refused(f"{file} has no column sku", fix=f"name the columns in the first line: {columns}")
        for name in names:
            if name not in COLUMNS or names.count(name) > 1:
                problem = "has the column {} twice" if name in COLUMNS else "has the column {}, which is not known"
                raise Refused(f"{file} {problem.format(name or '(empty)')}", fix=f"the columns are {columns}; each may be left out except sku")
        for row in reader:
            if None in row:
                yield reader.line_num, None
                continue
            cells = {name: (value or "").strip() for name, value in row.items()}
            if any(cells.values()):
                yield reader.line_num, cells
    except csv.Error as error:
        raise Refused(f"{file}, line {reader.reader.line_num}: {error}", fix="put a quotation mark before and after a cell, or in none") from error


def _text(file: Path, bytes_max: int) -> str:
    try:
        if (size := file.stat().st_size) > bytes_max:
            raise Refused(f"{file} has {size} bytes, {bytes_max} at most", fix="split it, or raise articles.file_bytes_max in bridge.toml")
        return file.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise Refused(f"{file} can't be read: {error.strerror}", fix="give the path of a CSV file") from error
    except UnicodeDecodeError as error:
        raise Refused(f"{file} is not in UTF-8", fix='save it again as "CSV UTF-8"') from error


# --- one line ---------------------------------------------------------------------------------------------------------------


def _article(row: dict[str, str], codes_max: int) -> Article:
    for column, chars_max in _LENGTHS.items():
        value = row.get(column, "")
        if len(value) > chars_max:
            raise _Bad(column, f"it has {len(value)} characters, {chars_max} at most", "shorten it")
        if not value.isprintable():
            raise _Bad(column, f"{value!r} contains a character that can't be printed", "remove it")
    if not row["sku"]:
        raise _Bad("sku", "it is empty", "give the SKU with which shops order the article")
    return Article(
        sku=row["sku"],
        codes=_codes(row.get("codes", ""), codes_max),
        name_zh=row.get("name_zh") or None,
        name_en=row.get("name_en") or None,
        bin=row.get("bin") or None,
        picture=_picture(row.get("picture", "")),
        flags=_flags(row.get("flags", "")),
    )


def _codes(cell: str, codes_max: int) -> dict[str, int]:
    codes: dict[str, int] = {}
    for word in _words(cell):
        package = _PACKAGE.fullmatch(word)
        text, qty = (package[1], int(package[2])) if package else (word, 1)
        if _ROUNDED.fullmatch(text):
            raise _Bad("codes", f"{text} is a number that a spreadsheet has rounded", "format the column as text, and enter the number again")
        if not 1 <= qty <= QTY_MAX:
            raise _Bad("codes", f"{text} is on a package of {qty}", f"write {text}=10 for a package of ten, {QTY_MAX} at most")
        key = code_key(text)
        if isinstance(key, Unreadable):
            raise _Bad("codes", key.detail, "copy what a scanner reads from the article")
        if key.kind in _NOT_ARTICLES:
            raise _Bad("codes", f"{text} is {_NOT_ARTICLES[key.kind]}", "copy what a scanner reads from the article")
        if codes.setdefault(key.text, qty) != qty:
            raise _Bad("codes", f"{text} is on a package of {qty} and on one of {codes[key.text]}", "leave one of the two")
    if len(codes) > codes_max:
        raise _Bad("codes", f"it has {len(codes)} codes, {codes_max} at most", "remove some, or raise articles.codes_per_article_max in bridge.toml")
    return codes


def _picture(cell: str) -> str | None:
    if cell and not cell.startswith(("https://", "http://")):
        raise _Bad("picture", f"{cell} is not a link", "give an address that begins with https://")
    return cell or None


def _flags(cell: str) -> tuple[ArticleFlag, ...]:
    words = {word.lower() for word in _words(cell)}
    if unknown := sorted(words - set(ArticleFlag)):
        raise _Bad("flags", f"{unknown[0]} is not a flag", f"choose from {', '.join(ArticleFlag)}")
    return tuple(flag for flag in ArticleFlag if flag in words)


def _words(cell: str) -> list[str]:
    """What blanks, commas or semicolons separate."""
    return [word for word in re.split(r"[\s,;，；]+", cell) if word]


__all__ = ["COLUMNS", "BadCell", "ReadArticles", "read_articles"]
