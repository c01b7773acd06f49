"""The gateway: one address for all nodes. It picks a node for each client and hands it over."""
