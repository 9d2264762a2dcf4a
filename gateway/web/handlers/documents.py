"""GET /openapi.json and /docs: what a listener serves, for programs and for people."""

import hashlib

from gateway.web.request import Request
from gateway.web.response import Response


class StaticDocument:
    """Content that stays the same for the life of the process, revalidated by its ETag."""

    def __init__(self, content: bytes, content_type: str, head: str = "") -> None:
        """``head``: further header lines, each ended by CR LF."""
        self._etag = f'"{hashlib.blake2b(content, digest_size=12).hexdigest()}"'
        head = f"ETag: {self._etag}\r\nCache-Control: no-cache\r\n{head}"
        self._whole = Response(200, content, content_type, head)
        # The writer sends the length of the whole, and no body (RFC 9110, 8.6).
        self._unchanged = Response(304, content, content_type, head)

    def answer(self, request: Request) -> Response:
        """Return the content, or 304 to a client that has it already."""
        tags = request.raw.headers.getall("If-None-Match", ())
        known = {tag.strip().removeprefix("W/") for tag in ",".join(tags).split(",")}
        return self._unchanged if known & {self._etag, "*"} else self._whole


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
