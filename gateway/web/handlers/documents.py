"""GET /openapi.json and /docs: what a listener serves, for programs and for people."""

import gzip
import hashlib

from gateway.web.request import Request
from gateway.web.response import Response

_REFUSED = frozenset({"q=0", "q=0.0", "q=0.00", "q=0.000"})


class _Form:
    """One form of a document: its two answers."""

    def __init__(self, content: bytes, content_type: str, head: str) -> None:
        self.etag = f'"{hashlib.blake2b(content, digest_size=12).hexdigest()}"'
        head = f"ETag: {self.etag}\r\nCache-Control: no-cache\r\nVary: Accept-Encoding\r\n{head}"
        self.whole = Response(200, content, content_type, head)
        # The writer sends the length of the whole, and no body (RFC 9110, 8.6).
        self.unchanged = Response(304, content, content_type, head)


class StaticDocument:
    """Content that stays the same for the life of the process, revalidated by its ETag.

    It is sent compressed where the client takes that: an eighth of the bytes.
    """

    def __init__(self, content: bytes, content_type: str, head: str = "") -> None:
        """``head``: further header lines, each ended by CR LF."""
        self._plain = _Form(content, content_type, head)
        self._compressed = _Form(
            gzip.compress(content, mtime=0), content_type, f"Content-Encoding: gzip\r\n{head}"
        )

    def answer(self, request: Request) -> Response:
        """Return the content, or 304 to a client that has it already."""
        headers = request.raw.headers
        takes_gzip = _takes_gzip(",".join(headers.getall("Accept-Encoding", ())))
        form = self._compressed if takes_gzip else self._plain
        tags = ",".join(headers.getall("If-None-Match", ())).split(",")
        known = {tag.strip().removeprefix("W/") for tag in tags}
        return form.unchanged if known & {form.etag, "*"} else form.whole


def _takes_gzip(accepted: str) -> bool:
    """Return whether an Accept-Encoding names gzip, and not to refuse it."""
    for part in accepted.lower().split(","):
        coding, _, weight = part.partition(";")
        if coding.strip() == "gzip":
            return weight.replace(" ", "") not in _REFUSED
    return False


_NONE = StaticDocument(b"", "text/plain")


class Documents:
    """Handles both documents. They describe its own route, so they are set after it is made."""

    def __init__(self) -> None:
        self.openapi = self.page = _NONE

    async def get_openapi(self, request: Request) -> Response:
        """Answer with the OpenAPI document."""
        return self.openapi.answer(request)

    async def get_page(self, request: Request) -> Response:
        """Answer with the same as a page."""
        return self.page.answer(request)
