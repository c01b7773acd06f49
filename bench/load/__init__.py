"""The load generator: a process of its own that holds thousands of raw sockets."""
