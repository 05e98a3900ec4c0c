"""Prefetch engines beside the cores, and what they brought."""
