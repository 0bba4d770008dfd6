"""`dockbridge articles`: the site's list of articles."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from bridge.article_file import COLUMNS, BadCell, ReadArticles, read_articles
from bridge.config import CONFIG_NAME
from bridge.config_file import load
from bridge.domain.articles import Article
from bridge.entrypoints.cli.output import JsonOption, LimitOption, print_details, print_json, print_table, say
from bridge.entrypoints.cli.reading import SiteOption, read
from bridge.entrypoints.control.client import call
from bridge.errors import Refused
from bridge.operations import articles
from bridge.operations.ports import ArticlePlan
from bridge.words import counted

app = typer.Typer(no_args_is_help=True, help="Take in the list of articles, and look at it.\n\nExample: `dockbridge articles import articles.csv`")

BAD_SHOWN_MAX = 50
"""How many faults of a file are printed."""


@app.command(name="import")
def import_(
    file: Annotated[Path, typer.Argument(help=f"CSV with the columns {', '.join(COLUMNS)}; only sku is required.", readable=False)],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would change.")] = False,
    site: SiteOption = Path(),
    as_json: JsonOption = False,
) -> None:
    """Take in a file of articles. Each line replaces the article with its SKU; articles that are not in the file stay. If a line is wrong, nothing changes.

    Example: `dockbridge articles import articles.csv --dry-run`
    """
    limits = load(site / CONFIG_NAME).articles
    found = read_articles(file, limits)
    if not found.bad:
        wanted = (found.articles, limits.articles_max)
        plan = read(site, articles.plan, *wanted) if dry_run else call(site, articles.put, *wanted)
        found.bad.extend(_taken(plan, found))
    if found.bad:
        _refuse(file, found.bad)
    if as_json:
        print_json(plan)
    say(f"{'Would store' if dry_run else 'Stored'}: {len(plan.added)} new, {len(plan.changed)} changed, {plan.same} the same.")


@app.command(name="list")
def list_(limit: LimitOption = 50, site: SiteOption = Path(), as_json: JsonOption = False) -> None:
    """List the articles in the order of their SKUs.

    Example: `dockbridge articles list`
    """
    found = read(site, articles.list_articles, limit=limit)
    if as_json:
        print_json([_row(article) for article in found])
        return
    columns = ("sku", "name_zh", "name_en", "bin", "codes", "flags")
    print_table(columns, [[*map(_row(a).get, columns[:4]), _codes(a), " ".join(a.flags)] for a in found])


@app.command()
def show(
    text: Annotated[str, typer.Argument(metavar="SKU|CODE", help="Its SKU, or what a scanner reads from it.")],
    site: SiteOption = Path(),
    as_json: JsonOption = False,
) -> None:
    """Show one article, by its SKU or by one of its codes.

    Example: `dockbridge articles show 4006381333931`
    """
    found = read(site, articles.show_article, text)
    if as_json:
        print_json(_row(found))
    else:
        print_details({**_row(found), "codes": _codes(found)})


def _taken(plan: ArticlePlan, found: ReadArticles) -> list[BadCell]:
    fix = "remove it here, or import {owner} without it, in the same file or before"
    return [BadCell(found.lines[t.sku], "codes", f"{t.code} is a code of {t.owner} already", fix.format(owner=t.owner)) for t in plan.taken]


def _refuse(file: Path, bad: list[BadCell]) -> None:
    for cell in bad[:BAD_SHOWN_MAX]:
        where = f"line {cell.line}, {cell.column}" if cell.column else f"line {cell.line}"
        say(f"{where}: {cell.problem}\n  fix: {cell.fix}")
    if len(bad) > BAD_SHOWN_MAX:
        say(f"and {len(bad) - BAD_SHOWN_MAX} more")
    raise Refused(f"{file} has {counted(len(bad), 'fault')}; nothing was stored", fix="mend these lines, then import the file again")


def _row(article: Article) -> dict[str, Any]:
    names = ("sku", "name_zh", "name_en", "bin", "codes", "picture", "flags")
    return {name: getattr(article, name) for name in names} | {"flags": list(article.flags)}


def _codes(article: Article) -> str:
    return " ".join(code if qty == 1 else f"{code}={qty}" for code, qty in sorted(article.codes.items()))
