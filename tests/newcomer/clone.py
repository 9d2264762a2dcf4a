"""A fresh clone of this repository, as it is in the working tree, with an environment.

The environment borrows the packages of another one: to install them anew takes a network. What
`python -m tests.newcomer --fresh` does is left to `make`, as a newcomer's is.
"""

import hashlib
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from msgspec import Struct

from tests.newcomer.documents import ROOT

_VENV = ".venv"


class Environment(Struct, frozen=True):
    """An environment that clones borrow, and what of the Makefile it provides."""

    prefix: Path
    provides: Sequence[str]


def ours() -> Environment:
    """Return the environment that runs this: it has the packages of the tests."""
    return Environment(Path(sys.prefix), ("develop", "runtime"))


def installed(target: Path) -> Environment:
    """Make a clone whose environment `make` installs, for running only. Takes a network."""
    make(target, None)
    subprocess.run(["make", "runtime"], cwd=target, check=True)
    return Environment(target / _VENV, ("runtime",))


def make(target: Path, environment: Environment | None) -> None:
    """``target`` is a clone with all that is not committed yet; its .venv borrows, if there is."""
    _git("clone", "--quiet", "--shared", str(ROOT), str(target))
    _overlay(target)
    if environment is not None:
        _borrow(target, environment)


def _overlay(target: Path) -> None:
    """The working tree of the clone is ours: what is changed, new and deleted here."""
    changed = _git("diff", "--name-only", "-z", "--no-renames", "HEAD")
    new = _git("ls-files", "--others", "--exclude-standard", "-z")
    for name in filter(None, (changed + new).split("\0")):
        ours, theirs = ROOT / name, target / name
        if ours.is_file():
            theirs.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ours, theirs)
        elif not ours.exists():
            theirs.unlink(missing_ok=True)


def _git(*arguments: str) -> str:
    done = subprocess.run(
        ["git", "-c", "safe.directory=*", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def _borrow(target: Path, environment: Environment) -> None:
    """The clone has an environment that `make` takes for its own, with the packages of another."""
    venv = target / _VENV
    python = environment.prefix / "bin" / "python"
    subprocess.run([python, "-m", "venv", "--without-pip", str(venv)], check=True)
    (packages,) = venv.glob("lib/python*/site-packages")
    # The clone comes first. What .pth files of the other would add is left out: its own code.
    paths = [target, *environment.prefix.glob("lib*/python*/site-packages")]
    (packages / "borrowed.pth").write_text("".join(f"{path}\n" for path in paths), "utf-8")
    for script in (environment.prefix / "bin").iterdir():
        _borrow_script(script, venv)
    (venv / ".installed").write_text(_stamp(target, environment.provides), "utf-8")


def _borrow_script(script: Path, venv: Path) -> None:
    """A command of the other, run by the interpreter of the clone; other files are left out."""
    theirs = venv / "bin" / script.name
    if not script.is_file() or theirs.exists():
        return
    content = script.read_bytes()
    first, _, rest = content.partition(b"\n")
    if first.startswith(b"#!") and b"python" in first:
        theirs.write_bytes(f"#!{venv}/bin/python\n".encode() + rest)
    else:
        theirs.write_bytes(content)
    theirs.chmod(0o755)


def _stamp(target: Path, provides: Sequence[str]) -> str:
    """Return what the Makefile writes down when these are installed."""
    makefile = (target / "Makefile").read_text("utf-8")
    inputs = {"runtime": _inputs(makefile, "RUNTIME_INPUTS")}
    inputs["develop"] = inputs["runtime"] + _inputs(makefile, "DEVELOP_INPUTS")
    return "".join(f"{name} {_sum(target, inputs[name])}\n" for name in provides)


def _inputs(makefile: str, name: str) -> list[str]:
    match = re.search(rf"^{name} := (.*)$", makefile, re.MULTILINE)
    assert match, f"the Makefile has no {name}"
    return [word for word in match[1].split() if not word.startswith("$")]


def _sum(target: Path, files: list[str]) -> str:
    content = b"".join((target / file).read_bytes() for file in files)
    return f"{hashlib.sha256(content).hexdigest()}  -"
