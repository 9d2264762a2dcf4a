"""One file per outside system, without I/O: verify, decode, reply."""
