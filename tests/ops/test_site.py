"""The documents build as a site without a warning, and every link in it leads somewhere."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from ops.site import html_links, navigation


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    # Sphinx is configured once a process: in a process of its own it disturbs no other test.
    target = tmp_path_factory.mktemp("site") / "docs"
    done = subprocess.run(
        [sys.executable, "-m", "ops.site", str(target)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return target


@pytest.mark.servers
def test_every_link_and_anchor_leads_somewhere(built: Path) -> None:
    pages = list(built.rglob("*.html"))
    assert len(pages) > 40
    assert html_links.problems(built) == []


@pytest.mark.servers
def test_no_page_needs_another_host(built: Path) -> None:
    """Scripts, styles and pictures are local; addresses outside are links that a reader opens."""
    for path in built.rglob("*.html"):
        page = html_links.read(path.read_text("utf-8"))
        assert not [what for what in page.fetched if re.match(r"(https?:)?//", what)], path
    assert all(link.startswith("https://") for link in html_links.outside(built))


@pytest.mark.servers
def test_a_linked_source_file_is_a_page(built: Path) -> None:
    page = (built / "_source/gateway/web/transport/listener.py.html").read_text("utf-8")
    assert 'id="L1"' in page
    guide = (built / "ops/guides/path-of-an-event.html").read_text("utf-8")
    assert "../../_source/gateway/web/transport/listener.py.html" in guide


@pytest.mark.servers
def test_a_directory_that_is_no_site_is_not_removed(tmp_path: Path) -> None:
    (tmp_path / "mine").touch()
    done = subprocess.run(
        [sys.executable, "-m", "ops.site", str(tmp_path)], capture_output=True, check=False
    )
    assert (done.returncode, (tmp_path / "mine").exists()) == (1, True)


def _site(directory: Path, **pages: str) -> Path:
    for name, text in pages.items():
        (directory / f"{name}.html").write_text(text, "utf-8")
    return directory


def test_a_broken_link_is_seen(tmp_path: Path) -> None:
    found = html_links.problems(
        _site(
            tmp_path,
            a='<a href="b.html#there">1</a><a href="b.html#gone">2</a><a href="c.html">3</a>'
            '<a href="../x">4</a><a href="#top">5</a><a href="https://example.com/x">6</a>'
            '<img src="https://example.com/i.png"><script src="//example.com/s.js"></script>',
            b='<p id="there">',
        )
    )
    assert found == [
        "a.html fetches https://example.com/i.png",
        "a.html fetches //example.com/s.js",
        "a.html: b.html#gone names an anchor that is not there",
        "a.html: c.html leads nowhere",
        "a.html: ../x leads out of the site",
        "a.html: #top names an anchor that is not there",
    ]


def test_a_style_that_fetches_is_seen(tmp_path: Path) -> None:
    (tmp_path / "s.css").write_text("@font-face { src: url(https://fonts.example.com/f.woff2) }")
    assert html_links.problems(tmp_path) == ["s.css fetches https://fonts.example.com/f.woff2"]


def test_a_star_takes_what_no_other_entry_names() -> None:
    pages = {"a/x", "a/y", "a/README", "b"}
    found = navigation.expanded({"A": ["a/README", "a/*"], "B": ["b"]}, pages)
    assert found == {"A": ["a/README", "a/x", "a/y"], "B": ["b"]}


def test_an_entry_without_a_page_is_an_error() -> None:
    with pytest.raises(LookupError, match="a/z fits no page"):
        navigation.expanded({"A": ["a/z"]}, {"a/x"})
