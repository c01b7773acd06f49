"""A Trio-based distributed WebSocket cluster with a pluggable balancing library."""

__version__ = "0.1.0"
