"""The Redis store: a link to Redis of our own on Trio, and what wsmesh keeps there."""
