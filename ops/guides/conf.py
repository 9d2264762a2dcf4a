"""The site that `make docs` builds: which pages it has, in which order, and its look.

The source directory is the root of the repository, so every link between two pages is the one that
GitHub follows.
"""

import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

project = "Tidegate"
version = release = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"][
    "version"
]
language = "en"

extensions = ["myst_parser", "ops.site.navigation", "ops.site.source_pages"]
root_doc = "ops/guides/index"
source_suffix = {".md": "markdown"}
include_patterns = [
    "README.md",
    "CHANGELOG.md",
    ".github/CONTRIBUTING.md",
    "gateway/providers/*.md",
    "ops/**.md",
    "tests/README.md",
]
# These are not walked through: neither for pages nor for what is linked.
exclude_patterns = [".git", ".venv", ".tidegate", "build", "dist", "**/__pycache__"]

#: The side bar: a heading, and its pages in this order. A page that is missing here is an error, so
#: that every page can be found. A `*` stands for the other pages of that folder.
navigation = {
    "": ["README"],
    "Concepts": [
        "ops/guides/concepts",
        "ops/guides/orders",
        "ops/guides/path-of-an-event",
        "ops/guides/overload",
    ],
    "How to": ["ops/guides/how-to/*"],
    "Reference": ["ops/guides/reference/*", "ops/front/README"],
    "Providers": ["ops/guides/providers", "gateway/providers/*"],
    "Runbooks": ["ops/runbooks/*"],
    "Figures": ["ops/guides/figures"],
    "Project": [
        "CHANGELOG",
        ".github/CONTRIBUTING",
        "tests/README",
        "ops/decisions/README",
        "ops/decisions/*",
    ],
}

# What GitHub's Markdown has and nothing more, so that a page reads the same in both places. (With
# `myst_gfm_only` no link between pages would be followed.)
myst_enable_extensions = ["alert", "gfm_autolink", "strikethrough", "tasklist"]
myst_disable_syntax = ["myst_role", "myst_target", "myst_line_comment", "myst_block_break"]
myst_heading_anchors = 6

nitpicky = True
highlight_language = "none"
# Quotes as they are written: many of them are to be typed.
smartquotes = False

html_theme = "furo"
html_title = "Tidegate"
html_copy_source = False
html_show_sourcelink = False
html_show_copyright = False
html_use_index = False
html_theme_options = {
    "navigation_with_keys": True,
    "light_css_variables": {
        "color-brand-primary": "#0b6e75",
        "color-brand-content": "#0b6e75",
        "color-brand-visited": "#5b4b8a",
    },
    "dark_css_variables": {
        "color-brand-primary": "#4fc3c9",
        "color-brand-content": "#4fc3c9",
        "color-brand-visited": "#b8a6e8",
    },
}
# Links inside the site are checked in its HTML, see ops/site/html_links.py.
linkcheck_ignore = ["(?!https?://)"]
linkcheck_timeout = 20
linkcheck_workers = 4
