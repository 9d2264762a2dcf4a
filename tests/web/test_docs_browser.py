"""/docs in a real browser: nothing is blocked or fetched, and it fits, reads and obeys."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from gateway.web.docs.languages import LANGUAGES
from tests.support import browser
from tests.support.browser import Tab
from tests.support.site import Site

pytestmark = pytest.mark.servers

WIDTHS = (320, 360, 768, 1200, 1920)

#: Every text with its contrast to the ground it stands on (WCAG 2.2, 1.4.3), below the limit.
_FAINT = """
(() => {
  const parts = (color) => color.match(/[\\d.]+/g).map(Number);
  const light = (color) => {
    const [r, g, b] = parts(color).slice(0, 3).map((v) => v / 255)
      .map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ground = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const color = getComputedStyle(at).backgroundColor;
      const [, , , alpha = 1] = parts(color);
      if (alpha === 1) return color;
    }
    return "rgb(255, 255, 255)";
  };
  const faint = new Set();
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    const element = node.parentElement;
    if (!node.data.trim() || !element.getClientRects().length) continue;
    const [a, b] = [light(getComputedStyle(element).color), light(ground(element))];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < 4.5) faint.add(`${element.tagName}.${element.className} ${ratio.toFixed(2)}`);
  }
  return [...faint];
})()
"""
_SHOWN = """
[...document.querySelectorAll(".example")]
  .filter((example) => example.getClientRects().length)
  .map((example) => example.classList[1])
"""


@pytest.fixture
async def tab(tmp_path: Path) -> AsyncIterator[Tab]:
    async with browser.tab(tmp_path / "profile") as opened:
        yield opened


def _only(shown: list[str]) -> str:
    (name,) = set(shown)
    return name


async def test_nothing_is_blocked_and_nothing_else_is_fetched(site: Site, tab: Tab) -> None:
    await tab.show(f"{site.url}/docs", width=1200)
    assert tab.complaints == []
    assert set(tab.requested) <= {f"{site.url}/docs", f"{site.url}/favicon.ico"}
    # The style sheet is in force.
    assert await tab.value("getComputedStyle(document.querySelector('.bar')).position") == "sticky"


async def test_a_script_that_got_in_would_not_run(site: Site, tab: Tab) -> None:
    """A control: the policy is in force, and what it blocks is seen."""
    await tab.show(f"{site.url}/docs", width=1200)
    await tab.value(
        "document.body.insertAdjacentHTML('beforeend', '<img src=x onerror=\"window.ran = 1\">')"
    )
    await tab.value(
        "document.body.insertAdjacentHTML('beforeend', '<p style=\"color: red\">x</p>')"
    )
    assert await tab.value("window.ran ?? 0") == 0
    assert await tab.value("getComputedStyle(document.body.lastChild).color") != "rgb(255, 0, 0)"
    assert any("Content Security Policy" in text for text in tab.complaints)


@pytest.mark.parametrize("width", WIDTHS)
async def test_the_page_fits_its_window(site: Site, tab: Tab, width: int) -> None:
    await tab.show(f"{site.url}/docs", width=width)
    assert await tab.value("document.documentElement.scrollWidth") <= width
    wide = await tab.value(
        "[...document.querySelectorAll('main *')].filter((e) => !e.closest('pre')"
        f" && e.getBoundingClientRect().right > {width} + 1).map((e) => e.outerHTML.slice(0, 90))"
    )
    assert wide == []


@pytest.mark.parametrize("is_dark", [False, True], ids=["light", "dark"])
async def test_every_text_can_be_read(site: Site, tab: Tab, is_dark: bool) -> None:
    await tab.show(f"{site.url}/docs", width=1200, is_dark=is_dark)
    assert await tab.value(_FAINT) == []
    ground = await tab.value("getComputedStyle(document.body).backgroundColor")
    assert (ground == "rgb(255, 255, 255)") is not is_dark


async def test_the_keyboard_chooses_the_language(site: Site, tab: Tab) -> None:
    await tab.show(f"{site.url}/docs", width=1200)
    assert _only(await tab.value(_SHOWN)) == "curl"
    await tab.press("Tab")
    assert await tab.value("document.activeElement.className") == "skip"
    while not await tab.value("document.activeElement.matches('.choice input')"):
        await tab.press("Tab")
    for language in LANGUAGES[1:]:
        await tab.press("ArrowRight")
        assert _only(await tab.value(_SHOWN)) == language.name


async def test_a_screen_reader_finds_names_and_landmarks(site: Site, tab: Tab) -> None:
    await tab.show(f"{site.url}/docs", width=1200)
    tree: list[dict[str, Any]] = (await tab.call("Accessibility.getFullAXTree"))["nodes"]
    named: dict[str, list[str]] = {}
    for node in tree:
        if not node["ignored"]:
            role = node["role"]["value"]
            named.setdefault(role, []).append(node.get("name", {}).get("value", ""))
    assert named["main"] == [""]
    assert named["navigation"] == ["Contents"]
    assert named["radio"] == [language.title for language in LANGUAGES]
    assert "Language of the examples" in named["group"]
    for role in ("link", "radio", "heading", "article"):
        assert all(named[role]), role


async def test_a_link_to_an_operation_shows_it_below_the_bar(site: Site, tab: Tab) -> None:
    await tab.show(f"{site.url}/docs#changeRemark", width=360)
    top = await tab.value("document.getElementById('changeRemark').getBoundingClientRect().top")
    bar = await tab.value("document.querySelector('.bar').getBoundingClientRect().bottom")
    assert bar - 1 <= top < 900
