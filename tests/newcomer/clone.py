"""A fresh clone of this repository, as it is in the working tree, with an environment.

The environment of a test borrows the packages of the one that runs the test: to install them anew
takes a network. ``python -m tests.newcomer --fresh`` leaves that to `make`, as a newcomer would.
"""

import hashlib
import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

from tests.newcomer.documents import ROOT

_VENV = ".venv"


def make(target: Path, *, is_fresh: bool) -> None:
    """``target`` is a clone with what is not committed yet; without ``is_fresh`` it has .venv."""
    _git("clone", "--quiet", "--shared", str(ROOT), str(target))
    _overlay(target)
    if not is_fresh:
        _borrow_environment(target)


def install(target: Path) -> None:
    """The clone has the environment that `make` installs for running; needs a network."""
    subprocess.run(["make", "runtime"], cwd=target, check=True)


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


def _borrow_environment(target: Path) -> None:
    """The clone has an environment that `make` takes for its own, with the packages of ours."""
    venv = target / _VENV
    python = getattr(sys, "_base_executable", sys.executable)
    subprocess.run([python, "-m", "venv", "--without-pip", str(venv)], check=True)
    (packages,) = venv.glob("lib/python*/site-packages")
    # The clone comes first, and nothing that .pth files of ours would add: our code is not its.
    paths = [str(target), sysconfig.get_path("purelib"), sysconfig.get_path("platlib")]
    (packages / "borrowed.pth").write_text("\n".join(dict.fromkeys(paths)) + "\n", "utf-8")
    for script in Path(sys.prefix, "bin").iterdir():
        _borrow_script(script, venv)
    (venv / ".installed").write_text(_stamp(target), "utf-8")


def _borrow_script(script: Path, venv: Path) -> None:
    """A command of ours, run by the interpreter of the clone; other files are left out."""
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


def _stamp(target: Path) -> str:
    """Return what the Makefile writes down when everything is installed."""
    makefile = (target / "Makefile").read_text("utf-8")
    runtime = _inputs(makefile, "RUNTIME_INPUTS")
    develop = runtime + _inputs(makefile, "DEVELOP_INPUTS")
    sums = (f"{name} {_sum(target, files)}" for name, files in
            (("develop", develop), ("runtime", runtime)))  # fmt: skip
    return "".join(f"{line}\n" for line in sums)


def _inputs(makefile: str, name: str) -> list[str]:
    match = re.search(rf"^{name} := (.*)$", makefile, re.MULTILINE)
    assert match, f"the Makefile has no {name}"
    return [word for word in match[1].split() if not word.startswith("$")]


def _sum(target: Path, files: list[str]) -> str:
    content = b"".join((target / file).read_bytes() for file in files)
    return f"{hashlib.sha256(content).hexdigest()}  -"
