"""Prefetch engines beside the cores, and the data that they fetched."""
