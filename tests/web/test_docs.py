"""/docs and /openapi.json as they are served: revalidated, and shed with the last tier."""

import gzip
import json

import pytest

from tests.support.site import Site
from tests.web.support import Answer, Wire
from tests.web.test_early_rejection import shed

PATHS = ("/docs", "/openapi.json")
each = pytest.mark.parametrize("path", PATHS)


@each
async def test_a_document_needs_no_key_and_is_the_same_each_time(wire: Wire, path: str) -> None:
    first, second = [await wire.ask("GET", path, has_key=False) for _ in range(2)]
    assert first.status == 200
    assert first.body == second.body
    assert first.headers["etag"] == second.headers["etag"]
    assert first.headers["cache-control"] == "no-cache"


async def test_the_page_is_html_under_a_strict_policy(wire: Wire) -> None:
    page = await wire.ask("GET", "/docs", has_key=False)
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    policy = page.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert page.headers["x-content-type-options"] == "nosniff"
    assert page.body.startswith(b"<!doctype html>")


@each
async def test_a_client_that_has_the_document_gets_304_and_its_connection_stays(
    wire: Wire, path: str
) -> None:
    whole = await wire.ask("GET", path)
    etag = whole.headers["etag"]
    for known in (etag, f"W/{etag}", f'"other", {etag}', "*"):
        sent = wire.request("GET", path, headers=[("If-None-Match", known)])
        sent += wire.request("GET", "/healthz", headers=[("Connection", "close")])
        unchanged, health = await _two(wire, sent)
        assert (unchanged.status, unchanged.headers["etag"]) == (304, etag), known
        # Where a 304 has a length it is that of the whole (RFC 9110, 8.6).
        assert unchanged.headers["content-length"] == str(len(whole.body))
        assert health.json == {"status": "ok"}
    for other in ('"other"', etag[:-1], etag.strip('"'), "", "\xff"):
        answer = await wire.ask("GET", path, headers={"If-None-Match": other})
        assert (answer.status, answer.body) == (200, whole.body), other


async def _two(wire: Wire, sent: bytes) -> tuple[Answer, Answer]:
    first, second = await wire.answers(sent)
    return first, second


@each
async def test_a_document_is_compressed_for_who_takes_that(wire: Wire, path: str) -> None:
    plain = await wire.ask("GET", path)
    assert "content-encoding" not in plain.headers
    for accepted in ("gzip", "br, GZIP;q=0.5", "deflate,gzip", "gzip, deflate, br, zstd"):
        answer = await wire.ask("GET", path, headers={"Accept-Encoding": accepted})
        assert answer.headers["content-encoding"] == "gzip", accepted
        assert gzip.decompress(answer.body) == plain.body
        assert len(answer.body) < len(plain.body) / 4
        assert answer.headers["vary"] == "Accept-Encoding"
        # Another representation has another tag (RFC 9110, 8.8.3).
        assert answer.headers["etag"] != plain.headers["etag"]
        again = {"Accept-Encoding": accepted, "If-None-Match": answer.headers["etag"]}
        sent = wire.request("GET", path, headers=[*again.items(), ("Connection", "close")])
        (unchanged,) = await wire.answers(sent)
        assert unchanged.status == 304
    for accepted in ("", "identity", "gzip;q=0", "gzip; q=0.000", "br", "gzipped", "\xff", "*"):
        answer = await wire.ask("GET", path, headers={"Accept-Encoding": accepted})
        assert answer.body == plain.body, accepted


@each
async def test_head_has_the_length_of_the_whole(wire: Wire, path: str) -> None:
    whole = await wire.ask("GET", path)
    head = await wire.ask("HEAD", path)
    assert (head.status, head.body) == (200, b"")
    assert head.headers["content-length"] == str(len(whole.body))
    assert head.headers["etag"] == whole.headers["etag"]


@each
async def test_a_document_is_shed_with_the_last_tier(site: Site, wire: Wire, path: str) -> None:
    admission = site.gateway.admission
    shed(admission, 4)
    answer = await wire.ask("GET", path)
    assert answer.status == 503
    assert json.loads(answer.body)["context"]["feature"] == "other"
    assert (await wire.ask("GET", "/v1/orders?limit=1")).status == 200


@each
async def test_other_methods_are_not_allowed(wire: Wire, path: str) -> None:
    answer = await wire.ask("POST", path, b"{}")
    assert (answer.status, answer.headers["allow"]) == (405, "GET, HEAD")
