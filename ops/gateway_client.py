"""A client of a gateway's API for commands: one request, one answer, and problems in a sentence.

It follows no redirect, and sends the key to the address that was given alone.
"""

import http.client
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlencode, urlsplit

import click
import msgspec
from msgspec import Struct

from ops import failures
from ops.failures import Failure, Wrong

DEFAULT_URL = "http://127.0.0.1:8080"
_ANSWER_S = 15.0
_ANSWER_BYTES_MAX = 64 * 1024 * 1024
_KEY_CHARS_MAX = 1024

F = TypeVar("F", bound=Callable[..., None])


class Answered(Struct, frozen=True):
    """An answer of a gateway: its status, and its JSON."""

    status: int
    content: Any
    headers: Mapping[str, str]


class GatewayClient:
    """Asks one gateway, with one API key. Every call raises ``Failure`` or ``Wrong``."""

    def __init__(self, *, url: str, key: str) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise Wrong("--url must be written http://host:port or https://host")
        self._parts = parts
        self._key = key

    def get(self, path: str, **query: str | None) -> Any:
        """Return what a path shows; a query of None is left out."""
        wanted = {name: value for name, value in query.items() if value is not None}
        return self.ask("GET", f"{path}?{urlencode(wanted)}" if wanted else path).content

    def ask(
        self,
        method: str,
        path: str,
        body: object = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answered:
        """Send a request; return the answer if it is a 2xx.

        Raises ``Wrong`` where the request itself is wrong, and ``Failure`` for any other answer,
        and where there is none: what was asked for may have been done then.
        """
        sent = {"Authorization": f"Bearer {self._key}", **(headers or {})}
        content = None
        if body is not None:
            content = msgspec.json.encode(body)
            sent["Content-Type"] = "application/json"
        try:
            status, head, answer = self._exchange(method, path, content, sent)
        except (OSError, http.client.HTTPException) as exc:
            where = f"{self._parts.scheme}://{self._parts.netloc}"
            raise Failure(
                f"no gateway answers at {where} ({failures.reason(exc)}): start it, or give its "
                "address with --url or TIDEGATE_URL"
            ) from exc
        try:
            decoded = msgspec.json.decode(answer) if answer else None
        except msgspec.DecodeError:
            decoded = None
        if not 200 <= status < 300:
            raise _refused(status, decoded)
        return Answered(status, decoded, head)

    def _exchange(
        self, method: str, path: str, content: bytes | None, headers: Mapping[str, str]
    ) -> tuple[int, dict[str, str], bytes]:
        parts = self._parts
        kind = (
            http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        )
        connection = kind(parts.hostname or "", parts.port, timeout=_ANSWER_S)
        try:
            connection.request(method, parts.path.rstrip("/") + path, content, dict(headers))
            response = connection.getresponse()
            head = {name.lower(): value for name, value in response.getheaders()}
            return response.status, head, response.read(_ANSWER_BYTES_MAX)
        finally:
            connection.close()


def options(function: F) -> F:
    """Add the options that say which gateway, and with which key."""
    function = click.option(
        "--key-file",
        type=click.Path(dir_okay=False, path_type=Path),
        help="A file with the API key; else TIDEGATE_API_KEY has it.",
    )(function)
    return click.option(
        "--url",
        default=lambda: os.environ.get("TIDEGATE_URL") or DEFAULT_URL,
        show_default=DEFAULT_URL,
        help="The gateway; TIDEGATE_URL sets it too.",
    )(function)


def opened(url: str, key_file: Path | None) -> GatewayClient:
    """Return the client that the options name. Raises ``Wrong`` without a key."""
    if key_file is not None:
        try:
            with key_file.open(encoding="utf-8") as file:
                key = file.read(_KEY_CHARS_MAX).strip()
        except (OSError, UnicodeDecodeError) as exc:
            raise Wrong(f"--key-file {key_file} cannot be read: {failures.reason(exc)}") from exc
    else:
        key = os.environ.get("TIDEGATE_API_KEY", "").strip()
    if not key or not key.isascii() or not key.isprintable():
        raise Wrong(
            "an API key is needed: set TIDEGATE_API_KEY or give --key-file; "
            "`tidegate keys create --name NAME --role operate --role query` makes one"
        )
    return GatewayClient(url=url, key=key)


def _refused(status: int, problem: Any) -> Failure:
    """Return the sentence of a problem document; what is wrong in the request is ``Wrong``."""
    if not isinstance(problem, dict) or "detail" not in problem:
        return Failure(f"the gateway answered {status}, which is no answer of Tidegate")
    text = str(problem["detail"])
    errors = problem.get("errors") or []
    if errors:
        text = "; ".join(f"{each['field']} {each['reason']}" for each in errors)
    context = problem.get("context") or {}
    if "version" in context and problem["type"].endswith("/version-changed"):
        text += f": its version is {context['version']} now"
    if allowed := context.get("allowed"):
        text += f"; possible now: {', '.join(allowed)}"
    if status in (400, 422):
        return Wrong(text)
    return Failure(text)
