"""The address a gateway listens on, and a plain GET to it."""

import http.client
from dataclasses import dataclass

_EVERY_ADDRESS = {"0.0.0.0": "127.0.0.1", "": "127.0.0.1", "::": "::1"}  # noqa: S104 - read only
_BODY_BYTES_MAX = 4096


@dataclass(frozen=True, slots=True)
class ListenAddress:
    """Host and port of a gateway."""

    host: str
    port: int

    @property
    def reach(self) -> str:
        """A host name that reaches it from this machine."""
        return _EVERY_ADDRESS.get(self.host, self.host)

    @property
    def url(self) -> str:
        """The URL without a path, as it is reached from this machine."""
        host = f"[{self.reach}]" if ":" in self.reach else self.reach
        return f"http://{host}:{self.port}"

    def get(self, path: str, *, api_key: str = "", timeout_s: float = 5.0) -> tuple[int, str]:
        """Return status and the first 4096 bytes of the body; status 0 without an answer."""
        # http.client and not urllib: urllib would go through a proxy of the environment.
        connection = http.client.HTTPConnection(self.reach, self.port, timeout=timeout_s)
        headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
        try:
            connection.request("GET", path, headers=headers)
            response = connection.getresponse()
            body = response.read(_BODY_BYTES_MAX)
            return response.status, body.decode("utf-8", "replace").strip()
        except (OSError, http.client.HTTPException):
            return 0, ""
        finally:
            connection.close()


def loopback(port: int) -> ListenAddress:
    """Return the address of a gateway that listens on 127.0.0.1 only."""
    return ListenAddress("127.0.0.1", port)
