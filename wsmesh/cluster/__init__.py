"""Nodes as one cluster: who is in it, who is gone, and what they say to each other."""
