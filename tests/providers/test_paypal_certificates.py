"""Which certificates PayPal's adapter trusts, and for how long."""

import base64
from datetime import timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.domain import errors
from gateway.providers import contract, paypal

from .paypal_samples import (
    CHAIN,
    FOREIGN_KEY,
    ISSUER,
    ISSUER_KEY,
    KEY,
    LEAF,
    NAME,
    PAID,
    ROOT,
    ROOT_KEY,
    URL,
    WEBHOOK_ID,
    certificate,
    learned,
    paid,
    pem,
    signed,
    unlearned,
)
from .support import NOW, account, message, read_one, rejection, tampered

DAY = timedelta(days=1)


def _rejected(content: bytes | str, **options: Any) -> str:
    adapter = unlearned(**options)
    content = content if isinstance(content, bytes) else content.encode()
    with pytest.raises(errors.Rejected) as caught:
        adapter.learn(URL, content, now=NOW)
    assert caught.value.reason == "bad_signature"
    with pytest.raises(contract.DocumentMissing):
        adapter.read(PAID)
    return caught.value.hint


def _leaf(name: str = NAME, key: Any = KEY, **how: Any) -> str:
    return pem(certificate(name, key, ISSUER, ISSUER_KEY, **how), ISSUER)


@pytest.mark.parametrize(
    "content",
    [
        CHAIN,
        pem(LEAF, ISSUER, ROOT),
        pem(ISSUER, LEAF),
        "a word before\n" + CHAIN,
        pem(LEAF, ISSUER, certificate("Somebody", FOREIGN_KEY)),
        _leaf("anything.sandbox.PayPal.com"),
    ],
)
def test_a_valid_chain_is_learned(content: str) -> None:
    """PayPal's name, valid, and a chain up to the root: in any order, with or without the root."""
    adapter = unlearned()
    adapter.learn(URL, content.encode(), now=NOW)
    assert read_one(adapter, PAID)


def test_an_issuer_may_be_trusted_itself() -> None:
    """If the document comes without its issuer, the issuer can be configured."""
    assert "option roots" in _rejected(pem(LEAF))
    adapter = unlearned(roots=pem(ISSUER))
    adapter.learn(URL, pem(LEAF).encode(), now=NOW)
    assert adapter.read(PAID).items


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff\xfe",
        b"<html>not here</html>",
        b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
        pem(LEAF)[: len(pem(LEAF)) // 2].encode(),
        b"-----BEGIN CERTIFICATE-----\n" * 1000,
    ],
)
def test_what_is_no_certificate(content: bytes) -> None:
    """The document at a URL may be anything."""
    assert "PEM" in _rejected(content)


@pytest.mark.parametrize(
    "name",
    [
        "paypal.com",
        "evilpaypal.com",
        "paypal.com.evil.example",
        "www.example.com",
        ".paypal.com.eu",
    ],
)
def test_another_name(name: str) -> None:
    """A certificate of another subject under the same roots is not trusted."""
    assert "PayPal's name" in _rejected(_leaf(name))


def test_another_root() -> None:
    """A self-signed certificate, or one under another root, is not trusted."""
    assert "trusted root" in _rejected(pem(certificate(NAME, KEY)))
    own_root = certificate("Root 2", FOREIGN_KEY, is_issuer=True)
    own_leaf = certificate(NAME, KEY, own_root, FOREIGN_KEY)
    assert "trusted root" in _rejected(pem(own_leaf, own_root))
    # The issuer's name is right and its signature is not.
    assert "not signed by" in _rejected(pem(certificate(NAME, KEY, ISSUER, FOREIGN_KEY), ISSUER))
    # The default roots did not issue ours.
    strange = paypal.adapter(account(WEBHOOK_ID))
    assert isinstance(strange, contract.Learner)
    with pytest.raises(errors.Rejected, match="trusted root"):
        strange.learn(URL, CHAIN.encode(), now=NOW)


def test_who_may_not_issue() -> None:
    """A leaf that signs another leaf is not an issuer, whatever its name."""
    shop = certificate("shop.example", FOREIGN_KEY, ISSUER, ISSUER_KEY)
    forged = certificate(NAME, KEY, shop, FOREIGN_KEY)
    assert "its issuer may not issue" in _rejected(pem(forged, shop, ISSUER))


def test_weak_keys_and_digests() -> None:
    """Short keys, other kinds of keys and digests that no public issuer uses are rejected."""
    short = rsa.generate_private_key(public_exponent=65537, key_size=1024)
    assert "2048" in _rejected(_leaf(key=short))
    assert "RSA" in _rejected(_leaf(key=ec.generate_private_key(ec.SECP256R1())))
    odd = certificate(NAME, KEY, ISSUER, ISSUER_KEY, hashed=hashes.SHA224())
    assert "not signed with SHA-2 of 256 bits" in _rejected(pem(odd, ISSUER))


@pytest.mark.parametrize(("start", "end"), [(NOW - 2 * DAY, NOW - DAY), (NOW + DAY, NOW + 2 * DAY)])
def test_every_link_must_be_valid_now(start: Any, end: Any) -> None:
    """An expired certificate, or one of tomorrow, breaks the chain wherever it stands."""
    assert "clock" in _rejected(_leaf(start=start, end=end))
    issuer = certificate("Issuer", ISSUER_KEY, ROOT, ROOT_KEY, is_issuer=True, start=start, end=end)
    hint = _rejected(pem(certificate(NAME, KEY, issuer, ISSUER_KEY), issuer))
    assert f"its issuer is valid from {start:%Y-%m-%d} to {end:%Y-%m-%d}" in hint
    root = certificate("Root", ROOT_KEY, is_issuer=True, start=start, end=end)
    assert "an issuer above it is valid from" in _rejected(CHAIN, roots=pem(root))


@pytest.mark.parametrize("link", ["leaf", "issuer", "root"])
def test_validity_is_checked_again_with_each_message(link: str) -> None:
    """A cached key is trusted until the first link expires, and then fetched again."""
    ends = {"leaf": NOW + 9 * DAY, "issuer": NOW + 9 * DAY, "root": NOW + 9 * DAY}
    ends[link] = NOW + DAY
    root = certificate("Root", ROOT_KEY, is_issuer=True, end=ends["root"])
    issuer = certificate("Issuer", ISSUER_KEY, root, ROOT_KEY, is_issuer=True, end=ends["issuer"])
    leaf = certificate(NAME, KEY, issuer, ISSUER_KEY, end=ends["leaf"])
    adapter = unlearned(roots=pem(root))
    adapter.learn(URL, pem(leaf, issuer).encode(), now=NOW)
    on_time, late = NOW + DAY, NOW + DAY + timedelta(seconds=1)
    assert adapter.read(contract.Message(PAID.headers, PAID.body, on_time)).items
    with pytest.raises(contract.DocumentMissing):
        adapter.read(contract.Message(PAID.headers, PAID.body, late))


def test_a_key_counts_for_its_address_only() -> None:
    """Another valid certificate of PayPal does not count for this URL."""
    adapter = learned()
    other = URL + "-2"
    adapter.learn(other, _leaf(key=FOREIGN_KEY).encode(), now=NOW)
    assert rejection(adapter, signed(paid(), key=FOREIGN_KEY)) == "bad_signature"
    assert rejection(adapter, signed(paid(), url=other)) == "bad_signature"
    assert adapter.read(signed(paid(), key=FOREIGN_KEY, url=other)).items


def test_a_renewed_certificate_replaces_the_old_one() -> None:
    """A newer document replaces the cached one of its URL."""
    adapter = learned()
    adapter.learn(URL, _leaf(key=FOREIGN_KEY).encode(), now=NOW)
    assert adapter.read(signed(paid(), key=FOREIGN_KEY)).items
    assert rejection(adapter, PAID) == "bad_signature"


def test_the_cache_is_bounded() -> None:
    """The oldest URL is evicted, and fetched again when it is named again."""
    adapter = learned()
    for n in range(7):
        adapter.learn(f"{URL}-{n}", CHAIN.encode(), now=NOW)
    assert adapter.read(PAID).items
    adapter.learn(f"{URL}-7", CHAIN.encode(), now=NOW)
    with pytest.raises(contract.DocumentMissing):
        adapter.read(PAID)
    # And so is what another adapter takes over.
    assert adapter.documents() == {f"{URL}-{n}": CHAIN.encode() for n in range(8)}
    assert adapter.read(signed(paid(), url=f"{URL}-7")).items


def test_configured_chains_are_not_fetched() -> None:
    """A chain of the configuration is checked like any other, at the time of the message."""
    adapter = unlearned(chains={URL: CHAIN})
    assert adapter.read(PAID).items
    late = contract.Message(PAID.headers, PAID.body, NOW + 400 * DAY)
    assert rejection(adapter, late) == "bad_signature"
    with pytest.raises(contract.DocumentMissing):
        adapter.read(signed(paid(), url=URL + "-2"))
    assert rejection(unlearned(chains={URL: pem(LEAF)}), PAID) == "bad_signature"


def test_a_long_list_is_rejected() -> None:
    """Each certificate costs time to try."""
    assert "more than 8" in _rejected(pem(LEAF, *[ISSUER] * 8))


def test_a_serial_number_below_zero_is_rejected_without_a_warning() -> None:
    """The library warns of one while it reads the certificate, which is an error here."""
    der = bytearray(LEAF.public_bytes(serialization.Encoding.DER))
    serial = LEAF.serial_number.to_bytes(LEAF.serial_number.bit_length() // 8 + 1, "big")
    der[der.index(serial)] |= 0x80
    text = base64.encodebytes(der).decode()
    leaf = f"-----BEGIN CERTIFICATE-----\n{text}-----END CERTIFICATE-----\n"
    assert "is not signed by the issuer that it names" in _rejected(leaf + pem(ISSUER))


@settings(max_examples=200)
@given(st.sampled_from([CHAIN.encode(), pem(LEAF, ISSUER, ROOT).encode()]).flatmap(tampered))
def test_tampered_documents_prove_nothing_new(content: bytes) -> None:
    """A modified document is rejected or yields the same key."""
    adapter = unlearned()
    try:
        adapter.learn(URL, content, now=NOW)
    except errors.Rejected as rejected:
        assert rejected.hint
        return
    assert adapter.read(message(PAID.body, PAID.headers)).items
