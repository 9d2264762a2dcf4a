"""One page from top to bottom: every block runs, and prints what the page says that it prints."""

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import assert_never

from ops.embedded.cluster import Servers
from tests.newcomer import answers, blocks, clone, places
from tests.newcomer.blocks import Command, Page, Skipped, Stop, Write
from tests.newcomer.clone import Environment
from tests.newcomer.places import Places
from tests.newcomer.terminal import Printed, Terminal
from tests.support.patience import HANG_S

#: `make` itself reports the interrupt, whatever its command ended with.
_INTERRUPTED = {130, -2}
#: Seconds that a block may take at most which installs everything.
_INSTALL_S = 900.0


class NotAsSaid(AssertionError):
    """The page says one thing and something else happened; the message has both."""


def play(text: str, environment: Environment | None) -> None:
    """Do all that a page says, in a clone of its own. Raises ``NotAsSaid``.

    The clone borrows ``environment``; None: it has none yet, and the page's own commands make it.
    """
    page = blocks.read(text)
    if not any(isinstance(step.what, Command) for step in page.steps):
        return
    with directory_of_ours() as directory, contextlib.ExitStack() as stack:
        made = directory / "tidegate"
        clone.make(made, environment)
        words: dict[str, str] = {}
        if page.needs == "servers":
            # As `tidegate doctor` wants them.
            servers = stack.enter_context(Servers(replica=True, fsync=True))
            etc = directory / "etc"
            etc.mkdir()
            words = places.of_servers(servers, etc)
        here = Places(words)
        installs = environment is None or "develop" not in environment.provides
        terminal = Terminal(
            made,
            environment=places.environment(
                made,
                directory,
                ports=here.ports,
                has_servers=page.needs == "servers",
                installs=installs,
            ),
            scratch=directory,
            hang_s=_INSTALL_S if installs else HANG_S,
        )
        stack.callback(terminal.close)
        _Player(page, here, terminal, made).play()


class _Player:
    def __init__(self, page: Page, here: Places, terminal: Terminal, made: Path) -> None:
        self._page = page
        self._here = here
        self._terminal = terminal
        self._made = made

    def play(self) -> None:
        if self._page.needs == "gateway":
            self._command(Command("make run", stays_until="Ctrl-C stops"), line=1)
        for step in self._page.steps:
            match step.what:
                case Command():
                    self._command(step.what, line=step.line)
                case Write():
                    self._write(step.what)
                case Stop():
                    self._stop(line=step.line)
                case Skipped():
                    pass
                case _:
                    assert_never(step.what)
        self._stop(line=0)

    def _command(self, command: Command, *, line: int) -> None:
        text = self._here.real(command.text)
        try:
            printed = self._run(text, command.stays_until)
        except TimeoutError as exc:
            raise NotAsSaid(f"line {line}: {exc}\n\n{text}") from None
        if printed.status != command.status:
            raise NotAsSaid(
                f"line {line}: ended with {printed.status} and not with {command.status}\n\n"
                f"{text}\nprinted:\n{printed.text}"
            )
        if command.answer is None:
            return
        said = self._here.real(command.answer)
        if not answers.is_as_said(printed.text, said):
            raise NotAsSaid(
                f"line {line}: prints something else\n\n{text}\nthe page says:\n{said}\n"
                f"printed:\n{printed.text}"
            )

    def _run(self, text: str, until: str | None) -> Printed:
        if until is None:
            return self._terminal.run(text)
        return self._terminal.start(text, until=until)

    def _write(self, what: Write) -> None:
        path = self._made / self._here.real(what.name)
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a" if what.is_appended else "w", encoding="utf-8") as file:
            file.write(self._here.real(what.text))

    def _stop(self, *, line: int) -> None:
        for command, status in self._terminal.interrupt():
            if status and not (command.startswith("make ") and status in _INTERRUPTED):
                raise NotAsSaid(f"line {line}: Ctrl-C ended with {status}\n\n{command}")


@contextlib.contextmanager
def directory_of_ours() -> Iterator[Path]:
    """Yield a directory that the user of the servers may pass through, under root too."""
    with tempfile.TemporaryDirectory(prefix="newcomer-", ignore_cleanup_errors=True) as name:
        directory = Path(name)
        directory.chmod(0o711)
        yield directory
