"""The languages of the examples: how a request is written, and the longer programs."""

from collections.abc import Callable
from importlib import resources

from msgspec import Struct

from gateway.web.docs import requests
from gateway.web.docs.requests import Example


class Language(Struct, frozen=True):
    """A language. ``name`` is its class on the page, ``title`` its name in text."""

    name: str
    title: str
    #: How the files of its programs end.
    suffix: str
    #: Writes a request.
    write: Callable[[Example], str]
    #: The command that runs a file, which follows it.
    run: str


LANGUAGES = (
    Language("curl", "curl", ".sh", requests.curl, "sh"),
    Language("python", "Python", ".py", requests.python, "python3"),
    Language("javascript", "JavaScript", ".mjs", requests.javascript, "node"),
    Language("go", "Go", ".go", requests.go, "go run"),
    Language("java", "Java", ".java", requests.java, "java"),
)


def program(name: str, language: Language) -> str:
    """Return the source of a program of ``examples``."""
    folder = resources.files("gateway.web.docs").joinpath("examples")
    return folder.joinpath(name + language.suffix).read_text("utf-8")
