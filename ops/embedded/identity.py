"""Which operating-system user runs the servers.

PostgreSQL refuses to run as root. So root starts the servers as `nobody` (or as TIDEGATE_RUN_AS),
and that user must be able to reach the programs and the data. Everyone else stays themselves.
"""

import os
import pwd
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ops.embedded import binaries, errors

DEFAULT_ACCOUNT = "nobody"


@dataclass(frozen=True, slots=True)
class Account:
    """A user other than the one we are."""

    name: str
    uid: int
    gid: int


def server_account() -> Account | None:
    """The user to run the servers as; None to run them as ourselves.

    Raises errors.CannotStart when TIDEGATE_RUN_AS cannot be obeyed.
    """
    wanted = os.environ.get("TIDEGATE_RUN_AS")
    if os.geteuid() != 0:
        if wanted and wanted != pwd.getpwuid(os.geteuid()).pw_name:
            raise errors.CannotStart(
                f"TIDEGATE_RUN_AS={wanted} needs root, because only root may start a process as "
                "another user. Unset it: the servers then run as you."
            )
        return None
    name = wanted or DEFAULT_ACCOUNT
    try:
        entry = pwd.getpwnam(name)
    except KeyError:
        raise errors.CannotStart(
            f"There is no user {name!r} on this machine to run the servers as. Set "
            "TIDEGATE_RUN_AS to an existing user without privileges."
        ) from None
    if entry.pw_uid == 0:
        raise errors.CannotStart(
            "PostgreSQL refuses to run as root. Set TIDEGATE_RUN_AS to a user without privileges, "
            f"or unset it to use {DEFAULT_ACCOUNT!r}."
        )
    return Account(entry.pw_name, entry.pw_uid, entry.pw_gid)


def require_name(account: Account | None) -> None:
    """Raises errors.CannotStart when initdb could not find out the name of its user."""
    uid = os.geteuid() if account is None else account.uid
    try:
        pwd.getpwuid(uid)
    except KeyError:
        raise errors.CannotStart(
            f"User {uid} has no entry in /etc/passwd, and PostgreSQL's initdb insists on one. Run "
            "as a user who has, or set TIDEGATE_DATABASE_URL to a server that is already running."
        ) from None


def can_enter(account: Account | None, directory: Path) -> bool:
    """Whether the account may pass through this existing directory."""
    # Tried, not computed from modes: access lists and mounts matter too.
    return _can(account, ["/bin/sh", "-c", 'cd -- "$0"', str(directory)])


def can_run(account: Account | None, *programs: Path) -> bool:
    """Whether the account may execute these programs."""
    # One process tries them all: to start one as another user takes this process longer.
    script = 'for program; do "$program" --version || exit 1; done'
    return _can(account, ["/bin/sh", "-c", script, "sh", *map(str, programs)])


def hand_over(path: Path, account: Account | None) -> None:
    """The path, without what is in it, belongs to the account from now on."""
    if account is not None:
        os.chown(path, account.uid, account.gid, follow_symlinks=False)


def hand_over_tree(path: Path, account: Account | None) -> None:
    """The path and everything below it belongs to the account; cheap when it already does."""
    if account is None or path.lstat().st_uid == account.uid:
        return
    for directory, _, files in os.walk(path, topdown=False):
        for name in files:
            hand_over(Path(directory, name), account)
        # The directory last: its owner marks that everything below it is done.
        hand_over(Path(directory), account)


def reachable_postgres(bin_dir: Path, account: Account | None, runtime: Path) -> Path:
    """A directory with PostgreSQL's programs that the account can run.

    That is `bin_dir` itself, or else a copy of the part of the package that is needed (23 MB),
    made under `runtime` once. Raises errors.CannotStart for the user's own unreachable binaries.
    """
    if account is None or can_run(account, *(bin_dir / p for p in binaries.POSTGRES_PROGRAMS)):
        return bin_dir
    if os.environ.get("TIDEGATE_PG_BIN"):
        raise _unreachable("TIDEGATE_PG_BIN", bin_dir, account)
    package = bin_dir.parent.parent
    copy = runtime / "postgres" / package.name / "pginstall" / "bin"
    if not copy.is_dir():
        half_made = runtime / "postgres.half-made"
        shutil.rmtree(half_made, ignore_errors=True)
        shutil.copytree(bin_dir.parent, half_made / package.name / "pginstall", ignore=_unneeded)
        libraries = package.with_name(f"{package.name}.libs")
        if libraries.is_dir():
            shutil.copytree(libraries, half_made / libraries.name)
        _publish(half_made, runtime / "postgres")
    return copy


def reachable_valkey(program: Path, account: Account | None, runtime: Path) -> Path:
    """The path of Valkey's program, or of a copy of it, that the account can run."""
    if account is None or can_run(account, program):
        return program
    if os.environ.get("TIDEGATE_VALKEY_BIN"):
        raise _unreachable("TIDEGATE_VALKEY_BIN", program, account)
    copy = runtime / "valkey" / program.name
    if not copy.exists():
        half_made = runtime / "valkey.half-made"
        shutil.rmtree(half_made, ignore_errors=True)
        half_made.mkdir(parents=True)
        shutil.copy2(program, half_made / program.name)
        _publish(half_made, runtime / "valkey")
    return copy


def _can(account: Account | None, argv: list[str]) -> bool:
    try:
        run = subprocess.run(
            argv,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=10,
            check=False,
            cwd="/",
            user=None if account is None else account.uid,
            group=None if account is None else account.gid,
            extra_groups=None if account is None else [],
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return run.returncode == 0


def _unreachable(variable: str, path: Path, account: Account) -> errors.CannotStart:
    return errors.CannotStart(
        f"The servers run as {account.name}, who cannot run {path} ({variable}). Make it and the "
        f"directories above it accessible to {account.name}, set TIDEGATE_RUN_AS to a user who "
        f"can, or unset {variable}."
    )


def _unneeded(directory: str, names: list[str]) -> Iterator[str]:
    for name in names:
        in_bin = directory.endswith("/bin") and name not in binaries.POSTGRES_PROGRAMS
        if in_bin or name.endswith(".a") or name in {"doc", "man", "include", "pkgconfig"}:
            yield name


def _publish(half_made: Path, final: Path) -> None:
    for directory, _, files in os.walk(half_made):
        Path(directory).chmod(0o755)
        for name in files:
            file = Path(directory, name)
            # Installed under a strict umask the originals may be readable by their owner only.
            file.chmod(0o755 if file.stat().st_mode & 0o100 else 0o644)
    final.parent.chmod(0o755)
    shutil.rmtree(final, ignore_errors=True)
    half_made.rename(final)
