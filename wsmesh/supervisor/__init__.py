"""Keeping a gateway and several nodes running on one host: `python -m wsmesh up`."""
