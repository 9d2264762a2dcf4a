"""Baseline of a rejection: bare sockets that read a request and answer 503, and do nothing else.

No framework, no parser, no decision: what remains is the cost of the kernel and of one loop in
Python. Nothing that is written in Python can reject a request for less.

    python -m loadtest.baseline.refuser --port 8001
"""

import select
import socket

import click

_BODY = b'{"type":"/problems/overloaded","title":"Service overloaded","status":503}'
_REJECTION = (
    b"HTTP/1.1 503 Later\r\nContent-Type: application/problem+json\r\nRetry-After: 1\r\n"
    b"Content-Length: %d\r\n\r\n" % len(_BODY)
) + _BODY
_READY = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
_READ_BYTES = 65536
_EVENTS_MAX = 1024


def serve(listener: socket.socket) -> None:
    """Answer 503 to every read, taken for one request, until the process ends."""
    poll = select.epoll()
    poll.register(listener.fileno(), select.EPOLLIN)
    open_: dict[int, socket.socket] = {}
    while True:
        for number, _ in poll.poll(-1, _EVENTS_MAX):
            client = open_.get(number)
            if client is None:
                _accept(listener, poll, open_)
                continue
            try:
                data = client.recv(_READ_BYTES)
                if data:
                    client.send(_READY if data.startswith(b"GET /readyz ") else _REJECTION)
                    continue
            except OSError:
                pass
            del open_[number]
            client.close()


def _accept(listener: socket.socket, poll: select.epoll, open_: dict[int, socket.socket]) -> None:
    client, _ = listener.accept()
    client.setblocking(False)
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    poll.register(client.fileno(), select.EPOLLIN)
    open_[client.fileno()] = client


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", type=int, required=True)
def main(host: str, port: int) -> None:
    """Serve until SIGTERM or Ctrl-C."""
    with socket.create_server((host, port), backlog=socket.SOMAXCONN) as listener:
        serve(listener)


if __name__ == "__main__":
    main()
