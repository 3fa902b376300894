"""Proof that backends behave the same."""
