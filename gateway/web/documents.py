"""Builds the documents of a listener from its routes, once, when it starts."""

from collections.abc import Sequence

from gateway.web.docs import page
from gateway.web.handlers.documents import Documents, StaticDocument
from gateway.web.openapi import document
from gateway.web.openapi.document import Api
from gateway.web.response import JSON
from gateway.web.routing import Route


def describe(
    documents: Documents, api: Api, routes: Sequence[Route], *, version: str, server: str
) -> None:
    """Set both documents. ``server``: where clients reach the listener, "/": where it is served."""
    described = document.document(api, routes, version=version, server=server)
    shown = page.page(described)
    documents.openapi = StaticDocument(document.encode(described), JSON)
    documents.page = StaticDocument(shown.html, "text/html; charset=utf-8", shown.head)
