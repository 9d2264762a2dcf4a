"""Commands that documents name in passing: command, options and targets of make exist."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click

from ops import cli
from tests.newcomer.documents import ROOT

_SPAN = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")
_FENCE = re.compile(r"^```(?:sh|console)\n(.*?)^```", re.DOTALL | re.MULTILINE)
_TIDEGATE = re.compile(r"(?:\S*/)?tidegate\s+(\S.*)")
_MAKE = re.compile(r"make(?:\s+(\S.*))?")
_MODULE = re.compile(r"(?:\S*/)?python3? -m (tests|ops|loadtest|gateway)\b(\S*)")


def named(text: str) -> Iterator[str]:
    """Yield every command of a document: code spans, and lines of blocks of commands."""
    yield from _SPAN.findall(re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE))
    for block in _FENCE.findall(text):
        for line in re.sub(r"\\\n\s*", " ", block).splitlines():
            yield line.removeprefix("$ ").strip()


def wrong(command: str) -> str:
    """Return what does not exist of a command; empty: all does, or it is not one of ours."""
    if match := _MODULE.match(command):
        path = ROOT / (match[1] + match[2].replace(".", "/"))
        exists = path.with_suffix(".py").exists() or (path / "__main__.py").exists()
        return "" if exists else "no such module"
    if match := _TIDEGATE.fullmatch(command):
        return _wrong_tidegate(_words(match[1]))
    if match := _MAKE.fullmatch(command):
        return _wrong_make(_words(match[1] or ""))
    return ""


def _words(text: str) -> list[str]:
    try:
        words = shlex.split(text, comments=True)
    except ValueError:
        words = text.split()
    # What follows belongs to another command.
    end = next((n for n, word in enumerate(words) if word in ("|", "&", "&&", ";", ">")), None)
    return words[:end]


def _wrong_tidegate(words: list[str]) -> str:
    command: click.Command = cli.main
    context = click.Context(command)
    path = "tidegate"
    while isinstance(command, click.Group) and words and not words[0].startswith("-"):
        name = words.pop(0)
        if not re.fullmatch(r"[a-z][a-z-]*", name):
            return ""  # a placeholder, such as COMMAND
        below = command.get_command(context, name)
        if below is None:
            return f"`{path}` has no command {name}"
        command, path = below, f"{path} {name}"
    known = {option for parameter in command.params for option in parameter.opts}
    known |= {option for parameter in command.params for option in parameter.secondary_opts}
    known |= {"--help", "-h"}
    given = [word.partition("=")[0] for word in words if re.match(r"--?[a-z]", word)]
    return ", ".join(f"`{path}` has no option {name}" for name in given if name not in known)


def _wrong_make(words: list[str]) -> str:
    targets = set(re.findall(r"^([a-z][a-z-]*):", Path(ROOT, "Makefile").read_text(), re.M))
    given = [word for word in words if re.fullmatch(r"[a-z][a-z-]*", word)]
    return ", ".join(f"make has no target {name}" for name in given if name not in targets)
