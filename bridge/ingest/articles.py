"""Articles as ingest uses them: which article a scanned code is, and where the lines left to pick are found.

The articles are not in the log, so a replay can't know what they were. What they say about an event is therefore fixed in its row when it arrives; the names
and bins in a receipt are added when it is sent, and never stored.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from typing import Any, Final, NamedTuple

from bridge.domain import barcodes
from bridge.domain.articles import Article, ArticleFlag
from bridge.ingest.ports import Transaction
from bridge.ingest.receipt import Shelf
from bridge.ingest.relation import Origin, Relation


class ArticleRow(NamedTuple):
    """One article without its codes; its flags have blanks between them."""

    sku: str
    name_zh: str | None
    name_en: str | None
    bin: str | None
    picture: str | None
    flags: str


class ArticleCodeRow(NamedTuple):
    """A code of an article, in its normal form, and how many pieces the package with this code holds."""

    code: str
    sku: str
    qty: int


ARTICLES: Final = Relation(name="articles", row=ArticleRow, key=("sku",), origin=Origin.KEPT, note="articles, as they were imported")
ARTICLE_CODES: Final = Relation(
    name="article_codes",
    row=ArticleCodeRow,
    key=("code",),
    origin=Origin.KEPT,
    indexes=(("sku",),),
    note="the codes of articles, and the pieces in each package",
)


def rows_of(article: Article) -> tuple[ArticleRow, list[ArticleCodeRow]]:
    """An article as it is stored."""
    row = ArticleRow(article.sku, article.name_zh, article.name_en, article.bin, article.picture, " ".join(article.flags))
    return row, [ArticleCodeRow(code, article.sku, qty) for code, qty in sorted(article.codes.items())]


def article_of(row: ArticleRow, codes: Iterable[ArticleCodeRow]) -> Article:
    """A stored article."""
    return Article(
        sku=row.sku,
        codes={c.code: c.qty for c in codes},
        name_zh=row.name_zh,
        name_en=row.name_en,
        bin=row.bin,
        picture=row.picture,
        flags=tuple(map(ArticleFlag, row.flags.split())),
    )


class Catalogue:
    """The articles that were used last, by SKU and by code; also that a SKU or a code has none. Without articles, it asks the store once.

    Args:
        articles_max: how many SKUs, and how many codes, stay in memory.
    """

    __slots__ = ("_by_code", "_by_sku", "_is_empty", "_max")

    def __init__(self, articles_max: int) -> None:
        self._max = articles_max
        self._is_empty: bool | None = None
        self._by_sku: OrderedDict[str, ArticleRow | None] = OrderedDict()
        self._by_code: OrderedDict[str, ArticleCodeRow | None] = OrderedDict()

    def forget(self) -> None:
        """Drop everything, because the articles may have changed."""
        self._is_empty = None
        self._by_sku.clear()
        self._by_code.clear()

    def is_empty(self, tx: Transaction) -> bool:
        if self._is_empty is None:
            self._is_empty = not tx.has_rows(ARTICLES)
        return self._is_empty

    def by_sku(self, sku: str, tx: Transaction) -> ArticleRow | None:
        return self._look_up(self._by_sku, ARTICLES, "sku", sku, tx)  # type: ignore[no-any-return]

    def by_code(self, key: str, tx: Transaction) -> ArticleCodeRow | None:
        return self._look_up(self._by_code, ARTICLE_CODES, "code", key, tx)  # type: ignore[no-any-return]

    def sku_of(self, text: str, tx: Transaction) -> str | None:
        """The SKU of the article that has this SKU, or this code."""
        if self.by_sku(text, tx) is not None:
            return text
        key = barcodes.code_key(text)
        found = None if isinstance(key, barcodes.Unreadable) else self.by_code(key.text, tx)
        return None if found is None else found.sku

    def shelf(self, sku: str, language: str, tx: Transaction) -> Shelf | None:
        """Where an ordered SKU is found, and its name; None if it is of no article."""
        own = self.sku_of(sku, tx)
        row = None if own is None else self.by_sku(own, tx)
        return None if row is None else Shelf(row.bin, article_of(row, ()).name(language))

    def _look_up(self, cache: OrderedDict[str, Any], relation: Relation, column: str, value: str, tx: Transaction) -> Any:
        if value in cache:
            cache.move_to_end(value)
            return cache[value]
        found = next(iter(tx.rows(relation, **{column: value})), None)
        cache[value] = found
        if len(cache) > self._max:
            cache.popitem(last=False)
        return found
