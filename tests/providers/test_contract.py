"""The contract of a provider: every one in the registry is tried by itself.

To add one: its line in ``gateway/providers/registry.py``, then run this file and do what it says.
"""

import msgspec
import pytest

from gateway.providers import registry
from ops.simulators.contract import Kind

from . import checks, pieces, subjects
from .subjects import NAMES, subject
from .support import NOW, account

each = pytest.mark.parametrize("name", NAMES)
each_kind = pytest.mark.parametrize(("name", "kind"), subjects.cases())


def page(name: str) -> str:
    return (pieces.ROOT / "gateway" / "providers" / f"{name}.md").read_text("utf-8")


@each
def test_its_pieces_are_there(name: str) -> None:
    """Simulator, page with its sections and options, README row, independent clients."""
    missing = pieces.missing_code(name)
    options = () if missing else _options(name)
    missing += pieces.missing_text(name, options)
    assert not missing, "\n".join(missing)


def _options(name: str) -> list[str]:
    return [field.encode_name for field in msgspec.structs.fields(subjects.options_of(name))]


def test_no_piece_belongs_to_nobody() -> None:
    assert not (strays := pieces.strays()), "\n".join(strays)


def test_an_unknown_provider_names_the_known() -> None:
    with pytest.raises(ValueError, match=r"alipay, .*standard_webhooks, stripe"):
        registry.build("alipya", account("x"))


@each
def test_a_wrong_account_says_what_to_configure(name: str) -> None:
    """No secret, a wrong or missing option; the example of the page is right."""
    checks.configures(subject(name), pieces.example(page(name)).get("options", {}))


@each
def test_the_three_replies(name: str) -> None:
    """As the page documents them, and as the provider understands them."""
    checks.replies(subject(name), pieces.answers(page(name)))


@each
def test_the_openapi_document_describes_it(name: str) -> None:
    """Its replies and media types, as its module states them beside the adapter."""
    checks.describes(subject(name))


@each_kind
def test_what_is_simulated_is_read(name: str, kind: Kind) -> None:
    for currency in subject(name).played.CURRENCIES:
        checks.reads(subject(name), kind, currency)


@each_kind
def test_a_repeat_has_the_same_keys(name: str, kind: Kind) -> None:
    checks.keeps_keys(subject(name), kind)


@each_kind
def test_a_message_reads_the_same_twice(name: str, kind: Kind) -> None:
    checks.is_stable(subject(name), kind)


@each_kind
def test_a_kept_message_is_decoded_as_it_was_read(name: str, kind: Kind) -> None:
    checks.decodes_what_it_read(subject(name), kind)


@each
def test_probes_are_rejected_and_greetings_are_not(name: str) -> None:
    of = subject(name)
    if "probe" in of.played.KINDS:
        probe = of.simulator.message("probe", of.trade(), at=NOW)
        assert checks.rejects(of, probe, "a probe") == "probe"
    if "ping" in of.played.KINDS:
        greeting = of.simulator.message("ping", of.trade(), at=NOW)
        assert not isinstance(subjects.reading(of.adapter, greeting), str)


@each
def test_forgeries_are_rejected(name: str) -> None:
    """Signed with another key, changed, unsigned, of another merchant; the page explains why."""
    of = subject(name)
    assert {"foreign_key", "changed", "unsigned"} <= of.played.FORGERIES, (
        f"ops/simulators/{name}.py lacks one of the forgeries that every provider has"
    )
    checks.explains_reasons(of, page(name))


@each
def test_what_is_stale_is_rejected(name: str) -> None:
    checks.rejects_stale(subject(name), page(name))


@each
def test_other_accounts_are_rejected(name: str) -> None:
    """Another account of the provider, and every other provider."""
    checks.rejects_strangers(subject(name))


@each
def test_malformed_bodies_are_rejected(name: str) -> None:
    """Empty, huge, not UTF-8, nested too deeply."""
    checks.rejects_odd_bodies(subject(name))
