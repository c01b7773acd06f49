"""Configurations of other load balancers that do, as nearly as they can, what the gateway does."""
