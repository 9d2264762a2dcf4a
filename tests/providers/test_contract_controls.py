"""The contract suite can fail: each promise is broken once, and its check says where."""

import itertools
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from gateway.domain import errors
from gateway.providers import contract, registry
from ops.simulators import registry as simulated

from . import checks, pieces, support
from .pieces import ROOT
from .subjects import Subject, subject

_PAGE = (ROOT / "gateway" / "providers" / "stripe.md").read_text("utf-8")
_OPTIONS = ("livemode", "order_no_key", "connect_account", "tolerance_s")
_LOCKS = ("tests/requirements.lock", "tests/interop/requirements.lock")


class Bent:
    """Stripe's adapter with one of its methods replaced."""

    def __init__(
        self,
        *,
        read: Callable[[contract.Message], contract.Reading] | None = None,
        decode: Callable[[contract.KeptMessage], contract.Reading] | None = None,
        reply: Callable[[contract.Answer], contract.Reply] | None = None,
    ) -> None:
        whole = subject("stripe").adapter
        self._read, self._reply = read or whole.read, reply or whole.reply
        self._decode = decode or whole.decode

    def read(self, message: contract.Message) -> contract.Reading:
        return self._read(message)

    def decode(self, kept: contract.KeptMessage) -> contract.Reading:
        return self._decode(kept)

    def reply(self, answer: contract.Answer) -> contract.Reply:
        return self._reply(answer)


def stripe(adapter: contract.Adapter) -> Subject:
    return msgspec.structs.replace(subject("stripe"), adapter=adapter)


def reading(message: contract.Message, *keys: str) -> contract.Reading:
    """Ignore the message, and return a payment under each of the keys."""
    posted = subject("stripe").simulator.message("paid", subject("stripe").trade(), at=support.NOW)
    whole = subject("stripe").adapter.read(support.message(posted.body, posted.headers))
    return contract.Reading([contract.Item(key, whole.items[0].event) for key in keys])


def believing(message: contract.Message) -> contract.Reading:
    return reading(message, "evt_1")


def escaping(message: contract.Message) -> contract.Reading:
    raise KeyError("v1")


def rejecting(message: contract.Message) -> contract.Reading:
    raise errors.Rejected("bad_signature", "not signed with this secret")


def without_a_hint(message: contract.Message) -> contract.Reading:
    raise errors.Rejected("bad_signature")


def with_a_reason_of_its_own(message: contract.Message) -> contract.Reading:
    raise errors.Rejected("odd", "a reason that no list holds")


@pytest.mark.parametrize(
    ("read", "says"),
    [
        (believing, "'changed' of 'paid' was accepted"),
        (escaping, r"KeyError\('v1'\) escaped; read may only raise errors.Rejected"),
        (without_a_hint, "without a hint"),
        (with_a_reason_of_its_own, "'odd' is no reason of REASONS"),
    ],
)
def test_a_forgery_that_is_not_rejected(
    read: Callable[[contract.Message], contract.Reading], says: str
) -> None:
    with pytest.raises(AssertionError, match=says):
        checks.rejects_forgery(stripe(Bent(read=read)), "changed")


def test_other_accounts_and_malformed_bodies_that_are_accepted() -> None:
    with pytest.raises(AssertionError, match="of another account, with keys of its own was acc"):
        checks.rejects_strangers(stripe(Bent(read=believing)))
    with pytest.raises(AssertionError, match=r"a body of 0 bytes .* was accepted"):
        checks.rejects_odd_bodies(stripe(Bent(read=believing)))


def test_keys_that_change_or_are_shared() -> None:
    count = itertools.count()
    changing = Bent(read=lambda message: reading(message, f"evt_{next(count)}"))
    with pytest.raises(AssertionError, match="a repeat of 'paid' has other keys"):
        checks.keeps_keys(stripe(changing), "paid")
    with pytest.raises(AssertionError, match="two orders share a key"):
        checks.keeps_keys(stripe(Bent(read=believing)), "paid")
    with pytest.raises(AssertionError, match="one message 'paid' reads as"):
        checks.is_stable(stripe(changing), "paid")


def test_a_kept_message_that_is_decoded_otherwise() -> None:
    another = Bent(decode=lambda _: contract.Reading([]))
    with pytest.raises(AssertionError, match="a kept 'paid' is decoded as"):
        checks.decodes_what_it_read(stripe(another), "paid")


def test_an_adapter_that_reads_another_event() -> None:
    with pytest.raises(AssertionError, match="in EUR yields only"):
        checks.reads(stripe(Bent(read=believing)), "refund", "EUR")
    nothing = Bent(read=reading)
    with pytest.raises(AssertionError, match=r"yields only \[\]"):
        checks.reads(stripe(nothing), "paid", "EUR")
    with pytest.raises(AssertionError, match="is rejected: bad_signature"):
        checks.reads(stripe(Bent(read=rejecting)), "paid", "EUR")


def test_replies_that_the_provider_or_the_page_does_not_know() -> None:
    documented = pieces.answers(_PAGE)
    always = Bent(reply=lambda _: contract.Reply(200, b'{"received":true}', "application/json"))
    with pytest.raises(AssertionError, match=r"the reply 'later' is .*stripe.md says"):
        checks.replies(stripe(always), documented)
    same = dict.fromkeys(documented, documented["accepted"])
    with pytest.raises(AssertionError, match="the reply 'later' has the status 200"):
        checks.replies(stripe(always), same)
    empty = Bent(reply=lambda _: contract.Reply(204, b"", "text/plain"))
    with pytest.raises(AssertionError, match="the reply 'accepted' has the status 204"):
        checks.replies(stripe(empty), dict.fromkeys(documented, (204, "text/plain", b"")))


def test_a_page_that_does_not_explain() -> None:
    with pytest.raises(AssertionError, match=r"stripe.md does not explain the reason `stale`"):
        checks.explains_reasons(subject("stripe"), _PAGE.replace("`stale`", "old"))
    page = (ROOT / "gateway" / "providers" / "adyen.md").read_text("utf-8")
    with pytest.raises(AssertionError, match="does not say why nothing is rejected as `stale`"):
        checks.rejects_stale(subject("adyen"), page.replace("`stale`", "old"))


@pytest.mark.parametrize(
    ("factory", "says"),
    [
        (lambda _: subject("stripe").adapter, "an account with no secret is taken"),
        (lambda account: account.secrets[0], "raises IndexError"),
        (lambda account: _complain("wrong"), "does not say 'secret'"),
        (lambda account: _complain("a secret is missing"), "does not name the account"),
    ],
)
def test_an_account_that_is_not_checked(
    monkeypatch: pytest.MonkeyPatch, factory: contract.Factory, says: str
) -> None:
    whole = subject("stripe")
    factory.__module__ = "gateway.providers.stripe"
    changed = msgspec.structs.replace(registry.PROVIDERS["stripe"], adapter=factory)
    monkeypatch.setitem(registry.PROVIDERS, "stripe", changed)
    with pytest.raises(AssertionError, match=says):
        checks.configures(whole, {})


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"body_types": (contract.FORM,)}, "PROVIDER says that it sends application/x-www-form-"),
        ({"replies": dict.fromkeys(("accepted", "later", "rejected"))}, "PROVIDER has another"),
    ],
)
def test_what_is_described_wrongly(
    monkeypatch: pytest.MonkeyPatch, change: dict[str, object], says: str
) -> None:
    changed = msgspec.structs.replace(registry.PROVIDERS["stripe"], **change)
    monkeypatch.setitem(registry.PROVIDERS, "stripe", changed)
    with pytest.raises(AssertionError, match=says):
        checks.describes(subject("stripe"))


def _complain(text: str) -> contract.Adapter:
    raise ValueError(text)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A copy of what the pieces of Stripe are made of."""
    files = ("README.md", "gateway/providers/stripe.md", "tests/interop/test_stripe.py", *_LOCKS)
    for file in files:
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / file, tmp_path / file)
    return tmp_path


def test_whole_pieces(tree: Path) -> None:
    assert pieces.missing_text("stripe", _OPTIONS, root=tree) == []


@pytest.mark.parametrize(
    ("file", "says"),
    [
        ("gateway/providers/stripe.md", "stripe.md is missing: it says how an operator sets"),
        ("tests/interop/test_stripe.py", "test_stripe.py is missing: gateway/providers/stripe.md"),
    ],
)
def test_a_file_that_is_missing(tree: Path, file: str, says: str) -> None:
    (tree / file).unlink()
    (found,) = pieces.missing_text("stripe", _OPTIONS, root=tree)
    assert says in found


@pytest.mark.parametrize(
    ("file", "cut", "says"),
    [
        ("README.md", "[`stripe`]", "README.md has no row for stripe"),
        ("gateway/providers/stripe.md", "## Try it", "stripe.md has no section 'Try it'"),
        ("gateway/providers/stripe.md", "`order_no_key`", "not describe the option order_no_key"),
        ("gateway/providers/stripe.md", "tidegate simulate stripe", "does not say how to try it"),
        ("gateway/providers/stripe.md", 'provider = "stripe"', "has no valid toml example"),
        ("gateway/providers/stripe.md", "| send again |", "no table of the three answers"),
        ("gateway/providers/stripe.md", "- `stripe`", "names no client under 'Checked against'"),
        ("tests/requirements.lock", "stripe==", "stripe is named by gateway/providers/stripe.md"),
    ],
)
def test_a_line_that_is_missing(tree: Path, file: str, cut: str, says: str) -> None:
    text = (tree / file).read_text("utf-8")
    assert cut in text
    (tree / file).write_text(text.replace(cut, "x"), "utf-8")
    (found,) = pieces.missing_text("stripe", _OPTIONS, root=tree)
    assert says in found


def test_a_client_is_named_or_its_absence_has_a_reason(tree: Path) -> None:
    page = tree / "gateway" / "providers" / "stripe.md"
    text = page.read_text("utf-8")
    without = re.sub(r"(?s)## Checked against\n.*", "## Checked against\n\n%s\n", text)
    page.write_text(without % "No independent client.", "utf-8")
    (found,) = pieces.missing_text("stripe", _OPTIONS, root=tree)
    assert "nor why there is none" in found
    page.write_text(without % "No independent client: none verifies webhooks.", "utf-8")
    assert pieces.missing_text("stripe", _OPTIONS, root=tree) == []


def test_a_simulator_that_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    names = [name for name in simulated.names() if name != "stripe"]
    monkeypatch.setattr(simulated, "names", lambda: names)
    assert pieces.missing_code("stripe") == [
        "ops/simulators/stripe.py is missing: it plays stripe; ops/simulators/contract.py says how"
    ]


def test_what_is_not_registered(monkeypatch: pytest.MonkeyPatch, tree: Path) -> None:
    """An adapter, its further files, page and simulator, and no line in the registry."""
    monkeypatch.delitem(registry.PROVIDERS, "shopify")
    shutil.copy(ROOT / "gateway/providers/shopify.md", tree / "gateway/providers/shopify.md")
    found = pieces.strays(root=tree)
    assert [sentence.split()[0] for sentence in found] == [
        "gateway/providers/shopify.py",
        "gateway/providers/shopify_disputes.py",
        "gateway/providers/shopify_lines.py",
        "gateway/providers/shopify_orders.py",
        "gateway/providers/shopify_parcels.py",
        "gateway/providers/shopify_refunds.py",
        "gateway/providers/shopify.md",
        "ops/simulators/shopify.py",
    ]
