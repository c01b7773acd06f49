"""Mesh links: node-to-node WebSocket connections for probes, loads and calls, never for clients."""
