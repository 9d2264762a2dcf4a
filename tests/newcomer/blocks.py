"""What a page asks its reader to do: its fenced blocks and marks, as steps in order.

A mark is an HTML comment above a block. ``Misprint`` says what a page may not have: a block whose
language is not named, a mark that is not known or stands above nothing, an output below no command.
"""

import json
import re
import shlex
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Literal, get_args

from markdown_it import MarkdownIt
from markdown_it.token import Token
from msgspec import Struct

#: What a page needs before its first block.
Needs = Literal["nothing", "gateway", "servers"]

#: Why a block is not run: a closed list.
SKIPS: Mapping[str, str] = {
    "account": "needs an account at the provider, or its dashboard",
    "root": "needs root, or systemd",
    "machine": "needs another machine, or a load balancer",
    "install": "installs something on the system",
    "program": "needs a program that the project does not install",
    "long": "takes minutes to hours; a test of its own or continuous integration runs it",
}
#: Commands that stay in the foreground, and what they print when they can be used.
STAYING = (
    (re.compile(r"make run\b"), "Ctrl-C stops"),
    (re.compile(r"(?:\S*/)?tidegate up\b"), "Ctrl-C stops"),
    (re.compile(r"(?:\S*/)?tidegate serve\b"), '"(listening|supervising)"'),
    (re.compile(r"(?:\S*/)?tidegate work\b"), '"working"'),
)
#: Languages in which commands hide.
_OTHER_SHELLS = {"bash", "shell", "zsh", "shell-session", "sh-session", "bash-session", "sql"}
_MARK = re.compile(r"<!--\s*newcomer:\s*(.*?)\s*-->", re.DOTALL)
_KEYS = {"needs", "skip", "status", "stays", "until", "file", "append"}


class Misprint(ValueError):
    """The page cannot be played; the message names the line."""


class Command(Struct, frozen=True):
    """Lines for a shell. ``answer``: what they print; None: the page does not say."""

    text: str
    answer: str | None = None
    status: int = 0
    #: Set where the last line stays in the foreground: a pattern of what it prints when ready.
    stays_until: str | None = None


class Write(Struct, frozen=True):
    """The reader puts ``text`` into the file ``name``."""

    name: str
    text: str
    is_appended: bool


class Stop(Struct, frozen=True):
    """The reader presses Ctrl-C in each terminal in which something stays."""


class Skipped(Struct, frozen=True):
    """A block that is not run, and why."""

    text: str
    reason: str


class Step(Struct, frozen=True):
    """One step and the line of the page that asks for it."""

    line: int
    what: Command | Write | Stop | Skipped


class Page(Struct, frozen=True):
    """A page as its reader plays it."""

    needs: Needs
    steps: Sequence[Step]


class _Mark(Struct):
    line: int
    values: dict[str, str]


def read(text: str) -> Page:
    """Return the page. Raises ``Misprint``."""
    reader = _Reader()
    for token in MarkdownIt("commonmark").enable("table").parse(text):
        reader.take(token)
    return reader.page()


class _Reader:
    def __init__(self) -> None:
        self._needs: Needs = "nothing"
        self._steps: list[Step] = []
        self._mark: _Mark | None = None
        #: Whether the last block on the page was one whose output may follow.
        self._may_have_output = False

    def page(self) -> Page:
        self._expect_no_mark()
        return Page(self._needs, self._steps)

    def take(self, token: Token) -> None:
        line = token.map[0] + 1 if token.map else 0
        if token.type == "html_block":
            for match in _MARK.finditer(token.content):
                self._take_mark(match[1], line)
        elif token.type == "code_block":
            raise Misprint(f"line {line}: an indented block; write a fence with a language")
        elif token.type == "fence":
            self._take_fence(token, line)
        elif token.type == "inline":
            if "<!--" in token.content and _MARK.search(token.content):
                raise Misprint(f"line {line}: a mark inside a paragraph; give it lines of its own")
            self._expect_no_mark()

    def _expect_no_mark(self) -> None:
        if self._mark is not None:
            raise Misprint(f"line {self._mark.line}: a mark that stands above no block")

    def _take_mark(self, mark: str, line: int) -> None:
        word, _, rest = mark.partition("\n")
        if word.strip() == "hidden":
            self._steps.append(Step(line, Command(rest)))
        elif mark == "stop":
            self._steps.append(Step(line, Stop()))
        else:
            values = dict(_pairs(mark, line))
            if "needs" in values:
                self._take_needs(values, line)
            else:
                self._expect_no_mark()
                self._mark = _Mark(line, values)

    def _take_needs(self, values: dict[str, str], line: int) -> None:
        if len(values) > 1 or self._steps:
            raise Misprint(f"line {line}: `needs` stands alone, above the first block of a page")
        if values["needs"] not in get_args(Needs):
            raise Misprint(f"line {line}: needs={values['needs']} is none of {get_args(Needs)}")
        self._needs = values["needs"]  # type: ignore[assignment]  # one of them

    def _take_fence(self, token: Token, line: int) -> None:
        language = (token.info.split() or [""])[0]
        values = self._mark.values if self._mark is not None else {}
        self._mark = None
        if not language:
            raise Misprint(f"line {line}: a fence without a language")
        if language in _OTHER_SHELLS:
            raise Misprint(f"line {line}: {language}: commands are `sh` or `console` here")
        if language == "output":
            self._take_output(token.content, line)
        elif language in ("sh", "console"):
            self._take_commands(language, token.content, values, line)
        else:
            _check_content(language, token.content, line)
            self._take_content(token.content, values, line)
            self._may_have_output = False

    def _take_output(self, text: str, line: int) -> None:
        last = self._steps[-1].what if self._steps else None
        if not self._may_have_output or isinstance(last, Write | Stop):
            raise Misprint(f"line {line}: an output below no block of commands")
        if isinstance(last, Command):
            given = Command(last.text, text, last.status, last.stays_until)
            self._steps[-1] = Step(self._steps[-1].line, given)
        self._may_have_output = False

    def _take_commands(
        self, language: str, text: str, values: Mapping[str, str], line: int
    ) -> None:
        if foreign := values.keys() - {"skip", "status", "stays", "until"}:
            raise Misprint(f"line {line}: {', '.join(foreign)} above a block of commands")
        if "skip" in values:
            if values["skip"] not in SKIPS:
                raise Misprint(f"line {line}: skip={values['skip']} is none of {', '.join(SKIPS)}")
            self._steps.append(Step(line, Skipped(text, values["skip"])))
        elif language == "sh":
            status = int(values.get("status", "0"))
            until = values.get("until") or _staying(text)
            self._steps.append(Step(line, Command(text, None, status, until)))
        else:
            found = list(session(text, line))
            for number, (command, answer) in enumerate(found):
                status = int(values.get("status", "0")) if number == len(found) - 1 else 0
                self._steps.append(Step(line, Command(command, answer, status)))
        self._may_have_output = language == "sh"

    def _take_content(self, text: str, values: Mapping[str, str], line: int) -> None:
        if foreign := values.keys() - {"file", "append"}:
            raise Misprint(f"line {line}: {', '.join(foreign)} above a block that is not run")
        for key in ("file", "append"):
            if key in values:
                self._steps.append(Step(line, Write(values[key], text, key == "append")))


def _pairs(mark: str, line: int) -> Iterator[tuple[str, str]]:
    for word in shlex.split(mark):
        key, _, value = word.partition("=")
        if key not in _KEYS or (not value and key != "stays"):
            raise Misprint(f"line {line}: {word!r} is not a mark")
        yield key, value


def _staying(text: str) -> str | None:
    """Return what a command that stays prints when it is ready; None: the last line ends."""
    last = commands(text)[-1:] or [""]
    return next((until for pattern, until in STAYING if pattern.match(last[0])), None)


def commands(text: str) -> list[str]:
    """Return the commands of a block of shell: its lines, those that go on joined, no comments.

    What a here-document or a quote carries over lines counts as lines of their own.
    """
    joined = re.sub(r"\s*\\\n\s*", " ", text)
    lines = (line.strip() for line in joined.splitlines())
    return [line for line in lines if line and not line.startswith("#")]


def session(text: str, line: int) -> Iterator[tuple[str, str]]:
    """Yield each command of a session and what it prints."""
    command: list[str] = []
    answer: list[str] = []
    for each in text.splitlines():
        if each.startswith("$ "):
            if command:
                yield "\n".join(command), "\n".join(answer)
            command, answer = [each[2:]], []
        elif not command:
            raise Misprint(f"line {line}: a session begins with `$ `")
        elif command[-1].endswith("\\") and not answer:
            command.append(each.removeprefix("> "))
        else:
            answer.append(each)
    if not command:
        raise Misprint(f"line {line}: a session without a command")
    yield "\n".join(command), "\n".join(answer)


_PARSERS: Mapping[str, Callable[[str], object]] = {
    "json": json.loads,
    "toml": tomllib.loads,
    "python": lambda text: compile(text, "<page>", "exec"),
}


def _check_content(language: str, text: str, line: int) -> None:
    """What is not run can be read at least, unless parts of it are left out."""
    if language in _PARSERS and "…" not in text:
        try:
            _PARSERS[language](text)
        except (ValueError, SyntaxError) as exc:
            raise Misprint(f"line {line}: this {language} cannot be read: {exc}") from exc
