"""Each provider's independent clients: they sign what we verify, and verify what we simulate."""
