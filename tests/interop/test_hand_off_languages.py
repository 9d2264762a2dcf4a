"""What we sign is verified by the official libraries of five languages, and a forgery by none.

Python's are in ``tests/clients/test_webhook_signing.py`` as well, detail by detail. A language that
is not on this machine, or whose library cannot be fetched, is skipped, and the reason says so.
"""

import base64
import os
import time
from typing import Any

import pytest
import standardwebhooks
import svix

from gateway.clients import webhook_signing
from gateway.clients.webhook_signing import Signer
from tests.interop import languages
from tests.interop.languages import Message, NotHere

_ID = "01a209e1-6c1b-7a30-8fca-993ca3def24d"
_BODIES = [
    b'{"type":"order.paid","timestamp":"2026-11-30T20:00:00Z","data":{}}',
    '{"name":"王小明","remark":"☕ \\u0000 \\n é","big":12345678901234567890}'.encode(),
    b'{"x":"' + b"y" * 100_000 + b'"}',
]


def secret(length: int) -> str:
    return "whsec_" + base64.b64encode(os.urandom(length)).decode()


def signed(signing: list[str], known: str, body: bytes, *, age_s: int = 0) -> Message:
    headers = Signer(signing).headers(event_id=_ID, sent_s=int(time.time()) - age_s, body=body)
    return Message(known, headers, body)


def genuine() -> list[Message]:
    messages = []
    for length in (24, 25, 26, 32, 48, 64):
        known = secret(length)
        messages += [signed([known], known, body) for body in _BODIES]
    # While secrets rotate, and beside a signature of a kind that no library knows.
    old, new = webhook_signing.new_secret(os.urandom), secret(32)
    private, _ = webhook_signing.new_key_pair()
    for signing in ([old, new], [private, old], [old, private]):
        messages += [
            signed(signing, known, body)
            for known in signing
            if known != private
            for body in _BODIES
        ]
    return messages


def forged() -> list[Message]:
    known, other = secret(32), secret(32)
    honest = signed([known], known, _BODIES[0])
    return [
        Message(known, honest.headers, _BODIES[1]),
        Message(other, honest.headers, honest.body),
        Message(known, {**honest.headers, "webhook-id": "another"}, honest.body),
        signed([known], known, _BODIES[0], age_s=600),
        signed([known], known, _BODIES[0], age_s=-600),
        signed([webhook_signing.new_key_pair()[0]], known, _BODIES[0]),
    ]


@pytest.mark.servers
@pytest.mark.parametrize("language", languages.LANGUAGES)
def test_the_official_libraries_of_other_languages(language: str) -> None:
    try:
        languages.verdicts(language, forged())
    except NotHere as exc:
        pytest.skip(str(exc))
    messages = genuine()
    said = languages.verdicts(language, messages)
    assert len(said) == len(messages) and all(all(each) and each for each in said)
    said = languages.verdicts(language, forged())
    assert len(said) == len(forged()) and not any(any(each) for each in said)


@pytest.mark.parametrize("library", [standardwebhooks, svix], ids=["standardwebhooks", "svix"])
def test_the_official_libraries_of_python(library: Any) -> None:
    for message in genuine():
        library.Webhook(message.secret).verify(message.body, message.headers)
    for message in forged():
        with pytest.raises(library.WebhookVerificationError):
            library.Webhook(message.secret).verify(message.body, message.headers)
