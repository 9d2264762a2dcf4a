"""UnionPay against the ``openssl`` command: no client of UnionPay's for Python is left.

It makes an authority like CFCA's, certificates with SHA-1 as UnionPay's are, and signs and
verifies by itself. What is signed is put together here once more, from the documented steps.
"""

import base64
import hashlib
import shutil
import subprocess
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from urllib.parse import parse_qsl, urlencode

import pytest

from gateway.providers import contract, unionpay
from ops.simulators import unionpay as simulated
from ops.simulators.contract import Forgery, Kind, Posted, Trade
from tests.providers.support import account, message, rejection
from tests.support.patience import HANG_S

pytestmark = [
    pytest.mark.servers,  # the command is a process
    pytest.mark.usefixtures("pooled_keys"),
    pytest.mark.skipif(
        shutil.which("openssl") is None,
        reason="no openssl command; tests/providers composes the same with cryptography",
    ),
]

TRADE = Trade("I1", "SO1001", Decimal("199.00"), Decimal("9.01"), "CNY")
KINDS: list[Kind] = sorted(simulated.KINDS)
LEAF = "/C=cn/O=CFCA OCA1/OU=Enterprises/CN=041@8310000000083040@中国银联股份有限公司@00016494"
MERCHANT = "/C=cn/O=CFCA OCA1/CN=041@8310000000083041@某商户有限公司@00016495"


def openssl(*words: str | Path, stdin: bytes = b"") -> bytes:
    command = ["openssl", *map(str, words)]
    done = subprocess.run(command, input=stdin, capture_output=True, timeout=HANG_S, check=True)
    return done.stdout


class Authority:
    """A root, an intermediate, UnionPay and a merchant, made by the command."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        (folder / "ca.cnf").write_text("basicConstraints=critical,CA:TRUE\nkeyUsage=keyCertSign\n")
        (folder / "leaf.cnf").write_text("keyUsage=digitalSignature,keyEncipherment\n")
        self._make("root", "/CN=CFCA CS CA", "ca")
        self._make("oca", "/CN=CFCA OCA1", "ca", issuer="root")
        self._make("unionpay", LEAF, "leaf", issuer="oca")
        self._make("merchant", MERCHANT, "leaf", issuer="oca")
        self.pem = (folder / "oca.pem").read_text() + (folder / "root.pem").read_text()

    def _make(self, name: str, subject: str, kind: str, *, issuer: str = "") -> None:
        key, request = self._folder / f"{name}.key", self._folder / f"{name}.csr"
        openssl("genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", key)
        openssl("req", "-new", "-utf8", "-key", key, "-subj", subject, "-out", request)
        by: list[str | Path] = ["-signkey", key]
        if issuer:
            by = ["-CA", self._folder / f"{issuer}.pem", "-CAkey", self._folder / f"{issuer}.key"]
        made, options = self._folder / f"{name}.pem", self._folder / f"{kind}.cnf"
        openssl(
            *("x509", "-req", "-in", request, *by, "-sha1", "-days", "30", "-set_serial", "7"),
            *("-extfile", options, "-out", made),
        )

    def signed(self, posted: Posted, by: str) -> Posted:
        """Sign a notice: sorted, joined, hashed to hex by the command, signed by it."""
        carried = (self._folder / f"{by}.pem").read_text().strip().replace("\n", "\r\n")
        fields = {**fields_of(posted), "signPubKeyCert": carried}
        del fields["signature"]
        digest = openssl("dgst", "-sha256", "-r", stdin=joined(fields)).split()[0]
        signature = openssl("dgst", "-sha256", "-sign", self._folder / f"{by}.key", stdin=digest)
        fields["signature"] = base64.b64encode(signature).decode()
        return Posted(posted.headers, urlencode(fields).encode())


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


def fields_of(posted: Posted) -> dict[str, str]:
    return dict(parse_qsl(posted.body.decode(), keep_blank_values=True, strict_parsing=True))


def joined(fields: dict[str, str]) -> bytes:
    return "&".join("=".join(pair) for pair in sorted(fields.items())).encode()


def is_true(posted: Posted, ours: str, folder: Path) -> bool:
    """Let the command judge: the chain up to the root, then the signature."""
    fields = fields_of(posted)
    signature = base64.b64decode(fields.pop("signature"))
    certificates = ours.strip().partition("-----END CERTIFICATE-----\n")
    texts = {
        "oca.pem": certificates[0] + certificates[1],
        "root.pem": certificates[2],
        "leaf.pem": fields["signPubKeyCert"],
    }
    for name, text in texts.items():
        (folder / name).write_text(text)
    (folder / "signature").write_bytes(signature)
    oca, root, leaf = (folder / name for name in texts)
    try:
        openssl("verify", "-no-CApath", "-CAfile", root, "-untrusted", oca, leaf)
        (folder / "key.pem").write_bytes(openssl("x509", "-in", leaf, "-noout", "-pubkey"))
        openssl(
            *("dgst", "-sha256", "-verify", folder / "key.pem"),
            *("-signature", folder / "signature"),
            stdin=hashlib.sha256(joined(fields)).hexdigest().encode(),
        )
    except subprocess.CalledProcessError:
        return False
    return True


def read(adapter: contract.Adapter, posted: Posted, *, now: datetime) -> contract.Reading:
    return adapter.read(message(posted.body, posted.headers, now=now))


@pytest.mark.parametrize("kind", KINDS)
def test_we_accept_what_openssl_signs(authority: Authority, kind: Kind, now: datetime) -> None:
    """Keys, chain with SHA-1, text, hash and signature: none of it is made by our code."""
    ours = simulated.create()
    posted = simulated.simulator(ours).message(kind, TRADE, at=now)
    adapter = unionpay.adapter(account(authority.pem, **ours.options))
    same = unionpay.adapter(account(*ours.secrets, **ours.options))
    theirs = authority.signed(posted, by="unionpay")
    assert read(adapter, theirs, now=now) == read(same, posted, now=now)


def test_we_reject_what_is_not_unionpays(authority: Authority, now: datetime) -> None:
    """The merchant's certificate, our simulator's authority, SHA-1 where it is off, its end."""
    ours = simulated.create()
    posted = simulated.simulator(ours).message("paid", TRADE, at=now)
    true, by_merchant = (authority.signed(posted, by=name) for name in ("unionpay", "merchant"))
    adapter = unionpay.adapter(account(authority.pem, **ours.options))
    strict = unionpay.adapter(account(authority.pem, sha1_certificates=False, **ours.options))
    for judge, received, moment in (
        (adapter, by_merchant, now),
        (adapter, posted, now),
        (strict, true, now),
        (adapter, true, now + timedelta(days=31)),
    ):
        callback = message(received.body, received.headers, now=moment)
        assert rejection(judge, callback) == "bad_signature"
    assert read(adapter, true, now=now).items


@pytest.mark.parametrize("kind", KINDS)
def test_openssl_verifies_what_we_simulate(tmp_path: Path, kind: Kind, now: datetime) -> None:
    """The simulator's chain and signature hold for the command."""
    ours = simulated.create()
    posted = simulated.simulator(ours).message(kind, TRADE, at=now)
    assert is_true(posted, ours.secrets[0], tmp_path)


@pytest.mark.parametrize("how", ["foreign_key", "changed"])
def test_openssl_rejects_forgeries(tmp_path: Path, how: Forgery, now: datetime) -> None:
    """Neither another authority of the same names nor another order number."""
    ours = simulated.create()
    posted = simulated.simulator(ours).forged(how, "paid", TRADE, at=now)
    assert not is_true(posted, ours.secrets[0], tmp_path)
