"""HTML as text: everything that is shown goes through ``escaped`` or ``prose``."""

import html
import re
from collections.abc import Iterable

_INLINE = re.compile(r"`([^`]+)`|\*\*([^*]+)\*\*")


def escaped(text: object) -> str:
    """Return text for content and for attributes in double quotes."""
    return html.escape(str(text))


def inline(text: str) -> str:
    """Return one paragraph of CommonMark, of which code and strong text are understood."""
    parts = []
    end = 0
    for match in _INLINE.finditer(text):
        parts.append(escaped(text[end : match.start()]))
        code, strong = match.groups()
        parts.append(f"<code>{escaped(code)}</code>" if code else f"<b>{escaped(strong)}</b>")
        end = match.end()
    return "".join([*parts, escaped(text[end:])])


def prose(text: str) -> str:
    """Return the paragraphs of a text."""
    paragraphs = filter(None, (part.strip() for part in text.split("\n\n")))
    return joined(f"<p>{inline(part)}</p>" for part in paragraphs)


def code(text: str, label: str) -> str:
    """Return a block of code that can be scrolled with the keyboard; ``label`` says what it is."""
    return (
        f'<pre tabindex="0" role="group" aria-label="{escaped(label)}">'
        f"<code>{escaped(text)}</code></pre>"
    )


def joined(parts: Iterable[str]) -> str:
    """Return parts below each other; empty ones are left out."""
    return "\n".join(part for part in parts if part)
