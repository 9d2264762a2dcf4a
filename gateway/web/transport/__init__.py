"""Connections: the listener, client sockets, early rejection and body framing."""
