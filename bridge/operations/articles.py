"""The site's list of articles: take in a file, and look at it."""

from __future__ import annotations

import asyncio

from msgspec import structs

from bridge.domain.articles import Article
from bridge.errors import NotFound
from bridge.operations.ports import ArticlePlan, SiteContext, SiteReader


async def put(site: SiteContext, articles: list[Article], articles_max: int) -> ArticlePlan:
    """Store articles in place of those with the same SKUs; the others stay. If a code is taken by another article, nothing is stored.

    Raises:
        Refused: if there would be too many.
    """
    # Most of a list is usually as before. Finding the rest takes seconds for a long list, in which the writer has other work to do.
    found = await asyncio.to_thread(site.queries.article_plan, articles, articles_max=articles_max)
    if found.taken:
        return found
    others = {*found.added, *found.changed}
    stored = await site.on_writer(lambda: site.upkeep.put_articles([a for a in articles if a.sku in others], articles_max=articles_max))
    return structs.replace(stored, same=stored.same + found.same)


async def plan(site: SiteReader, articles: list[Article], articles_max: int) -> ArticlePlan:
    """What `put` would do.

    Raises:
        Refused: if there would be too many.
    """
    return site.queries.article_plan(articles, articles_max=articles_max)


async def list_articles(site: SiteReader, *, limit: int) -> list[Article]:
    """Articles in the order of their SKUs."""
    return site.queries.articles(limit=limit)


async def show_article(site: SiteReader, text: str) -> Article:
    """The article with this SKU, or with this code.

    Raises:
        NotFound: if there is none.
    """
    found = site.queries.article(text)
    if found is None:
        raise NotFound(f"no article has the SKU or the code {text}", fix="list the articles with `dockbridge articles list`")
    return found
