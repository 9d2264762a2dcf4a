"""What happens after the answer: draining the journal, pairing events with orders, maintenance."""
