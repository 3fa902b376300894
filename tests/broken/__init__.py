"""Backends with one planted fault each. The conformance suite must catch every one."""
