"""A Sphinx extension: files and folders of the repository that a document links become pages.

On GitHub such a link opens the file; in the site it opens a page with the file in it, so that the
site is whole without GitHub. A folder with a README opens that, any other one the list of its
files.
"""

import html
import os
import posixpath
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pygments
from docutils import nodes
from pygments.formatters import HtmlFormatter
from pygments.lexers import TextLexer, get_lexer_for_filename
from pygments.util import ClassNotFound
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.transforms import SphinxTransform

_FOLDER = "_source"
_BYTES_MAX = 1 << 20


class _LinkSources(SphinxTransform):
    """Links to files and folders point to their pages; the environment has the list of them."""

    default_priority = 110

    def apply(self, **kwargs: Any) -> None:
        """Called by Sphinx for each document."""
        for node in list(self.document.findall(_is_path)):
            target, _, fragment = str(node["reftarget"]).partition("#")
            place = posixpath.normpath(posixpath.join(posixpath.dirname(self.env.docname), target))
            if self._is_document(place):
                continue
            path = Path(self.env.srcdir) / place
            if not path.exists() or place.startswith(".."):
                continue  # Sphinx says that it is not there
            if path.is_dir() and self._is_document(f"{place}/README.md"):
                page = f"{place}/README"
            else:
                page = f"{_FOLDER}/{place}"
                _sources(self.env).setdefault(self.env.docname, set()).add(place)
            here = posixpath.dirname(self.env.docname)
            uri = posixpath.relpath(f"{page}.html", here or ".")
            link = nodes.reference("", "", *_words(node), internal=True)
            link["refuri"] = uri + (f"#{fragment}" if fragment else "")
            node.replace_self(link)

    def _is_document(self, place: str) -> bool:
        return self.env.path2doc(place) in self.env.found_docs


def _is_path(node: nodes.Node) -> bool:
    if isinstance(node, addnodes.download_reference):
        return True
    return isinstance(node, addnodes.pending_xref) and node.get("refdomain") is None


def _words(node: nodes.Element) -> list[nodes.Node]:
    # Behind the words is a wrapper that marks a reference of Sphinx's own.
    inner = node[0] if len(node) == 1 and isinstance(node[0], nodes.inline) else node
    return [child.deepcopy() for child in inner.children]


def _sources(env: BuildEnvironment) -> dict[str, set[str]]:
    """Return the linked places by the document that links them."""
    if not hasattr(env, "tidegate_sources"):
        env.tidegate_sources = {}  # type: ignore[attr-defined]  # Sphinx's way of keeping something
    found: dict[str, set[str]] = env.tidegate_sources  # type: ignore[attr-defined]
    return found


def _forget(_: Sphinx, env: BuildEnvironment, docname: str) -> None:
    _sources(env).pop(docname, None)


def _merge(_: Sphinx, env: BuildEnvironment, __: set[str], other: BuildEnvironment) -> None:
    _sources(env).update(_sources(other))


def _pages(app: Sphinx) -> Iterator[tuple[str, dict[str, Any], str]]:
    root = Path(app.srcdir)
    places = sorted(set().union(*_sources(app.env).values()))
    for place in places:
        path = root / place
        listed = _files(path) if path.is_dir() else []
        for file in [path / name for name in listed] if listed else [path]:
            body = _code(file) if file.is_file() else ""
            yield (
                f"{_FOLDER}/{file.relative_to(root).as_posix()}",
                _page(file, root, body),
                "page.html",
            )
        if listed:
            base = posixpath.basename(place)
            items = "".join(
                f'<li><a href="{base}/{html.escape(name)}.html">{html.escape(name)}</a></li>'
                for name in listed
            )
            yield f"{_FOLDER}/{place}", _page(path, root, f"<ul>{items}</ul>"), "page.html"


def _page(path: Path, root: Path, body: str) -> dict[str, Any]:
    name = html.escape(path.relative_to(root).as_posix())
    return {"title": name, "body": f"<h1><code>{name}</code></h1>{body}"}


def _files(folder: Path) -> list[str]:
    """Return the names of the files in a folder that people would read."""
    return sorted(
        entry.name
        for entry in os.scandir(folder)
        if entry.is_file() and not entry.name.startswith(".") and not entry.name.endswith(".pyc")
    )


def _code(path: Path) -> str:
    """Return the file as HTML, with an anchor `L12` for each line, as GitHub has them."""
    if path.stat().st_size > _BYTES_MAX:
        return "<p>This file is too large to be shown.</p>"
    try:
        text = path.read_text("utf-8")
    except UnicodeDecodeError:
        return "<p>This file is not text.</p>"
    try:
        lexer = get_lexer_for_filename(path.name)
    except ClassNotFound:
        lexer = TextLexer()
    lines = pygments.highlight(text, lexer, HtmlFormatter(nowrap=True)).splitlines()
    marked = "\n".join(f'<span id="L{n}">{line}</span>' for n, line in enumerate(lines, 1))
    return f'<div class="highlight"><pre>{marked}</pre></div>'


def _write_index(app: Sphinx, problem: Exception | None) -> None:
    """The top of the site leads to its first page, which is deeper."""
    if problem is None and app.builder.format == "html":
        target = f"{app.config.root_doc}.html"
        text = (
            '<!doctype html><meta charset="utf-8"><title>Tidegate</title>'
            f'<meta http-equiv="refresh" content="0; url={target}">'
            f'<a href="{target}">Tidegate</a>\n'
        )
        (Path(app.outdir) / "index.html").write_text(text, "utf-8")


def setup(app: Sphinx) -> dict[str, bool]:
    """Called by Sphinx."""
    app.add_transform(_LinkSources)
    app.connect("env-purge-doc", _forget)
    app.connect("env-merge-info", _merge)
    app.connect("html-collect-pages", _pages)
    app.connect("build-finished", _write_index)
    # Shown as it is written: drawing it would need a script from elsewhere.
    app.add_lexer("mermaid", TextLexer)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
