"""The official libraries of other languages, each in a small program of its own.

A program is built on first use, below ``build/``, from what its folder in ``fixtures/languages``
pins, and again when that has changed. It reads a message a line and writes what the library says.
"""

import base64
import fcntl
import hashlib
import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from msgspec import Struct

from tests.support.patience import HANG_S

_ROOT = Path(__file__).resolve().parents[2]
_FIXTURES = Path(__file__).with_name("fixtures") / "languages"
_PLACE = _ROOT / "build" / "languages"
_BUILD_S_MAX = 600

#: What builds the program of a language, and what runs it, in its folder.
_COMMANDS: dict[str, tuple[Sequence[Sequence[str]], Sequence[str]]] = {
    "javascript": (
        [["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"]],
        ["node", "verify.js"],
    ),
    "go": ([["go", "build", "-mod=readonly", "-o", "verify", "."]], ["./verify"]),
    "rust": ([["cargo", "build", "--locked", "--quiet"]], ["target/debug/verify"]),
    "java": (
        [
            ["mvn", "-q", "-B", "dependency:copy-dependencies", "-DoutputDirectory=lib"],
            ["sha256sum", "--check", "--strict", "../jars.sha256"],
            ["javac", "-cp", "lib/*", "Verify.java"],
        ],
        ["java", "-cp", ".:lib/*", "Verify"],
    ),
}
LANGUAGES = tuple(_COMMANDS)


class NotHere(Exception):
    """A language cannot be used on this machine. The text says why."""


class Message(Struct, frozen=True):
    """A message as its receiver has it, and the secret that it knows."""

    secret: str
    headers: dict[str, str]
    body: bytes

    def line(self) -> str:
        """The message as the programs read it."""
        names = ("webhook-id", "webhook-timestamp", "webhook-signature")
        body = base64.b64encode(self.body).decode()
        return "\t".join([self.secret, *[self.headers[name] for name in names], body])


def verdicts(language: str, messages: Sequence[Message]) -> list[list[bool]]:
    """What the libraries of a language say of each message. Raises ``NotHere``."""
    place = _built(language)
    done = subprocess.run(
        _COMMANDS[language][1],
        cwd=place,
        input="".join(f"{message.line()}\n" for message in messages).encode(),
        capture_output=True,
        timeout=HANG_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode(errors="replace")
    return [[word == "1" for word in line.split()] for line in done.stdout.decode().splitlines()]


def _built(language: str) -> Path:
    fixture = _FIXTURES / language
    files = sorted(fixture.iterdir())
    digest = hashlib.sha256(b"\0".join(file.name.encode() + file.read_bytes() for file in files))
    place = _PLACE / f"{language}-{digest.hexdigest()[:16]}"
    _PLACE.mkdir(parents=True, exist_ok=True)
    with (_PLACE / f"{language}.lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        if not place.is_dir():
            building = place.with_suffix(f".{os.getpid()}")
            shutil.copytree(fixture, building)
            try:
                for command in _COMMANDS[language][0]:
                    _run(language, command, building)
            except NotHere:
                shutil.rmtree(building, ignore_errors=True)
                raise
            building.rename(place)
    return place


def _run(language: str, command: Sequence[str], place: Path) -> None:
    if shutil.which(command[0]) is None:
        raise NotHere(f"no {command[0]} on this machine: nothing was compared with {language}")
    where = place / "lib" if command[0] == "sha256sum" else place
    try:
        subprocess.run(
            command,
            cwd=where,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=_BUILD_S_MAX,
            check=True,
        )
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as exc:
        # What was fetched is not what is pinned: no reason to skip.
        assert command[0] != "sha256sum", f"the jars of {language} are not those that are pinned"
        output = (exc.output or b"").decode(errors="replace")[-500:]
        raise NotHere(
            f"`{' '.join(command)}` failed: nothing was compared with {language}\n{output}"
        ) from exc
