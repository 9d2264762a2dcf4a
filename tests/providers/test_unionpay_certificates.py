"""Whose certificate a notice may carry: issued by whom, to whom, for what, until when."""

import base64
from datetime import timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.providers import contract, unionpay, unionpay_certificates

from .support import NOW, account, rejection, tampered, verdict
from .unionpay_samples import (
    ADAPTER,
    CA,
    ISSUERS,
    LEAF,
    LEAF_NAME,
    MER_ID,
    OCA_NAME,
    PAID,
    ROOT_NAME,
    UNIONPAY,
    certificate,
    issued_with,
    leaf,
    named,
    new_key,
    notice,
    oca,
    root,
)

DAY = timedelta(days=1)


def adapter(*secrets: str, **options: Any) -> contract.Adapter:
    return unionpay.adapter(account(*(secrets or (ISSUERS,)), mer_id=MER_ID, **options))


def test_the_authority_certifies_others_too() -> None:
    """A merchant's certificate comes from the same authority and signs nothing for UnionPay."""
    key = new_key("merchant")
    # Longer than a name may be: the library warns when it reads it.
    text = f"041@8310000000083040@{UNIONPAY}{UNIONPAY}@00016494"
    with pytest.warns(UserWarning, match="length"):
        long = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text, _validate=False)])
    for name in (
        named("041@8310000000083040@某商户有限公司@00016494"),
        named(f"041@8310000000083040@{UNIONPAY}1@00016494"),
        named(f"041@{UNIONPAY}@8310000000083040@00016494"),
        named(UNIONPAY, UNIONPAY),
        named("041@Z12@00040000:SIGN@00000062"),
        x509.Name([]),
        long,
        x509.Name([*LEAF_NAME, *LEAF_NAME]),
    ):
        received = notice(key=key, carried=leaf(name, key=key))
        assert rejection(adapter(), received) == "bad_signature"


def test_the_organisation_is_an_option() -> None:
    """The test environment has had certificates of another name."""
    received = notice(carried=leaf(named("041@Z12@00040000:SIGN@00000062")))
    assert adapter(organisations=[UNIONPAY, "00040000:SIGN"]).read(received).items
    only = adapter(organisations=["00040000:SIGN"])
    assert only.read(received).items
    assert rejection(only, PAID) == "bad_signature"


def test_a_forgers_own_authority() -> None:
    """Names prove nothing: neither an authority of the same names nor a leaf of its own."""
    key, fake = new_key("forger"), new_key("fake")
    own = certificate(LEAF_NAME, LEAF_NAME, key, key)
    of_fake = certificate(LEAF_NAME, OCA_NAME, key, fake)
    as_authority = certificate(LEAF_NAME, LEAF_NAME, key, key, (CA, True))
    for carried in (own, of_fake, as_authority):
        assert rejection(ADAPTER, notice(key=key, carried=carried)) == "bad_signature"
    # A valid certificate, with a signature of another key.
    assert rejection(ADAPTER, notice(key=key)) == "bad_signature"


def test_a_leaf_issues_nothing() -> None:
    """What UnionPay's key, or a merchant's, issues is a fourth step and leads nowhere."""
    key, merchant = new_key("forger"), new_key("merchant")
    name = named("041@8310000000083040@某商户有限公司@00016494")
    fourth = certificate(LEAF_NAME, name, key, merchant)
    chained = fourth + leaf(name, key=merchant)
    for carried in (fourth, chained, certificate(LEAF_NAME, LEAF_NAME, key, new_key("unionpay"))):
        assert rejection(ADAPTER, notice(key=key, carried=carried)) == "bad_signature"


def test_the_root_may_issue_too() -> None:
    """Two steps are as good as three."""
    direct = certificate(LEAF_NAME, ROOT_NAME, new_key("unionpay"), new_key("root"))
    assert ADAPTER.read(notice(carried=direct)).items


def test_path_length_counts() -> None:
    """A root that allows no intermediate has none."""
    narrow = x509.BasicConstraints(ca=True, path_length=0)
    alone = certificate(ROOT_NAME, ROOT_NAME, new_key("root"), new_key("root"), (narrow, True))
    with pytest.raises(ValueError, match="without the root"):
        adapter(oca() + alone)


def test_dates_are_checked_each_time() -> None:
    """A cached certificate is rejected after its expiry."""
    short = leaf(since=NOW - DAY, until=NOW + DAY)
    checking = adapter()
    assert checking.read(notice(carried=short)).items
    assert checking.read(notice(carried=short, now=NOW + DAY)).items
    for moment in (NOW + DAY + timedelta(seconds=1), NOW - DAY - timedelta(seconds=1)):
        assert rejection(checking, notice(carried=short, now=moment)) == "bad_signature"
    assert checking.read(notice(carried=short)).items


@pytest.mark.parametrize("secret", [oca(until=NOW - DAY) + root(), oca() + root(since=NOW + DAY)])
def test_dates_of_the_issuers_count(secret: str) -> None:
    """Every certificate up to the root must be valid now."""
    assert rejection(adapter(secret), PAID) == "bad_signature"


def test_issuers_are_replaced_side_by_side() -> None:
    """While the authority changes, certificates of either one are trusted."""
    next_root = certificate(
        named("CFCA CS CA 2"), named("CFCA CS CA 2"), new_key("r2"), new_key("r2"), (CA, True)
    )
    next_oca = certificate(
        named("CFCA OCA 2"), named("CFCA CS CA 2"), new_key("o2"), new_key("r2"), (CA, True)
    )
    both = adapter(next_root + next_oca, ISSUERS)
    key = new_key("next")
    received = notice(
        key=key, carried=certificate(LEAF_NAME, named("CFCA OCA 2"), key, new_key("o2"))
    )
    assert both.read(received).items
    assert both.read(PAID).items
    assert rejection(ADAPTER, received) == "bad_signature"
    # The same intermediate with a new certificate: the valid one counts.
    renewed = adapter(oca(until=NOW - DAY) + root(), ISSUERS)
    assert renewed.read(PAID).items


def test_sha1_certificates_are_an_option() -> None:
    """Known certificates of UnionPay were issued with SHA-1; nothing weaker ever passes."""
    sha1 = notice(carried=issued_with(hashes.SHA1(), 5, LEAF, "oca"))
    md5 = notice(carried=issued_with(hashes.MD5(), 4, LEAF, "oca"))
    assert ADAPTER.read(sha1).items
    assert rejection(adapter(sha1_certificates=False), sha1) == "bad_signature"
    assert adapter(sha1_certificates=False).read(PAID).items
    assert rejection(ADAPTER, md5) == "bad_signature"
    # The digest that it names is not the one that its issuer used.
    renamed = notice(carried=issued_with(hashes.SHA256(), 5, LEAF, "oca"))
    assert rejection(ADAPTER, renamed) == "bad_signature"


def usage(**allowed: bool) -> x509.KeyUsage:
    names = """digital_signature content_commitment key_encipherment data_encipherment
    key_agreement key_cert_sign crl_sign encipher_only decipher_only""".split()
    return x509.KeyUsage(**{name: allowed.get(name, False) for name in names})


def test_certificates_for_another_use() -> None:
    """A certificate for encryption, or with a rule that is not understood, signs nothing."""
    fine = leaf(LEAF_NAME, (usage(digital_signature=True, key_encipherment=True), True))
    assert ADAPTER.read(notice(carried=fine)).items
    encryption = leaf(LEAF_NAME, (usage(key_encipherment=True), False))
    odd = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x05\x00")
    for carried in (encryption, leaf(LEAF_NAME, (odd, True))):
        assert rejection(ADAPTER, notice(carried=carried)) == "bad_signature"
    assert ADAPTER.read(notice(carried=leaf(LEAF_NAME, (odd, False)))).items


def test_issuers_for_another_use() -> None:
    """An authority whose key may not certify is not configured by mistake."""
    idle = certificate(
        OCA_NAME,
        ROOT_NAME,
        new_key("oca"),
        new_key("root"),
        (CA, True),
        (usage(digital_signature=True), True),
    )
    with pytest.raises(ValueError, match="may not issue"):
        adapter(idle + root())


def test_weak_keys_are_rejected() -> None:
    """Neither a short key nor another kind of key signs for UnionPay."""
    weak = new_key("weak", 1024)
    assert rejection(ADAPTER, notice(key=weak, carried=leaf(key=weak))) == "bad_signature"
    curve = leaf(key=ec.generate_private_key(ec.SECP256R1()))
    assert rejection(ADAPTER, notice(carried=curve)) == "bad_signature"


def test_a_certificate_is_checked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Good certificates are remembered, a bounded number of them; bad ones never are."""
    checking = adapter()
    seen: list[bytes] = []
    load = x509.load_pem_x509_certificates

    def counted(text: bytes) -> list[x509.Certificate]:
        seen.append(text)
        return load(text)

    monkeypatch.setattr(x509, "load_pem_x509_certificates", counted)
    for _ in range(3):
        assert checking.read(PAID).items
    assert len(seen) == 1
    stranger = notice(carried=leaf(named("041@1@某商户@2")))
    for _ in range(3):
        assert rejection(checking, stranger) == "bad_signature"
    assert len(seen) == 4
    others = [
        notice(carried=leaf(since=NOW - DAY * n))
        for n in range(2, unionpay_certificates.KNOWN_MAX + 1)
    ]
    for received in (*others, PAID, *others, PAID):
        assert checking.read(received).items
    # So far all of them fit; one more pushes out the one that was used least recently.
    assert len(seen) == 4 + len(others)
    assert checking.read(notice(carried=leaf(since=NOW - DAY * 99))).items
    assert checking.read(PAID).items
    assert len(seen) == 5 + len(others)
    assert checking.read(others[0]).items
    assert len(seen) == 6 + len(others)


DER = x509.load_pem_x509_certificate(LEAF.encode()).public_bytes(serialization.Encoding.DER)


@settings(max_examples=200)
@given(tampered(DER), st.sampled_from(["unionpay", "stranger"]))
def test_tampered_certificates_are_rejected(der: bytes, name: str) -> None:
    """A modified certificate is rejected, and no other exception escapes."""
    made = base64.encodebytes(der).decode()
    carried = f"-----BEGIN CERTIFICATE-----\n{made}-----END CERTIFICATE-----\n"
    key: rsa.RSAPrivateKey = new_key(name)
    reading = verdict(ADAPTER, notice(key=key, carried=carried))
    assert reading is None or (der == DER and name == "unionpay")
