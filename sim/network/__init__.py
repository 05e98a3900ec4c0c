"""Collectives over several chips."""
