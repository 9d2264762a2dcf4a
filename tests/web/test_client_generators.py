"""Generators make clients from /openapi.json, without losing anything, and they place orders."""

import asyncio
import os
import re
import shutil
import sys
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.patience import HANG_S
from tests.support.site import Site
from tests.web import generated_clients

if TYPE_CHECKING:
    import asyncpg

pytestmark = pytest.mark.servers

_BIN = Path(sys.executable).parent
#: What openapi-generator says of every document of 3.1, and of an object whose fields are free;
#: both lose nothing.
_KNOWN = (
    "OpenAPI 3.1 support is still in beta",
    "Failed to get the schema name: null",
)


@pytest.fixture
async def document(site: Site, tmp_path: Path) -> Path:
    """The document as a client downloads it."""
    path = tmp_path / "openapi.json"
    await asyncio.to_thread(urllib.request.urlretrieve, f"{site.url}/openapi.json", path)
    return path


async def _run(*command: str | Path, cwd: Path, **variables: str) -> str:
    """Run a program to its end and return what it printed; it must succeed."""
    process = await asyncio.create_subprocess_exec(
        *map(str, command),
        cwd=cwd,
        # Generators find their formatters, and Go its cache, as they do for a user.
        env={**os.environ, "PATH": f"{_BIN}:{os.environ['PATH']}", **variables},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    async with asyncio.timeout(5 * HANG_S):
        out, _ = await process.communicate()
    text = out.decode()
    assert process.returncode == 0, f"{command[0]}: {text[-4000:]}"
    return text


async def _openapi_generator(document: Path, language: str, to: Path) -> None:
    """Make a client offline; any complaint that is not known fails."""
    said = await _run(
        _BIN / "openapi-generator-cli", "generate", "-i", document, "-g", language, "-o", to,
        cwd=document.parent,
    )  # fmt: skip
    complaints = re.findall(r"^.*\b(?:WARN|ERROR)\b.*$", said, re.M)
    assert [line for line in complaints if not any(known in line for known in _KNOWN)] == []


def _variables(site: Site, order_no: str) -> dict[str, str]:
    return {"TIDEGATE_URL": site.url, "TIDEGATE_API_KEY": site.token, "ORDER_NO": order_no}


async def _check(out: str, order_no: str, ledger: "asyncpg.Pool[asyncpg.Record]") -> None:
    """What a program printed is the order that is stored once."""
    (row,) = await ledger.fetch("SELECT id FROM orders WHERE order_no = $1", order_no)
    assert out.split() == [str(row["id"]), order_no, "pending_payment"]


async def test_openapi_python_client(
    site: Site, document: Path, tmp_path: Path, ledger: "asyncpg.Pool[asyncpg.Record]"
) -> None:
    said = await _run(
        _BIN / "openapi-python-client", "generate", "--path", document, "--meta", "none",
        "--output-path", tmp_path / "client", "--fail-on-warning",
        cwd=tmp_path,
    )  # fmt: skip
    assert "arning" not in said
    program = tmp_path / "program.py"
    program.write_text(generated_clients.OPENAPI_PYTHON_CLIENT, "utf-8")
    out = await _run(sys.executable, program, cwd=tmp_path, **_variables(site, "opc-1"))
    await _check(out, "opc-1", ledger)


async def test_openapi_generator_for_python(
    site: Site, document: Path, tmp_path: Path, ledger: "asyncpg.Pool[asyncpg.Record]"
) -> None:
    await _openapi_generator(document, "python", tmp_path / "made")
    program = tmp_path / "made" / "program.py"
    program.write_text(generated_clients.OPENAPI_GENERATOR_PYTHON, "utf-8")
    out = await _run(sys.executable, program, cwd=tmp_path, **_variables(site, "ogp-1"))
    await _check(out, "ogp-1", ledger)


async def test_openapi_generator_for_go(
    site: Site, document: Path, tmp_path: Path, ledger: "asyncpg.Pool[asyncpg.Record]"
) -> None:
    go = shutil.which("go")
    if go is None:
        pytest.skip("no Go toolchain: the client for Go was not tried")
    await _openapi_generator(document, "go", tmp_path / "module" / "client")
    module = tmp_path / "module"
    shutil.rmtree(module / "client" / "test", ignore_errors=True)
    (module / "client" / "go.mod").unlink()
    (module / "go.mod").write_text("module example.org/generated\n\ngo 1.23\n", "utf-8")
    (module / "main.go").write_text(generated_clients.OPENAPI_GENERATOR_GO, "utf-8")
    out = await _run(go, "run", ".", cwd=module, GOFLAGS="-mod=mod", **_variables(site, "ogg-1"))
    await _check(out, "ogg-1", ledger)


async def test_both_generators_take_the_operators_document(tmp_path: Path) -> None:
    from gateway.web.openapi.document import encode
    from tests.web import documents

    document = tmp_path / "admin.json"
    document.write_bytes(encode(documents.of_operators()))
    await _openapi_generator(document, "go", tmp_path / "go")
    await _run(
        _BIN / "openapi-python-client", "generate", "--path", document, "--meta", "none",
        "--output-path", tmp_path / "client", "--fail-on-warning",
        cwd=tmp_path,
    )  # fmt: skip
