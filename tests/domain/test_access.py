"""A key may do what its roles say, on its channels, and nothing else."""

from itertools import combinations

import pytest

from gateway.domain.access import ROLES, Principal, Role


def bearer(*roles: Role, channels: tuple[str, ...] = ()) -> Principal:
    return Principal("k", "test", frozenset(roles), frozenset(channels))


GRANTS: dict[Role, set[Role]] = {
    "ingest": {"ingest"},
    "query": {"query"},
    "query_pii": {"query", "query_pii"},
    "operate": {"operate"},
    "admin": {"ingest", "query", "operate", "admin"},
}


@pytest.mark.parametrize("role", ROLES)
def test_a_role_grants_itself_and_what_it_includes(role: Role) -> None:
    assert {wanted for wanted in ROLES if bearer(role).may(wanted)} == GRANTS[role]


def test_an_admin_does_not_see_private_fields() -> None:
    assert not bearer("admin").may("query_pii")
    assert bearer("admin", "query_pii").may("query_pii")


@pytest.mark.parametrize("roles", [pair for n in range(4) for pair in combinations(ROLES, n)])
def test_roles_add_up_to_no_more_than_each_of_them(roles: tuple[Role, ...]) -> None:
    granted: set[Role] = set().union(*[GRANTS[role] for role in roles])
    assert {wanted for wanted in ROLES if bearer(*roles).may(wanted)} == granted


def test_no_channels_means_every_channel() -> None:
    assert bearer().may_use("anything")
    assert bearer().visible() is None


def test_a_key_of_some_channels_reaches_only_these() -> None:
    scoped = bearer(channels=("web", "app"))
    assert scoped.may_use("web")
    assert not scoped.may_use("tmall")
    assert scoped.visible() == ["app", "web"]
