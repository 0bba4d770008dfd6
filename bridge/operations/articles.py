"""The site's list of articles: take in a file, and look at it."""

from __future__ import annotations

from bridge.domain.articles import Article
from bridge.errors import NotFound
from bridge.operations.ports import ArticlePlan, SiteContext, SiteReader


async def put(site: SiteContext, articles: list[Article]) -> ArticlePlan:
    """Store articles in place of those with the same SKUs; the others stay. If a code is taken by another article, nothing is stored.

    Raises:
        Refused: if there would be too many.
    """
    return await site.on_writer(lambda: site.put_articles(articles))


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
