"""What is true of orders and money. No I/O, no clock, no await."""
