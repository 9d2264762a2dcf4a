"""A Sphinx extension: the side bar from the setting `navigation`.

The pages stay free of directives that GitHub would show as code. A page that the setting does not
name is in no table of contents, which Sphinx warns of.
"""

import fnmatch
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.transforms import SphinxTransform
from sphinx.util import logging

_log = logging.getLogger(__name__)


def expanded(navigation: Mapping[str, Sequence[str]], pages: Iterable[str]) -> dict[str, list[str]]:
    """Return the pages below each heading. A `*` takes what no other entry names, sorted by name.

    Raises ``LookupError`` for an entry that fits no page.
    """
    every = sorted(pages)
    named = {entry for entries in navigation.values() for entry in entries if "*" not in entry}
    found: dict[str, list[str]] = {}
    for heading, entries in navigation.items():
        below = found[heading] = []
        for entry in entries:
            matching = [page for page in every if fnmatch.fnmatchcase(page, entry)]
            if not matching:
                raise LookupError(f"navigation: {entry} fits no page")
            below += [page for page in matching if "*" not in entry or page not in named]
    return found


class _InsertNavigation(SphinxTransform):
    """The root page ends with a hidden table of contents for each heading."""

    default_priority = 100

    def apply(self, **kwargs: Any) -> None:
        """Called by Sphinx for each document."""
        if self.env.docname != self.config.root_doc:
            return
        others = self.env.found_docs - {self.config.root_doc}
        try:
            sections = expanded(self.config.navigation, others)
        except LookupError as exc:
            _log.warning("%s", exc)
            return
        for heading, pages in sections.items():
            toctree = addnodes.toctree(
                caption=heading or None,
                entries=[(None, page) for page in pages],
                includefiles=pages,
                rawentries=[],
                rawcaption=heading or "",
                glob=False,
                hidden=True,
                includehidden=False,
                maxdepth=1,
                numbered=0,
                parent=self.env.docname,
                titlesonly=True,
            )
            wrapper = nodes.compound(classes=["toctree-wrapper"])
            wrapper += toctree
            self.document[-1].append(wrapper)


def setup(app: Sphinx) -> dict[str, bool]:
    """Called by Sphinx."""
    app.add_config_value("navigation", {}, "env", dict)
    app.add_transform(_InsertNavigation)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
