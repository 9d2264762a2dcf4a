"""What is signed satisfies the official Python libraries, in every detail they disagree on."""

import base64
import json
import os
import time
from typing import Any

import pytest
import standardwebhooks
import svix
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from gateway.clients import webhook_signing
from gateway.clients.webhook_signing import Signer

_BODY = '{"type":"order.paid","data":{"remark":"早安 \\u0000 ☕"}}'.encode()
_ID = "01a209e1-6c1b-7a30-8fca-993ca3def24d"
_LIBRARIES = [standardwebhooks.Webhook, svix.Webhook]
_ERRORS = (standardwebhooks.WebhookVerificationError, svix.WebhookVerificationError)


def secret(length: int = 24) -> str:
    return "whsec_" + base64.b64encode(os.urandom(length)).decode()


def headers(signer: Signer, body: bytes = _BODY, *, age_s: int = 0) -> dict[str, str]:
    return signer.headers(event_id=_ID, sent_s=int(time.time()) - age_s, body=body)


@pytest.mark.parametrize("library", _LIBRARIES, ids=["standardwebhooks", "svix"])
@pytest.mark.parametrize("length", [24, 25, 26, 32, 48, 64])
def test_the_official_libraries_verify_it(library: Any, length: int) -> None:
    made = secret(length)
    verified = library(made).verify(_BODY, headers(Signer([made])))
    assert verified is None or verified == json.loads(_BODY)


@pytest.mark.parametrize("library", _LIBRARIES, ids=["standardwebhooks", "svix"])
def test_while_secrets_rotate_the_old_and_the_new_one_verify(library: Any) -> None:
    old, new = secret(), secret()
    private, _ = webhook_signing.new_key_pair()
    for signing in ([old, new], [new, old], [private, old], [old, private]):
        signed = headers(Signer(signing))
        entries = signed["webhook-signature"].split(" ")
        assert len(entries) == 2 and all(entry.count(",") == 1 for entry in entries)
        for each in signing:
            if each != private:
                library(each).verify(_BODY, signed)
    with pytest.raises(_ERRORS):
        library(secret()).verify(_BODY, headers(Signer([old, new])))


@pytest.mark.parametrize("library", _LIBRARIES, ids=["standardwebhooks", "svix"])
def test_a_changed_body_and_an_old_attempt_are_found_out(library: Any) -> None:
    made = secret()
    with pytest.raises(_ERRORS):
        library(made).verify(_BODY + b" ", headers(Signer([made])))
    with pytest.raises(_ERRORS):
        library(made).verify(_BODY, headers(Signer([made]), age_s=301))


def test_ed25519_is_verified_with_the_public_key_alone() -> None:
    private, public = webhook_signing.new_key_pair()
    seed = base64.b64decode(private.removeprefix("whsk_"))[:32]
    bare = "whsk_" + base64.b64encode(seed).decode()
    key = Ed25519PublicKey.from_public_bytes(base64.b64decode(public.removeprefix("whpk_")))
    for each in (private, bare):
        signed = headers(Signer([each]))
        version, _, signature = signed["webhook-signature"].partition(",")
        assert version == "v1a"
        text = f"{_ID}.{signed['webhook-timestamp']}.".encode() + _BODY
        key.verify(base64.b64decode(signature), text)
        with pytest.raises(InvalidSignature):
            key.verify(base64.b64decode(signature), text + b" ")


def test_a_new_secret_works_and_has_no_padding_to_lose() -> None:
    made = webhook_signing.new_secret(os.urandom)
    assert "=" not in made and made != webhook_signing.new_secret(os.urandom)
    standardwebhooks.Webhook(made).verify(_BODY, headers(Signer([made])))


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ("", "begins neither"),
        ("s3cret", "begins neither.*tidegate keys webhook-secret"),
        (base64.b64encode(bytes(24)).decode(), "begins neither"),
        ("whsec_", "not padded base64"),
        ("whsec_" + base64.b64encode(bytes(25)).decode().rstrip("="), "not padded base64"),
        ("whsec_" + base64.urlsafe_b64encode(b"\xff" * 24).decode(), "not padded base64"),
        ("whsec_" + base64.b64encode(bytes(24)).decode() + "\n", "not padded base64"),
        ("whsec_ " + base64.b64encode(bytes(24)).decode(), "not padded base64"),
        ("whsec_" + base64.b64encode(bytes(25)).decode()[:-3] + "B==", "not padded base64"),
        ("whsec_" + base64.b64encode(bytes(23)).decode(), "has 23 bytes"),
        ("whsec_" + base64.b64encode(bytes(65)).decode(), "has 65 bytes"),
        ("whsk_" + base64.b64encode(bytes(33)).decode(), "has 33 bytes"),
        ("whsk_" + base64.b64encode(bytes(64)).decode(), "second half"),
        ("whpk_" + base64.b64encode(bytes(32)).decode(), "the private one"),
    ],
)
def test_a_secret_that_others_would_read_differently_is_refused(wrong: str, why: str) -> None:
    with pytest.raises(ValueError, match=why) as refused:
        Signer([wrong])
    assert len(wrong) < 10 or wrong not in str(refused.value)


def test_none_and_the_same_twice_are_refused() -> None:
    made = secret()
    with pytest.raises(ValueError, match="no secret"):
        Signer([])
    with pytest.raises(ValueError, match="the same"):
        Signer([made, made])
