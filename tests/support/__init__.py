"""What several tests share: a served gateway, real processes, senders."""
