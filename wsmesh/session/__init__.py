"""A connected client: what it has, what it may do, and doing it."""
