"""The simulators' RSA keys, made once a session: one takes 50 ms, and tests need 200."""

from collections.abc import Iterator
from contextlib import contextmanager

from cryptography.hazmat.primitives.asymmetric import rsa

from ops.simulators.shared import rsa_keys


class KeyPool:
    """The n-th key of a test is the same in every test; within one, all are different.

    An account that outlives its test would share its keys with those of other tests: make it
    outside of ``lent``.
    """

    def __init__(self) -> None:
        self._make = rsa_keys.make
        self._keys: list[rsa.RSAPrivateKey] = []

    @contextmanager
    def lent(self) -> Iterator[None]:
        """Until the end of the block, simulators get their keys from here."""
        taken = 0

        def take() -> rsa.RSAPrivateKey:
            nonlocal taken
            if taken == len(self._keys):
                self._keys.append(self._make())
            taken += 1
            return self._keys[taken - 1]

        rsa_keys.make = take
        try:
            yield
        finally:
            rsa_keys.make = self._make


POOL = KeyPool()
