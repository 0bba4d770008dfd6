"""The articles in the database: reads for people, and the import, which is one transaction."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

from sqlalchemy import Connection, Engine, func, select

from bridge.domain import barcodes
from bridge.domain.articles import Article
from bridge.errors import Refused
from bridge.ingest.articles import ARTICLE_CODES, ARTICLES, ArticleCodeRow, ArticleRow, article_of, rows_of
from bridge.ingest.relation import Deletion, Relation, Writes
from bridge.operations.ports import ArticlePlan, TakenCode
from bridge.store import tables as t
from bridge.store.relations import chunks, marks, write
from bridge.store.sqlite import translated
from bridge.words import counted

_CODES_GONE: Final = Deletion(ARTICLE_CODES, ("sku",))


def articles_page(connection: Connection, limit: int) -> list[Article]:
    """Articles in the order of their SKUs."""
    skus = connection.execute(select(t.articles.c.sku).order_by(t.articles.c.sku).limit(limit)).scalars().all()
    found = _by_sku(connection, skus)
    return [found[sku] for sku in skus]


def article_named(connection: Connection, text: str) -> Article | None:
    """The article with this SKU, or with this code."""
    key = barcodes.code_key(text)
    if found := _by_sku(connection, [text]).get(text):
        return found
    if isinstance(key, barcodes.Unreadable):
        return None
    owner = connection.execute(select(t.article_codes.c.sku).where(t.article_codes.c.code == key.text)).scalar_one_or_none()
    return None if owner is None else _by_sku(connection, [owner])[owner]


def plan_articles(connection: Connection, articles: Sequence[Article], *, articles_max: int) -> ArticlePlan:
    """What changes if these articles are stored.

    Raises:
        Refused: if there would be too many.
    """
    before = _by_sku(connection, [a.sku for a in articles])
    added = [a.sku for a in articles if a.sku not in before]
    changed = [a.sku for a in articles if a.sku in before and a != before[a.sku]]
    total = connection.execute(select(func.count()).select_from(t.articles)).scalar_one() + len(added)
    if total > articles_max:
        raise Refused(f"the site would have {counted(total, 'article')}, {articles_max} at most", fix="raise articles.articles_max in bridge.toml")
    return ArticlePlan(added=added, changed=changed, same=len(articles) - len(added) - len(changed), taken=_taken(connection, articles))


def put_articles(engine: Engine, articles: Sequence[Article], *, articles_max: int) -> ArticlePlan:
    """Store articles in place of those with the same SKUs, or nothing if one of their codes is taken.

    Raises:
        Refused: if there would be too many.
    """
    with translated(), engine.begin() as connection:
        plan = plan_articles(connection, articles, articles_max=articles_max)
        other = {*plan.added, *plan.changed}
        if not plan.taken and other:
            _replace(connection, (a for a in articles if a.sku in other))
        return plan


def _replace(connection: Connection, articles: Iterable[Article]) -> None:
    writes = Writes()
    for article in articles:
        row, codes = rows_of(article)
        writes.rows(ARTICLES).append(row)
        writes.rows(ARTICLE_CODES).extend(codes)
        writes.delete(_CODES_GONE, row.sku)
    write(_driver(connection), writes)


def _taken(connection: Connection, articles: Sequence[Article]) -> list[TakenCode]:
    """Codes that an article keeps which is not in the list. Articles of the list may exchange their codes."""
    listed = {a.sku for a in articles}
    owner_to_be = {code: a.sku for a in articles for code in a.codes}
    rows = (ArticleCodeRow(*row) for row in _rows(connection, ARTICLE_CODES, "code", list(owner_to_be)))
    return sorted(TakenCode(owner_to_be[row.code], row.code, row.sku) for row in rows if row.sku not in listed)


def _by_sku(connection: Connection, skus: Iterable[str]) -> dict[str, Article]:
    wanted = list(skus)
    codes: dict[str, list[ArticleCodeRow]] = {}
    for values in _rows(connection, ARTICLE_CODES, "sku", wanted):
        code = ArticleCodeRow(*values)
        codes.setdefault(code.sku, []).append(code)
    return {row[0]: article_of(ArticleRow(*row), codes.get(row[0], ())) for row in _rows(connection, ARTICLES, "sku", wanted)}


def _rows(connection: Connection, relation: Relation, column: str, values: list[str]) -> Iterator[tuple[Any, ...]]:
    """Rows by a column. The driver does it in a fifth of the time: a list has a hundred thousand articles."""
    columns = ", ".join(relation.columns)
    for some in chunks(values):
        yield from _driver(connection).execute(f"SELECT {columns} FROM {relation.name} WHERE {column} IN ({marks(some)})", some).fetchall()


def _driver(connection: Connection) -> Any:
    return connection.connection.dbapi_connection
