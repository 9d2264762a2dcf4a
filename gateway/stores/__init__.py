"""The only SQL, the only Redis commands, and the sealing of private fields."""
