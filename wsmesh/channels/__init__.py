"""Channels: names, namespaces, permissions, and who is subscribed on this node."""
