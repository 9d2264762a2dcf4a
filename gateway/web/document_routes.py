"""The routes of the documents, which both listeners serve."""

from gateway.domain.features import Feature
from gateway.web import apis
from gateway.web.handlers.documents import Documents
from gateway.web.routing import Answer, Header, Parameter, Route

_ETAG = Header("ETag", {"type": "string"}, "Changes with the content.")
_CSP = Header("Content-Security-Policy", {"type": "string"}, "No scripts, no other origin.")
_IF_NONE_MATCH = Parameter(
    "If-None-Match", "header", {"type": "string"}, "The `ETag` of the document that the client has."
)
_UNCHANGED = Answer(304, "The client has this document.", None, "", headers=[_ETAG])


def all_routes(documents: Documents, *, prefix: str, feature: Feature | None) -> list[Route]:
    """Return both routes. ``prefix``: of their names; ``feature``: None where nothing is shed."""
    problems = [] if feature is None else ["overloaded"]
    return [
        Route(
            method="GET",
            template="/docs",
            name=f"{prefix}docs",
            operation="getDocs",
            tag=apis.DOCUMENTS,
            feature=feature,
            handler=documents.get_page,
            role=None,
            summary="Read this document as a page",
            description="HTML without scripts, with examples in five languages.",
            parameters=[_IF_NONE_MATCH],
            answers=[
                Answer(200, "The page.", None, "text/html", headers=[_ETAG, _CSP]),
                _UNCHANGED,
            ],
            problems=problems,
        ),
        Route(
            method="GET",
            template="/openapi.json",
            name=f"{prefix}openapi",
            operation="getOpenapi",
            tag=apis.DOCUMENTS,
            feature=feature,
            handler=documents.get_openapi,
            role=None,
            summary="Read this document as JSON",
            parameters=[_IF_NONE_MATCH],
            answers=[
                Answer(200, "OpenAPI 3.1.", {"type": "object"}, headers=[_ETAG]),
                _UNCHANGED,
            ],
            problems=problems,
        ),
    ]
