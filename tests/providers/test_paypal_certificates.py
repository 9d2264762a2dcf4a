"""Which certificates PayPal's adapter learns from, and for how long it believes them."""

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
from .support import NOW, account, message, read_one, refusal, tampered

DAY = timedelta(days=1)


def _refused(content: bytes | str, **options: Any) -> str:
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
def test_a_true_chain_is_learned(content: str) -> None:
    """PayPal's name, valid, and link by link up to the root: in any order, with or without it."""
    adapter = unlearned()
    adapter.learn(URL, content.encode(), now=NOW)
    assert read_one(adapter, PAID)


def test_an_issuer_may_be_trusted_itself() -> None:
    """If the document comes without its issuer, the issuer can be configured."""
    assert "option roots" in _refused(pem(LEAF))
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
    """Anything may stand at an address."""
    assert "PEM" in _refused(content)


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
    """A certificate of anybody else under the same roots proves nothing."""
    assert "PayPal's name" in _refused(_leaf(name))


def test_another_root() -> None:
    """Whoever signs for himself, or under a root of his own, is not believed."""
    assert "trusted root" in _refused(pem(certificate(NAME, KEY)))
    own_root = certificate("Root", FOREIGN_KEY, is_issuer=True)
    own_leaf = certificate(NAME, KEY, own_root, FOREIGN_KEY)
    assert "trusted root" in _refused(pem(own_leaf, own_root))
    # The issuer's name is right and its signature is not.
    assert "trusted root" in _refused(pem(certificate(NAME, KEY, ISSUER, FOREIGN_KEY), ISSUER))
    # Under the default roots ours is nobody's.
    strange = paypal.adapter(account(WEBHOOK_ID))
    assert isinstance(strange, contract.Learner)
    with pytest.raises(errors.Rejected, match="trusted root"):
        strange.learn(URL, CHAIN.encode(), now=NOW)


def test_who_may_not_issue() -> None:
    """A leaf that signs another leaf is not an issuer, whoever's name it has."""
    shop = certificate("shop.example", FOREIGN_KEY, ISSUER, ISSUER_KEY)
    forged = certificate(NAME, KEY, shop, FOREIGN_KEY)
    assert "trusted root" in _refused(pem(forged, shop, ISSUER))


def test_weak_keys_and_digests() -> None:
    """Short keys, other kinds of keys and digests that no public issuer uses are refused."""
    short = rsa.generate_private_key(public_exponent=65537, key_size=1024)
    assert "2048" in _refused(_leaf(key=short))
    assert "RSA" in _refused(_leaf(key=ec.generate_private_key(ec.SECP256R1())))
    odd = certificate(NAME, KEY, ISSUER, ISSUER_KEY, hashed=hashes.SHA224())
    assert "trusted root" in _refused(pem(odd, ISSUER))


@pytest.mark.parametrize(("start", "end"), [(NOW - 2 * DAY, NOW - DAY), (NOW + DAY, NOW + 2 * DAY)])
def test_every_link_must_be_valid_now(start: Any, end: Any) -> None:
    """An expired certificate, or one of tomorrow, breaks the chain wherever it stands."""
    assert "clock" in _refused(_leaf(start=start, end=end))
    issuer = certificate("Issuer", ISSUER_KEY, ROOT, ROOT_KEY, is_issuer=True, start=start, end=end)
    assert "trusted root" in _refused(pem(certificate(NAME, KEY, issuer, ISSUER_KEY), issuer))
    root = certificate("Root", ROOT_KEY, is_issuer=True, start=start, end=end)
    assert "trusted root" in _refused(CHAIN, roots=pem(root))


@pytest.mark.parametrize("link", ["leaf", "issuer", "root"])
def test_validity_is_looked_at_again_with_each_message(link: str) -> None:
    """What was learned is believed until the first link expires, and then asked for again."""
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
    """Another certificate of PayPal's, true as it is, does not sign under this address."""
    adapter = learned()
    other = URL + "-2"
    adapter.learn(other, _leaf(key=FOREIGN_KEY).encode(), now=NOW)
    assert refusal(adapter, signed(paid(), key=FOREIGN_KEY)) == "bad_signature"
    assert refusal(adapter, signed(paid(), url=other)) == "bad_signature"
    assert adapter.read(signed(paid(), key=FOREIGN_KEY, url=other)).items


def test_a_renewed_certificate_takes_the_place_of_the_old() -> None:
    """What is learned again under an address is what counts there."""
    adapter = learned()
    adapter.learn(URL, _leaf(key=FOREIGN_KEY).encode(), now=NOW)
    assert adapter.read(signed(paid(), key=FOREIGN_KEY)).items
    assert refusal(adapter, PAID) == "bad_signature"


def test_what_is_kept_has_a_bound() -> None:
    """The oldest address is forgotten, and asked for again when it is named again."""
    adapter = learned()
    for n in range(7):
        adapter.learn(f"{URL}-{n}", CHAIN.encode(), now=NOW)
    assert adapter.read(PAID).items
    adapter.learn(f"{URL}-7", CHAIN.encode(), now=NOW)
    with pytest.raises(contract.DocumentMissing):
        adapter.read(PAID)
    assert adapter.read(signed(paid(), url=f"{URL}-7")).items


def test_configured_chains_are_not_asked_for() -> None:
    """A chain of the configuration is checked like any other, at the time of the message."""
    adapter = unlearned(chains={URL: CHAIN})
    assert adapter.read(PAID).items
    late = contract.Message(PAID.headers, PAID.body, NOW + 400 * DAY)
    assert refusal(adapter, late) == "bad_signature"
    with pytest.raises(contract.DocumentMissing):
        adapter.read(signed(paid(), url=URL + "-2"))
    assert refusal(unlearned(chains={URL: pem(LEAF)}), PAID) == "bad_signature"


def test_a_long_list_is_refused() -> None:
    """Each certificate costs time to try."""
    assert "more than 8" in _refused(pem(LEAF, *[ISSUER] * 8))


def test_a_serial_number_below_zero_is_refused_without_a_warning() -> None:
    """The library warns of one while it reads the certificate, which is an error here."""
    der = bytearray(LEAF.public_bytes(serialization.Encoding.DER))
    serial = LEAF.serial_number.to_bytes(LEAF.serial_number.bit_length() // 8 + 1, "big")
    der[der.index(serial)] |= 0x80
    text = base64.encodebytes(der).decode()
    leaf = f"-----BEGIN CERTIFICATE-----\n{text}-----END CERTIFICATE-----\n"
    assert "does not lead to a trusted root" in _refused(leaf + pem(ISSUER))


@settings(max_examples=200)
@given(st.sampled_from([CHAIN.encode(), pem(LEAF, ISSUER, ROOT).encode()]).flatmap(tampered))
def test_tampered_documents_prove_nothing_new(content: bytes) -> None:
    """Whatever becomes of the document, it is refused or gives the same key."""
    adapter = unlearned()
    try:
        adapter.learn(URL, content, now=NOW)
    except errors.Rejected as refused:
        assert refused.hint
        return
    assert adapter.read(message(PAID.body, PAID.headers)).items
