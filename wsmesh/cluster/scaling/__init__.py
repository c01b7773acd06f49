"""Decides how many nodes there should be; everything here is pure."""
