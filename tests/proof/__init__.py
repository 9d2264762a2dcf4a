"""The proofs: whole processes under real load, killed, drained and cut off from their servers."""
