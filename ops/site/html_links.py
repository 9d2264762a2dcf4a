"""Every link of a built site leads to something in it, and no page fetches from outside."""

import urllib.parse
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

from msgspec import Struct

#: What a browser fetches by itself, by element; what only a click opens is another matter.
_FETCHED = {
    ("img", "src"),
    ("img", "srcset"),
    ("script", "src"),
    ("iframe", "src"),
    ("source", "src"),
    ("source", "srcset"),
    ("video", "src"),
    ("audio", "src"),
    ("object", "data"),
    ("embed", "src"),
}
#: Relations of a `link` that fetch nothing.
_INERT_RELATIONS = {"canonical", "next", "prev", "index", "search", "author", "license"}


class Page(Struct):
    """What one page has and names."""

    ids: set[str]
    links: list[str]
    fetched: list[str]


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.page = Page(set(), [], [])

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value for name, value in attrs if value is not None}
        for name in ("id", "name") if tag == "a" else ("id",):
            if name in given:
                self.page.ids.add(given[name])
        if tag == "a" and "href" in given:
            self.page.links.append(given["href"])
        if tag == "link" and "href" in given:
            relations = set(given.get("rel", "").split())
            (self.page.links if relations <= _INERT_RELATIONS else self.page.fetched).append(
                given["href"]
            )
        self.page.fetched += [value for name, value in given.items() if (tag, name) in _FETCHED]


def read(text: str) -> Page:
    """Return what a page of HTML has and names."""
    reader = _Reader()
    reader.feed(text)
    return reader.page


def problems(site: Path) -> list[str]:
    """Return what is wrong, one sentence for each link; empty: every link leads somewhere."""
    pages = {path: read(path.read_text("utf-8")) for path in sorted(site.rglob("*.html"))}
    found = []
    for path, page in pages.items():
        name = path.relative_to(site)
        found += [f"{name} fetches {what}" for what in page.fetched if _is_outside(what)]
        for link in [*page.links, *page.fetched]:
            if reason := _broken(path, link, pages, site):
                found.append(f"{name}: {link} {reason}")
    for sheet in sorted(site.rglob("*.css")):
        found += [f"{sheet.relative_to(site)} fetches {what}" for what in _urls_in_css(sheet)]
    return found


def outside(site: Path) -> set[str]:
    """Return the addresses outside the site that its pages link."""
    return {
        link
        for path in site.rglob("*.html")
        for link in read(path.read_text("utf-8")).links
        if _is_outside(link)
    }


def _is_outside(link: str) -> bool:
    parts = urllib.parse.urlsplit(link)
    return bool(parts.netloc) or parts.scheme in ("http", "https")


def _broken(path: Path, link: str, pages: dict[Path, Page], site: Path) -> str:
    parts = urllib.parse.urlsplit(link)
    if _is_outside(link) or parts.scheme in ("mailto", "data"):
        return ""
    target = (path.parent / urllib.parse.unquote(parts.path)).resolve() if parts.path else path
    if not target.is_relative_to(site.resolve()):
        return "leads out of the site"
    if not target.is_file():
        return "leads nowhere"
    fragment = urllib.parse.unquote(parts.fragment)
    if fragment and target in pages and fragment not in pages[target].ids:
        return "names an anchor that is not there"
    return ""


def _urls_in_css(sheet: Path) -> Iterator[str]:
    text = sheet.read_text("utf-8")
    for piece in text.split("url(")[1:]:
        address = piece.partition(")")[0].strip("\"' ")
        if _is_outside(address):
            yield address
    if "@import" in text:
        yield "@import"
