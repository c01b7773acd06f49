"""Sockets: listening, the pump, connections, TLS."""
