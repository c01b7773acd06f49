"""Streams, presence and delivery between nodes, behind one interface."""
