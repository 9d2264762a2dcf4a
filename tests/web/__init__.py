"""The HTTP side, from outside: real sockets, real servers behind it."""
