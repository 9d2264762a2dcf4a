"""What happens after the answer: pairing what missed each other, and upkeep of the ledger."""
