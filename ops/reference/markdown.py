"""Small pieces of Markdown, in the dialect that GitHub and the site agree on."""

from collections.abc import Sequence

NOTE = "<!-- Generated from the code by `make reference`: change the code, not this page. -->"


def page(title: str, *parts: str) -> str:
    """Return a page with its title, the note that it is generated, and its parts."""
    return "\n\n".join([f"# {title}", NOTE, *(part.strip("\n") for part in parts)]) + "\n"


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table; each row has a cell for each head."""
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join("| " + " | ".join(_cell(cell) for cell in line) + " |" for line in lines)


def code(text: object) -> str:
    """Return a code span; the text has no backtick."""
    return f"`{text}`"


def codes(texts: Sequence[object]) -> str:
    """Return code spans with commas between them."""
    return ", ".join(map(code, texts))


def fence(text: str, language: str = "text") -> str:
    """Return a fenced block."""
    return f"```{language}\n{text.rstrip()}\n```"


def _cell(text: str) -> str:
    # Inside a code span too, a bar would end the cell.
    return " ".join(text.split()).replace("|", r"\|")
