"""Connections: listener, client transport, HTTP connection, early rejection, body framing."""
